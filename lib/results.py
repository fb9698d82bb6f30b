"""All results of a study as one tidy table, and what is missing or stale."""

import pandas as pd

from lib import study
from lib.batch import places
from lib.evidence import fingerprint

PROPOSED = "JSCC + pruning"


def load(profile, interactive=False):
    """One row per finished run of the study and evaluation point (SNR, noise draw); runs without one have a single row.

    Columns: the run's name, step and parameters (`train_snr_db` is the SNR it was trained for), its metrics,
    `scheme`, and, per point, `snr_db`, `draw`, `accuracy`, `accuracy_selecting`, `accuracy_reporting` and
    `right_by_class` (a list). `hash`, `seconds`, `device`, `commit` and `uncommitted_changes` say where it came from.
    """
    loaded = study.load(profile)
    rows = []
    if interactive:
        folder = places.interactive_folder(loaded, "")
        folders = [folder / name for name in _stored(folder)]
    else:  # what was listed before and no longer is, `stale` names
        names = sorted(item.name for item in study.runs(loaded))
        folders = [folder for folder in (places.folder_of(loaded, name) for name in names) if places.finished(folder)]
    for folder in folders:
        result = places.read_result(folder)
        origin = result["provenance"]
        parameters = {key: value for key, value in result["parameters"].items() if not isinstance(value, dict)}
        parameters["train_snr_db"] = parameters.pop("snr_db", None)
        common = {"run": result["name"], "step": result["step"], "scheme": PROPOSED, **parameters,
                  **result["metrics"], "hash": result["hash"], "seconds": origin["seconds"],
                  "device": origin["device"], "precision": origin.get("precision"), "commit": origin["commit"],
                  "uncommitted_changes": origin.get("uncommitted_changes", False)}
        rows += [{**common, **point} for point in result["evaluation"]] or [common]
    table = pd.DataFrame(rows)
    for column in ("run", "step", "scheme", "pool", "ratio", "bandwidth", "train_snr_db", "variant", "seed", "symbols",
                   "symbols_finite", "device_macs", "snr_db", "draw", "accuracy", "accuracy_selecting",
                   "accuracy_reporting", "right_by_class", "hash", "seconds", "device", "commit",
                   "uncommitted_changes"):
        if column not in table:
            table[column] = pd.Series(dtype=object)
    table["right_by_class"] = table["right_by_class"].map(
        lambda text: [int(n) for n in text.split()] if isinstance(text, str) else text)
    return table


def baseline_accuracy(table, column="accuracy_clean"):
    """Accuracy of the unpruned net without a channel, mean over seeds; NaN when it has not been trained."""
    pretrained = table[table.step == "pretrain"]
    return pretrained[column].astype(float).mean() if len(pretrained) else float("nan")


def end_to_end(table, **point):
    """The rows of the proposed end-to-end models that match the point (pool, ratio, bandwidth, …)."""
    chosen = table[(table.step == "end_to_end") & (table.variant == point.pop("variant", "proposed"))]
    for column, value in point.items():
        chosen = chosen[chosen[column] == value]
    return chosen


def matched(table):
    """Only the points at which a model meets the SNR that it was trained for."""
    return table[table.snr_db == table.train_snr_db]


def pending(profile, rerun_stale=False, only=None):
    """The runs still to do, in order: unfinished ones of the asked figures and what they need upstream."""
    loaded = study.load(profile)
    listed = {r.name: r for r in study.runs(loaded)}
    again = stale(profile)[0] if rerun_stale else ()
    wanted = set()
    for item in listed.values():
        asked = only is None or any(figure.startswith(only) for figure in item.figures)
        if asked and (item.name in again or not places.finished(places.folder_of(loaded, item.name))):
            wanted.add(item.name)
    wanted = wanted.union(*(places.needs(loaded, listed, name) for name in wanted))
    return [item for item in listed.values() if item.name in wanted]


def stale(profile):
    """Names of the finished runs that no longer fit, and of results that the study does not list.

    A result fits today's code, parameters and upstream results, and rests on none that does not.
    """
    loaded = study.load(profile)
    today, old = fingerprint.expected(loaded, study.runs(loaded)), []
    for name, origin in today.items():
        place = places.folder_of(loaded, name)
        if places.finished(place) and fingerprint.differences(places.read_result(place), origin):
            old.append(name)
    folder = places.folder_of(loaded, "")
    return old, [name for name in _stored(folder) if name not in today]


def _stored(folder):
    """The names of the results in a study's folder, whether or not it lists them."""
    return [str(file.parent.relative_to(folder)) for file in sorted(folder.glob("*/*/result.json"))]


def of_other_weights(profile, downstream=False):
    """Names of the finished runs that started from other weights than those of their upstream run's result.

    Most weights are not committed. A run that is made again to have them, on another machine, ends with slightly
    other ones: as another seed would, under the same code and parameters. With `downstream`, also the runs that
    rest on such runs.
    """
    loaded = study.load(profile)
    listed = [item for item in study.runs(loaded) if places.finished(places.folder_of(loaded, item.name))]
    found = {item.name: places.read_result(places.folder_of(loaded, item.name)) for item in listed}

    def made_again(upstream, result):
        started_from = result.get("upstream_weights", {}).get(upstream["name"])
        return (upstream.get("weights") != started_from if started_from else
                upstream["provenance"]["end"] > result["provenance"]["start"])

    names = []
    for item in listed:
        if any(up in found and made_again(found[up], found[item.name]) or downstream and up in names
               for up in item.upstream):
            names.append(item.name)
    return names


def figure_points(table, settings, figure):
    """The points of Figure 4a, 4b or 5 with a `reading` and a curve `label`; attrs carry the dashed baseline."""
    chosen, spec, key = _curves(table, settings, figure, table[_is_proposed(table)])
    fixed = chosen[chosen.train_snr_db == spec.fixed_snr_db].assign(reading="fixed")
    own = matched(chosen).assign(reading="matched")
    enough = own.groupby(key).snr_db.nunique() >= 3 if len(own) else pd.Series(dtype=bool)
    own = own[own[key].isin(enough[enough].index)]
    points = pd.concat([own, fixed], ignore_index=True)[POINT + ["right_by_class"]]
    points.attrs["baseline"] = baseline_accuracy(table)
    return points


def separation_points(table, settings, figure):
    """The same for the separation baseline: `matched`, a design for each SNR; `fixed`, the cliff of one design."""
    chosen, spec, _ = _curves(table, settings, figure, table[table.scheme == "Separation"])
    cliff = chosen.assign(reading="fixed")
    design = cliff[cliff.snr_db == spec.fixed_snr_db].set_index("run").accuracy
    works = cliff.snr_db >= spec.fixed_snr_db
    cliff["accuracy"] = cliff.run.map(design).where(works, 1 / settings.classes)
    return pd.concat([chosen.assign(reading="matched"), cliff], ignore_index=True)[POINT]


def _is_proposed(table):
    return (table.step == "end_to_end") & (table.variant == "proposed")


def _curves(table, settings, figure, rows):
    """The rows that belong to a figure, with curve labels; its specification; what tells its curves apart."""
    if figure == "figure5":
        spec = settings.figure5
        rows = rows[(rows.pool == spec.pool) & (rows.ratio == spec.ratio) & rows.bandwidth.isin(spec.bandwidths)]
        rows = rows.sort_values("bandwidth", ascending=False)
        return rows.assign(label=[f"B = {b:.0f} (B/3072 = {b / 3072:.2f})" for b in rows.bandwidth]), spec, "bandwidth"
    spec, point = settings.figure4, settings.figure4.panels[figure[-1]]
    rows = rows[(rows.pool == point.pool) & (rows.bandwidth == point.bandwidth) & rows.ratio.isin(spec.ratios)]
    rows = rows.sort_values("ratio")
    return rows.assign(label=[f"ratio {ratio:g}" for ratio in rows.ratio]), spec, "ratio"


POINT = ["run", "reading", "label", "pool", "ratio", "bandwidth", "train_snr_db", "seed", "snr_db", "draw",
         "accuracy"]


def accuracy_table(table, settings, figure):
    """Accuracy in percent, a row per curve and reading, a column per SNR; empty for a figure without results."""
    if figure.startswith("figure4") and figure[-1] not in settings.figure4.panels:
        return pd.DataFrame()
    points = figure_points(table, settings, figure)
    pivot = points.pivot_table(index=["reading", "label"], columns="snr_db", values="accuracy", sort=False)
    order = pd.MultiIndex.from_frame(points[["reading", "label"]].drop_duplicates())
    return (100 * pivot.loc[order].astype(float).sort_index(axis=1)).round(1).rename_axis(columns=None)


def figure3(table, settings, variant="proposed"):
    """All models of Figure 3 at its SNR: scheme, device MACs, symbols, accuracies, and which are selected.

    Within the tolerance of the baseline on the selecting half of the test images, and not dominated (no model
    of the scheme has fewer symbols and no more operations). The baseline's accuracy is that of the same half.
    With another `variant`, our models are those of the ablations.
    `loss` is what a model loses to the baseline on the half that selected nothing, `holds` whether that is within
    the tolerance too; `denied`: on all test images it is outside by more than two binomial standard errors.
    """
    spec, table = settings.figure3, table[table.seed == settings.seeds[0]]
    rows = table[table.step.isin(["end_to_end", "baselines"]) & (table.snr_db == spec.snr_db)]
    rows = rows[(rows.variant == variant) | (rows.step == "baselines")]
    rows = rows[(rows.train_snr_db == spec.snr_db) & (rows.scheme != "Separation")]
    if spec.finite_blocklength:
        rows = rows.assign(symbols=rows.symbols_finite.fillna(rows.symbols))
    keys = ["scheme", "run", "pool", "ratio", "device_macs", "symbols"]
    points = rows.groupby(keys, dropna=False)[["accuracy", "accuracy_selecting", "accuracy_reporting"]]
    points = points.mean().reset_index()
    least = baseline_accuracy(table, "accuracy_selecting_clean") - spec.tolerance
    points["within"] = points.accuracy_selecting >= least
    points["loss"] = baseline_accuracy(table, "accuracy_reporting_clean") - points.accuracy_reporting
    points["holds"] = points.within & (points.loss <= spec.tolerance)
    best, images = baseline_accuracy(table), 100 * settings.classes
    variance = (best * (1 - best) + points.accuracy * (1 - points.accuracy)) / images
    points["denied"] = best - points.accuracy - spec.tolerance > 2 * variance**0.5
    points["selected"] = False
    for _, mine in points[points.within].groupby("scheme"):
        for index, row in mine.iterrows():
            others = mine.drop(index)
            dominated = ((others.symbols <= row.symbols) & (others.device_macs <= row.device_macs)
                         & ((others.symbols < row.symbols) | (others.device_macs < row.device_macs)))
            points.loc[index, "selected"] = not dominated.any()
    return points


def selected_table(points):
    """The selected models of Figure 3, to read; accuracy (%) on the half that selected nothing."""
    chosen = points[points.selected].sort_values(["scheme", "device_macs"])
    return pd.DataFrame({
        "scheme": chosen.scheme, "pool": chosen.pool.map("{:.0f}".format, na_action="ignore"),
        "ratio": chosen.ratio.map("{:g}".format, na_action="ignore"),
        "device operations": chosen.device_macs.map("{:,.0f}".format), "symbols": chosen.symbols.map("{:,.0f}".format),
        "accuracy": 100 * chosen.accuracy_reporting})


def progress(profile):
    """In sentences: how much of a study is finished, and which of its results should not be read beside the others."""
    loaded = study.load(profile)
    done = [places.finished(places.folder_of(loaded, item.name)) for item in study.runs(loaded)]
    told, (old, unknown) = [f"{sum(done)} of {len(done)} runs are finished."], stale(profile)
    for names, what in ((old, "of them no longer fit the code and parameters"),
                        (of_other_weights(profile), "of them started from another making of their upstream run"),
                        (unknown, "results are left out, which the study does not list")):
        told += [f"{len(names)} {what}: {', '.join(names)}."] if names else []
    return " ".join(told)


def step_table(table):
    """Accuracy (%) after each step of every end-to-end model, clean and at its training SNR; the mean over seeds."""
    once = table.drop_duplicates("run").set_index("run")
    columns = ["model", "1 pretrain, clean", "2 prune, clean", "3 autoencoder, clean", "3 autoencoder, at SNR",
               "4 end to end, clean", "4 end to end, at SNR"]
    rows = []
    for item in end_to_end(table.drop_duplicates("run")).itertuples():
        seed = int(item.seed)
        prune = study.name("prune", pool=int(item.pool), ratio=item.ratio, seed=seed,
                           variant=study.criterion(item.variant))
        autoencoder = item.run.replace("end_to_end/", "autoencoder/")
        row = {"model": item.run.removeprefix("end_to_end/").replace(f"-s{seed}", "", 1)}
        for label, name in (("1 pretrain", study.name("pretrain", seed=seed)), ("2 prune", prune),
                            ("3 autoencoder", autoencoder), ("4 end to end", item.run)):
            for column, suffix in (("accuracy_clean", "clean"), ("accuracy_at_snr", "at SNR")):
                if name in once.index and column in once and pd.notna(once.loc[name, column]):
                    row[f"{label}, {suffix}"] = 100 * once.loc[name, column]
        rows.append(row)
    return pd.DataFrame(rows, columns=columns).groupby("model", sort=False, as_index=False).mean()


def ablation_table(table, settings):
    """Accuracy (%) over SNR of the variants at the ablations' points, the proposed scheme first; of the first seed.

    `below` says how many points below the baseline a model is at its SNR, on each half of the test images.
    """
    table = table[table.seed == settings.seeds[0]]
    chosen = [end_to_end(table, variant=variant, pool=item.pool, ratio=item.ratio, bandwidth=item.bandwidth,
                         train_snr_db=item.snr_db)
              .assign(point=f"pooling {item.pool}, ratio {item.ratio:g}, B = {item.bandwidth:,}, {item.snr_db:g} dB")
              for item in settings.ablations for variant in ("proposed", *item.variants)]
    if not chosen:
        return pd.DataFrame()
    models, key = pd.concat(chosen), ["point", "variant"]
    over_snr = models.pivot_table(index=key, columns="snr_db", values="accuracy", sort=False).sort_index(axis="columns")
    own = matched(models).groupby(key, sort=False)
    for half in ("selecting", "reporting"):
        below = baseline_accuracy(table, f"accuracy_{half}_clean") - own[f"accuracy_{half}"].mean()
        over_snr[f"below, {half} half"] = below
    return (100 * over_snr.astype(float)).rename_axis(columns=None).reset_index()


def provenance_table(table, settings):
    """Where each run's numbers came from, and the command that computes it again."""
    once = table.drop_duplicates("run")
    source = settings.source.removeprefix(f"{study.ROOT}/")
    return pd.DataFrame({
        "run": once.run, "seed": once.seed, "commit": once.commit.astype(object).fillna("unknown").str[:8],
        "uncommitted changes": once.uncommitted_changes.map({True: "yes", False: ""}).fillna("unknown"),
        "device": once.device, "seconds": once.seconds, "hash": once.hash,
        "recompute with": "python -m lib.run " + source + " " + once.run})
