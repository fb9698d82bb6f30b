"""The runs that a study's figures need: each once, in dependency order, named by what tells it from others.

Everything a profile changes stands in its YAML file; nothing here asks which profile it is.
"""

import functools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lib import InputError
from lib.batch.parameters import Study

NOTEBOOKS = {"pretrain": "01_pretrain", "prune": "02_prune", "autoencoder": "03_autoencoder",
             "end_to_end": "04_end_to_end", "baselines": "05_baselines"}
REPORT = ("10_figure3", "11_figure4", "12_figure5", "20_claims")
# What a part of a study is for; `claims` are the runs that decide claims, where a study names them.
FIGURES = ("claims", "figure3", "figure4", "figure4a", "figure4b", "figure5", "ablations")

Point = dict[str, Any]  # the parameters of one run: pool, ratio, bandwidth, snr_db, seed, variant


@dataclass
class Run:
    """One papermill run: its name is its path below outputs/<profile>/."""

    name: str
    notebook: str
    parameters: Point
    upstream: list[str]
    figures: set[str] = field(default_factory=set)

    @property
    def step(self) -> str:
        return self.name.split("/")[0]


def name(step: str, pool: int | None = None, ratio: float | None = None, bandwidth: int | None = None,
         snr_db: float | None = None, seed: int = 0, variant: str = "proposed", scheme: str | None = None,
         level: int | None = None) -> str:
    """A run's readable name, which is its path: `end_to_end/pool2-r0.50-b2048-snr14.5-s0`."""
    # Two decimals, and more only where they are needed to tell two ratios apart.
    digits = ".2f" if ratio is None or ratio == round(ratio, 2) else "g"
    # Order and format are every stored result's path: another would orphan all of them.
    labelled = (("", scheme, ""), ("pool", pool, ""), ("r", ratio, digits), ("b", bandwidth, ""), ("level", level, ""),
                ("snr", snr_db, "g"), ("s", seed, ""), ("", None if variant == "proposed" else variant, ""))
    parts = [f"{label}{value:{form}}" for label, value, form in labelled if value is not None]
    return f"{step}/{'-'.join(parts)}"


def name_in(settings: Study, step: str, **parameters: Any) -> str:
    """The name of a study's run: with its channel, where that is not AWGN."""
    return name(step, **parameters) + settings.channel.ending(step)


def runs(settings: Study, extra: Iterable[Point] = (), baselines: Iterable[Point] = ()) -> list[Run]:
    """All runs that the study's figures need, each once, in dependency order.

    `extra` and `baselines` are the parameters of further end-to-end models and other schemes, for a notebook
    opened by hand.
    """
    points = _points(settings) + [(point, "interactive") for point in extra]
    # All points first, because each pruning chain stops where any of them asks for it.
    listing = _Listing(settings, points)
    for point, figure in points:
        listing.add_model(point, figure)
    for baseline in settings.baselines.runs if settings.baselines else []:
        listing.add_other_scheme(dict(baseline), settings.seeds[0], baseline in settings.deciding.schemes)
    for point in baselines:
        listing.add_other_scheme(point, settings.seeds[0])
    return list(listing.runs.values())


class _Listing:
    """The list while it grows. Runs are shared: what two figures need is listed once, for both."""

    def __init__(self, settings: Study, points: list[tuple[Point, str]]):
        self.settings, self.points = settings, points
        self.runs: dict[str, Run] = {}
        # Of the same split, seed and chain alone.
        self.stops: dict[tuple, set[float]] = defaultdict(set)
        for point, _ in points:
            self.stops[point["pool"], point["seed"], pruning_chain(settings, point["variant"])].add(point["ratio"])
        self.network = functools.cache(self.add_network)  # thousands of models share a few

    def add(self, step: str, figure: str, upstream: Iterable[str] = (), **parameters: Any) -> str:
        """List a run, if it is new, and note the figure on it and on all upstream of it; returns its name."""
        # Upstream runs are added before, so that the list is in dependency order by itself.
        run = Run(name_in(self.settings, step, **parameters), NOTEBOOKS[step], parameters, list(upstream))
        # Where the run comes first it stays: the order of the list is that of its worth.
        if self.runs.setdefault(run.name, run).parameters != parameters:
            raise InputError(f"Two runs would have the name {run.name}: numbers in it have six digits at most.")
        # Where it is noted already, it is upstream of there too.
        for needed in needs(self.runs, [run.name], lambda name: figure in self.runs[name].figures):
            self.runs[needed].figures.add(figure)
        return run.name

    def add_network(self, figure: str, pool: int | None, ratio: float, seed: int, variant: str) -> str:
        """The pretrained net, or the last stop on the pruning chain that leads to the ratio.

        One chain a split serves all ratios: each ratio that a point asks for is a stop, where the next one goes on.
        """
        chain = pruning_chain(self.settings, variant)
        last = self.add("pretrain", figure, seed=seed)
        for stop in sorted(self.stops[pool, seed, chain] | {ratio}):
            # Ratio 0 is the pretrained network itself.
            if 0 < stop <= ratio:
                last = self.add("prune", figure, [last], pool=pool, ratio=stop, seed=seed, variant=chain)
        return last

    def add_model(self, point: Point, figure: str) -> None:
        """An end-to-end model after its autoencoder (step 3), which a longer step 4 shares with the usual one."""
        start = self.network(figure, point["pool"], point["ratio"], point["seed"], point["variant"])
        if point["variant"] != "no_step3":
            variant = autoencoder_variant(self.settings, point["variant"])
            start = self.add("autoencoder", figure, [start], **{**point, "variant": variant})
        self.add("end_to_end", figure, [start], **point)

    def add_other_scheme(self, baseline: Point, seed: int, decides: bool = False) -> None:
        """Another scheme, after the network that it starts from."""
        # Equal parameters must give equal names, whether a value was left out or null.
        given = {key: value for key, value in baseline.items() if value is not None}
        parameters = {"seed": seed, "pool": None, "ratio": None, "bandwidth": None, "level": None, **given}
        # Sorted, because a set has no order of its own and the list must have one.
        for figure in sorted(_figures_of(baseline, self.points) | ({"claims"} if decides else set())):
            start = self.network(figure, parameters["pool"], parameters["ratio"] or 0.0, parameters["seed"], "proposed")
            self.add("baselines", figure, [start], **parameters)


def _figures_of(baseline: Point, points: list[tuple[Point, str]]) -> set[str]:
    """Figure 3 shows the other schemes; the separation baseline is for the curve of its split, ratio, bandwidth."""
    if baseline["scheme"] != "separation":
        return {"figure3"}
    curve = [baseline.get(key) for key in ("pool", "ratio", "bandwidth")]
    figures = {figure for point, figure in points if figure.startswith(("figure4", "figure5"))
               and [point["pool"], point["ratio"], point["bandwidth"]] == curve}
    return figures or {"figure3"}


def pruning_chain(settings: Study, variant: str) -> str:
    """The variant whose pruning chain a variant starts from: its own, if it differs in step 2."""
    reading = settings.readings.get(variant)
    # The others share a chain: another one would add the luck of another training to the comparison.
    own = variant in ("magnitude", "random") or (reading and reading.prune)
    return variant if own else "proposed"


def autoencoder_variant(settings: Study, variant: str) -> str:
    """The variant whose autoencoder a variant starts from: its own, if it differs in step 2 or 3."""
    reading = settings.readings.get(variant)
    only_step_4 = variant == "longer_step4" or (reading and not reading.prune and not reading.autoencoder)
    return "proposed" if only_step_4 else variant


def needs(listed: Mapping[str, Run], targets: Iterable[str],
          here: Callable[[str], Any] = lambda name: False) -> set[str]:
    """The names of runs and of all runs upstream of them, back to those that are `here`."""
    found: set[str] = set()
    queue = list(targets)
    while queue:
        current = queue.pop()
        if current not in found:
            found.add(current)
            queue += [name for name in listed[current].upstream if not here(name)]
    return found


def _points(settings: Study) -> list[tuple[Point, str]]:
    """(parameters of an end-to-end model, figure), in the order in which they are worth having.

    First what decides claims; then Figures 4 and 5 with one model for all SNRs, for every seed, so that a study broken
    off has whole curves.
    """
    three = settings.figure3
    listed = []
    for model in settings.deciding.models:
        for bandwidth in model.bandwidths:
            for snr_db in model.snr_db:
                listed.append((_point(model.pool, model.ratio, bandwidth, snr_db, settings.seeds[0]), "claims"))
    for seed in settings.seeds:
        listed += _curves(settings, seed)
    for ladder in three.ladders:
        for ratio in ladder.ratios:
            for bandwidth in ladder.bandwidths:
                listed.append((_point(ladder.pool, ratio, bandwidth, three.snr_db, settings.seeds[0]), "figure3"))
    for ablations in settings.ablations:
        for variant in ablations.variants:
            listed.append((_point(**ablations.point, seed=settings.seeds[0], variant=variant), "ablations"))
    return listed


def _curves(settings: Study, seed: int) -> list[tuple[Point, str]]:
    """The models of Figures 4 and 5 for one seed: `fixed` ones, then `matched` ones, SNR by SNR over all curves."""
    four, five = settings.figure4, settings.figure5

    def figure5(snr_db: float) -> list[tuple[Point, str]]:
        return [(_point(five.pool, five.ratio, bandwidth, snr_db, seed), "figure5")
                for bandwidth in sorted(five.bandwidths, reverse=True)]

    def figure4(snr_db: float, ratios: Collection[float]) -> list[tuple[Point, str]]:
        return [(_point(panel.pool, ratio, panel.bandwidth, snr_db, seed), f"figure4{letter}")
                for letter, panel in four.panels.items() for ratio in ratios]

    listed = figure5(five.fixed_snr_db) + figure4(four.fixed_snr_db, four.ratios)
    # SNR by SNR: a study that is broken off has few SNRs of all curves, not all of few.
    for snr_db in dict.fromkeys([*five.matched_snr_db, *four.matched_snr_db]):
        if snr_db in five.matched_snr_db:
            listed += figure5(snr_db)
        if snr_db in four.matched_snr_db:
            listed += figure4(snr_db, four.matched_ratios)
    return listed


def _point(pool: int, ratio: float, bandwidth: int, snr_db: float, seed: int, variant: str = "proposed") -> Point:
    return {"pool": pool, "ratio": float(ratio), "bandwidth": bandwidth, "snr_db": float(snr_db), "seed": seed,
            "variant": variant}


def settings_for(settings: Study, parameters: Mapping[str, Any]) -> Study:
    """The study as a run of these parameters sees it: a variant may train step 4 by another schedule.

    That schedule stands with the ablations of the run's point; elsewhere, by hand, the first one counts.
    """
    if parameters.get("variant") != "longer_step4":
        return settings.read_as(parameters.get("variant", "proposed"))
    scheduled = [ablations for ablations in settings.ablations if ablations.longer_step4]
    here = [ablations for ablations in scheduled if ablations.point.items() <= parameters.items()]
    return settings.model_copy(update={"end_to_end": (here or scheduled)[0].longer_step4})


def resolved(settings: Study, run: Run, defaults: bool = True) -> dict[str, Any]:
    """All parameters that decide the run's numbers; where the data lies is not among them.

    Without `defaults`, only those that differ from the schema's: so a parameter that is added to the schema, off by
    default, changes no run's origin.
    """
    values = settings_for(settings, run.parameters).model_dump(mode="json", exclude_defaults=not defaults)
    # Each step has a section of its name, and the channel counts where the name says it.
    sections = ["network", "evaluation", "precision", run.step, *["channel"] * bool(settings.channel.ending(run.step))]
    if run.step in ("pretrain", "prune", "autoencoder"):  # these evaluate over no list of SNRs
        values["evaluation"] = {"curve_images": settings.evaluation.curve_images}
    else:
        values["evaluation"]["snr_db"] = settings.snrs_db(run.parameters["snr_db"])
        values["evaluation"].pop("matched_across", None)  # what it decides is that list
    if run.step == "baselines":  # two-step pruning trains as pruning does; the list of runs is not a parameter
        values["baselines"].pop("runs", None)
        sections.append("prune")
    chosen = {section: values[section] for section in sections if section in values}
    return {**settings.data.resolved, **chosen, **run.parameters}
