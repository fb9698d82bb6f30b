"""The tables of the report; accuracies in percent."""

import pandas as pd

from lib import results
from lib.claims import points
from lib.study import Study

MODEL = ["pool", "ratio", "bandwidth", "train_snr_db", "seed"]
# What a model shares with the runs that it came from; with more, a join would find none of them.
RUN_OF_STEP = {"pretrain": ["seed"], "prune": ["pool", "ratio", "seed"], "autoencoder": MODEL, "end_to_end": MODEL}


def accuracy_table(table: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """A row for each curve and reading of Figure 4a, 4b or 5, a column per SNR; empty without results."""
    # A study may have one panel of Figure 4, or none.
    if figure.startswith("figure4") and figure[-1] not in settings.figure4.panels:
        return pd.DataFrame()
    shown = points.figure_points(table, settings, figure)
    rows = shown.pivot_table(index=["reading", "label"], columns="snr_db", values="accuracy", sort=False)
    # Rows in the order of the points, which is that of the figure's legend.
    order = pd.MultiIndex.from_frame(shown[["reading", "label"]].drop_duplicates())
    return (100 * rows.loc[order].astype(float).sort_index(axis=1)).round(1).rename_axis(columns=None)


def selected_table(models: pd.DataFrame) -> pd.DataFrame:
    """The selected models of Figure 3; their accuracy on the half of the test images that selected nothing."""
    chosen = models[models.selected].sort_values(["scheme", "device_macs"])
    return pd.DataFrame({
        "scheme": chosen.scheme,
        "pool": chosen.pool.map("{:.0f}".format, na_action="ignore"),
        "ratio": chosen.ratio.map("{:g}".format, na_action="ignore"),
        "device operations": chosen.device_macs.map("{:,.0f}".format),
        "symbols": chosen.symbols.map("{:,.0f}".format),
        "accuracy": 100 * chosen.accuracy_reporting,
        "below the baseline": 100 * chosen.loss})


def step_table(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy after each step of every proposed model, clean and at its training SNR; the mean over seeds."""
    # Step 1 has no variant: every model of a seed starts from it.
    once = table[table.variant.isna() | (table.variant == "proposed")].drop_duplicates("run")
    rows, shown = once[once.step == "end_to_end"][["run", *MODEL]], []
    for number, (step, key) in enumerate(RUN_OF_STEP.items(), 1):
        label = f"{number} {step.replace('_', ' ')}"
        names = {"accuracy_clean": f"{label}, clean", "accuracy_at_snr": f"{label}, at SNR"}
        found = once[once.step == step][[*key, *names]].rename(columns=names)
        # Left: a model whose upstream result is not here keeps its row, with a gap.
        rows = rows.merge(found, how="left", on=key)
        # Steps 1 and 2 have no channel yet.
        without_channel = step in ("pretrain", "prune")
        shown += [names["accuracy_clean"]] if without_channel else names.values()
    # Without its seed, because the mean is over seeds.
    model = [run.removeprefix("end_to_end/").replace(f"-s{seed:.0f}", "", 1)
             for run, seed in zip(rows.run, rows.seed, strict=True)]
    percent = 100 * rows[shown].astype(float)
    return percent.groupby(pd.Series(model, name="model"), sort=False).mean().reset_index()


def ablation_table(table: pd.DataFrame, settings: Study) -> pd.DataFrame:
    """Accuracy over SNR of the variants at the ablations' points, the proposed scheme first; of the first seed.

    `below` says how many points below the baseline a model is at its SNR, on each half of the test
    images.
    """
    table, chosen, place = table[table.seed == settings.seeds[0]], [], settings.network.place
    for item in settings.ablations:
        label = f"{place} {item.pool}, ratio {item.ratio:g}, B = {item.bandwidth:,}, {item.snr_db:g} dB"
        # Beside the scheme that they are variants of, trained and evaluated at the same point.
        for variant in ("proposed", *item.variants):
            rows = results.end_to_end(table, variant, pool=item.pool, ratio=item.ratio, bandwidth=item.bandwidth,
                                     train_snr_db=item.snr_db)
            chosen.append(rows.assign(point=label))
    if not chosen:
        return pd.DataFrame()
    models, key = pd.concat(chosen), ["point", "variant"]
    # The mean over noise draws.
    over_snr = models.pivot_table(index=key, columns="snr_db", values="accuracy", sort=False).sort_index(axis="columns")
    at_its_snr = results.matched(models).groupby(key, sort=False)
    for half in ("selecting", "reporting"):
        baseline = results.baseline_accuracy(table, f"accuracy_{half}_clean")
        over_snr[f"below, {half} half"] = baseline - at_its_snr[f"accuracy_{half}"].mean()
    return (100 * over_snr.astype(float)).rename_axis(columns=None).reset_index()
