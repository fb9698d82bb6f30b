"""A study: its parameters, read and checked, and the list of runs that its figures need.

Everything a profile changes stands in its YAML file; nothing here asks which profile it is.
"""

from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import ValidationError

from lib import InputError, geometry
from lib.parameters import POINTS, SCHEMES, Study

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Run:
    """One papermill run: its name is its path below outputs/<profile>/."""

    name: str
    notebook: str
    parameters: dict
    upstream: list[str]
    figures: set = field(default_factory=set)

    @property
    def step(self):
        return self.name.split("/")[0]


NOTEBOOKS = {"pretrain": "01_pretrain", "prune": "02_prune", "autoencoder": "03_autoencoder",
             "end_to_end": "04_end_to_end", "baselines": "05_baselines"}
REPORT = ("10_figure3", "11_figure4", "12_figure5", "20_claims")
FIGURES = ("figure3", "figure4", "figure4a", "figure4b", "figure5", "ablations")  # what a part of a study is for
RESERVED = ("bench", "interactive")  # folders of outputs/ that are no study's


def load(path):
    """The checked parameters of a YAML file, or of the profile of that name.

    Raises InputError, in one sentence, for what is missing, unknown, of the wrong type or impossible.
    """
    file = Path(path)
    if file.suffix not in (".yaml", ".yml"):
        file = ROOT / "params" / f"{path}.yaml"
    file = file.parent.resolve() / file.name
    try:
        loaded = Study.model_validate(yaml.safe_load(file.read_text()))
    except OSError as error:
        raise InputError(f"There is no study {str(path)!r}: {file} cannot be read.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not YAML: {' '.join(str(error).split())}.") from error
    except ValidationError as error:
        hint = "; YAML reads 1e-3 as text, write 1.0e-3" if error.errors()[0]["type"] == "float_type" else ""
        raise InputError(f"{file.name}: {_first(error)}{hint}.") from error
    if loaded.name != file.stem:
        raise InputError(f"{file.name}: name: must be the file's, {file.stem!r}, because results lie under it "
                         f"(given: {loaded.name!r}).")
    if loaded.name in RESERVED:
        raise InputError(f"{file.name}: name: {loaded.name!r} is that of another folder in outputs/, take another one.")
    shipped = ROOT / "params" / f"{file.stem}.yaml"
    if file != shipped and shipped.exists():
        raise InputError(f"{file}: name: {loaded.name!r} is that of params/{shipped.name} too, and the results of both "
                         "would lie in one folder: give the file and its study another one.")
    try:
        listed = {run.name: run for run in runs(loaded)}
        for run in listed.values():
            check(loaded, **run.parameters)
            check_prune(loaded, listed, run)
        check_pretraining(loaded)
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error
    loaded._source = file.stem if file == shipped else str(file)
    return loaded


def check_figure(name):
    """Raise InputError for what `--only` cannot be; None, all of them, it can."""
    if name and name not in FIGURES:
        raise InputError(f"--only takes one of {', '.join(FIGURES)}, not {name!r}.")


def _first(error):
    """What pydantic found first: where, what, and what was given there."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    given = "" if isinstance(first["input"], dict) else f" (given: {first['input']!r})"
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{place + ': ' if place else ''}{message}{given}"


def point(step, parameters):
    """The checked parameters of a run as a notebook's cell gives them: of another scheme, those that it takes."""
    if step == "baselines":
        taken = {"scheme", "snr_db", "seed", *SCHEMES.get(parameters.get("scheme"), ())}
        parameters = {name: value if name in taken else None for name, value in parameters.items()}
    try:
        return POINTS[step](**parameters).model_dump()
    except ValidationError as error:
        raise InputError(f"The notebook's parameters: {_first(error)}.") from error


def check(study, pool=None, ratio=None, bandwidth=None, scheme=None, level=None, variant=None, **_):
    """Raise InputError when a point cannot be built."""
    if variant == "longer_step4" and not any(item.longer_step4 for item in study.ablations):
        raise InputError(f"The study {study.name} has no schedule for the variant longer_step4.")
    if ratio is not None:
        total = geometry.total_filters(study.network.width, pool)
        least = geometry.FLOOR * sum(geometry.BLOCKS[:pool])
        if geometry.filters_to_remove(total, ratio) > total - least:
            raise InputError(f"A pruning ratio of {ratio} up to pooling {pool} would leave a layer "
                             f"fewer than {geometry.FLOOR} filters.")
    if bandwidth is not None and scheme is None:
        geometry.symbol_channels(pool, bandwidth)
    if scheme in ("bottlenet", "bottlenet_plus"):
        channels = geometry.widths(study.network.width)[sum(geometry.BLOCKS[:pool]) - 1]
        units = [geometry.SYMBOLS_PER_CHANNEL[pool] * factor for factor in ((1,) if pool == 5 else (1, 4))]  # by stride
        if scheme == "bottlenet" and level > channels:
            raise InputError(f"BottleNet reduces the {channels} channels after pooling {pool} to 1 to {channels}, "
                             f"not {level}.")
        if scheme == "bottlenet_plus" and not any(bandwidth % n == 0 and bandwidth // n <= channels for n in units):
            ways = " or ".join(f"{n} up to {n * channels}" for n in units)
            raise InputError(f"After pooling {pool}, BottleNet++ sends multiples of {ways} symbols, not {bandwidth}.")


def check_prune(study, listed, run):
    """Raise InputError for a pruning run that removes no filter after the one that it starts from."""
    if run.step != "prune":
        return
    pool, ratio = run.parameters["pool"], run.parameters["ratio"]
    total = geometry.total_filters(study.network.width, pool)
    before = listed[run.upstream[0]].parameters.get("ratio", 0)
    if geometry.filters_to_remove(total, ratio) == geometry.filters_to_remove(total, before):
        raise InputError(f"A pruning ratio of {ratio:g} up to pooling {pool} removes as many of the {total} filters as "
                         f"{before:g}.")


def check_pretraining(study):
    """Raise InputError when the study that step 1 is taken from trains it in another way."""
    if study.pretrain_from is None:
        return
    other = load(study.pretrain_from)
    if other.pretrain_from or other.source != study.pretrain_from:
        raise InputError(f"pretrain_from must name a profile in params/ that trains its own step 1, "
                         f"not {study.pretrain_from!r}.")
    for seed in study.seeds:
        run = Run(name("pretrain", seed=seed), NOTEBOOKS["pretrain"], {"seed": seed}, [])
        ours, theirs = resolved(study, run), resolved(other, run)
        if different := [key for key in ours if ours[key] != theirs[key]]:
            raise InputError(f"Step 1 cannot be taken from {other.name}, whose {' and '.join(different)} differ.")


def name(step, pool=None, ratio=None, bandwidth=None, snr_db=None, seed=0, variant="proposed",
         scheme=None, level=None):
    """A run's readable name, which is its path: `end_to_end/pool2-r0.50-b2048-snr14.5-s0`."""
    short = ratio is not None and (f"{ratio:.2f}" if ratio == round(ratio, 2) else f"{ratio:g}")
    parts = [scheme, pool and f"pool{pool}", short and f"r{short}", bandwidth and f"b{bandwidth}",
             level is not None and f"level{level}", snr_db is not None and f"snr{snr_db:g}", f"s{seed}",
             variant != "proposed" and variant]
    return f"{step}/" + "-".join(str(part) for part in parts if part)


def runs(study, extra=(), baselines=()):
    """All runs that the study's figures need, each once, in dependency order.

    `extra` and `baselines` are the parameters of further end-to-end models and other schemes, for a notebook
    opened by hand.
    """
    listed = {}
    points = _points(study) + [(point, "interactive") for point in extra]

    def add(step, figure, upstream=(), **parameters):
        run = Run(name(step, **parameters), NOTEBOOKS[step], parameters, list(upstream))
        listed.setdefault(run.name, run)
        for need in needs(listed, run.name):
            listed[need].figures.add(figure)
        return run.name

    def network(figure, pool, ratio, seed, variant):
        """The pretrained net, or the last stop on the pruning chain that leads to the ratio."""
        last = add("pretrain", figure, seed=seed)
        stops = {point["ratio"] for point, _ in points if point["pool"] == pool and point["seed"] == seed
                 and criterion(point["variant"]) == criterion(variant)} | {ratio}
        for stop in sorted(stop for stop in stops if 0 < stop <= ratio):
            last = add("prune", figure, [last], pool=pool, ratio=stop, seed=seed, variant=criterion(variant))
        return last

    for point, figure in points:
        chain = {key: point[key] for key in ("pool", "ratio", "seed", "variant")}
        base = network(figure, **chain)
        step3 = {**point, "variant": "proposed" if point["variant"] == "longer_step4" else point["variant"]}
        trained = base if point["variant"] == "no_step3" else add("autoencoder", figure, [base], **step3)
        add("end_to_end", figure, [trained], **point)
    for baseline in [*(study.baselines.runs if study.baselines else []), *baselines]:
        given = {key: value for key, value in dict(baseline).items() if value is not None}
        parameters = {"seed": study.seeds[0], "pool": None, "ratio": None, "bandwidth": None, "level": None, **given}
        for figure in _figures_of(baseline, points):
            base = network(figure, parameters["pool"], parameters["ratio"] or 0.0, parameters["seed"], "proposed")
            add("baselines", figure, [base], **parameters)
    return list(listed.values())


def _figures_of(baseline, points):
    """Figure 3 shows the other schemes; the separation baseline is for the curve of its split, ratio, bandwidth."""
    given = dict(baseline)
    if given["scheme"] != "separation":
        return {"figure3"}
    return {figure for point, figure in points if figure.startswith(("figure4", "figure5")) and all(
        point[key] == given.get(key) for key in ("pool", "ratio", "bandwidth"))} or {"figure3"}


def criterion(variant):
    """The pruning chain that a variant starts from."""
    return variant if variant in ("magnitude", "random") else "proposed"


def needs(listed, target, here=lambda name: False):
    """A run's name and those of all runs upstream of it, back to those that are `here`."""
    found, queue = set(), [target]
    while queue:
        current = queue.pop()
        if current not in found:
            found.add(current)
            queue += [name for name in listed[current].upstream if not here(name)]
    return found


def _points(study):
    """(parameters of an end-to-end model, figure), in the order in which they are worth having."""
    four, five, three = study.figure4, study.figure5, study.figure3
    listed = []

    def add(figure, pool, ratio, bandwidth, snr_db, seed, variant="proposed"):
        listed.append(({"pool": pool, "ratio": float(ratio), "bandwidth": bandwidth, "snr_db": float(snr_db),
                        "seed": seed, "variant": variant}, figure))

    for seed in study.seeds:
        for bandwidth in sorted(five.bandwidths, reverse=True):
            add("figure5", five.pool, five.ratio, bandwidth, five.fixed_snr_db, seed)
        for panel, point in four.panels.items():
            for ratio in four.ratios:
                add(f"figure4{panel}", point.pool, ratio, point.bandwidth, four.fixed_snr_db, seed)
        for snr_db in dict.fromkeys([*five.matched_snr_db, *four.matched_snr_db]):  # all curves, then the next
            for bandwidth in sorted(five.bandwidths, reverse=True) if snr_db in five.matched_snr_db else ():
                add("figure5", five.pool, five.ratio, bandwidth, snr_db, seed)
            for panel, point in four.panels.items() if snr_db in four.matched_snr_db else ():
                for ratio in four.matched_ratios:
                    add(f"figure4{panel}", point.pool, ratio, point.bandwidth, snr_db, seed)
    for ladder in three.ladders:
        for ratio in ladder.ratios:
            for bandwidth in ladder.bandwidths:
                add("figure3", ladder.pool, ratio, bandwidth, three.snr_db, study.seeds[0])
    for item in study.ablations:
        for variant in item.variants:
            add("ablations", **item.point, seed=study.seeds[0], variant=variant)
    return listed


def of_run(study, parameters):
    """The study as a run of these parameters sees it: a variant may train step 4 by another schedule.

    That schedule stands with the ablations of the run's point; elsewhere, by hand, the first one counts.
    """
    if parameters.get("variant") != "longer_step4":
        return study
    scheduled = [item for item in study.ablations if item.longer_step4]
    here = [item for item in scheduled if item.point.items() <= parameters.items()]
    return study.model_copy(update={"end_to_end": (here or scheduled)[0].longer_step4})


# Which parts of a study decide a run's numbers, beside its own parameters and its upstream runs.
SECTIONS = {"pretrain": ("pretrain",), "prune": ("prune",), "autoencoder": ("autoencoder",),
            "end_to_end": ("end_to_end",), "baselines": ("baselines",)}


def resolved(study, run):
    """All parameters that decide the run's numbers; where the data lies is not among them."""
    sections = ("network", "evaluation", "precision") + SECTIONS[run.step]
    values = of_run(study, run.parameters).model_dump(mode="json")
    if run.step in ("pretrain", "prune", "autoencoder"):  # these evaluate over no list of SNRs
        values["evaluation"] = {"curve_images": study.evaluation.curve_images}
    else:
        values["evaluation"]["snr_db"] = study.snrs_db(run.parameters["snr_db"])
        values["evaluation"].pop("matched_across")
    if run.step == "baselines":  # two-step pruning trains as pruning does; the list of runs is not a parameter
        values["baselines"].pop("runs")
        sections += ("prune",)
    return {"data": study.data.name, **{key: values[key] for key in sections}, **run.parameters}
