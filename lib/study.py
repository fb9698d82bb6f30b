"""A study: its parameters, checked, and the list of runs that its figures need.

Everything a profile changes stands in its YAML file; nothing here asks which profile it is.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from lib import InputError, geometry
from lib.schedule import Schedule, Strict

ROOT = Path(__file__).resolve().parent.parent
Variant = Literal["proposed", "no_step3", "no_gdn", "magnitude", "random", "longer_step4"]
Pool = Literal[1, 2, 3, 4, 5]
Ratio = float


class Data(Strict):
    name: Literal["cifar100", "mini"]
    root: str = "data"


class Network(Strict):
    width: float = Field(1.0, gt=0, le=4)


class Evaluation(Strict):
    snr_db: list[float] = Field(min_length=1)
    draws: int = Field(ge=1)
    batch_size: int = Field(250, ge=1)
    curve_images: int = Field(1000, ge=1)  # the first test images, for the learning curves alone
    matched_across: bool = True  # evaluate models trained for other SNRs than fixed_snr_db over all SNRs too


class Prune(Strict):
    filters_per_step: int = Field(512, ge=1)  # a tenth of the filters where there are fewer
    score_images: int = Field(ge=1)  # training images that the Taylor scores average over
    training: Schedule  # after each step


class Threads(Strict):
    """CPU threads of one run; the pretraining has nothing beside it and may take them all."""

    pretrain: int = Field(ge=1)
    others: int = Field(ge=1)


class Ladder(Strict):
    pool: Pool
    ratios: list[Ratio]
    bandwidths: list[int]


class Figure3(Strict):
    snr_db: float = 14.5
    tolerance: float = 0.02  # the allowed drop from the classification baseline
    finite_blocklength: bool = False  # count digital schemes' symbols by the normal approximation, not capacity
    ladders: list[Ladder] = []


class Panel(Strict):
    pool: Pool
    bandwidth: int


class Readings(Strict):
    """Which ratios are read as `fixed` (one model at fixed_snr_db) and as `matched` (a model each SNR)."""

    fixed_snr_db: float = 14.5
    matched_snr_db: list[float] = []


class Figure4(Readings):
    panels: dict[Literal["a", "b"], Panel]
    ratios: list[Ratio]
    matched_ratios: list[Ratio] = []


class Figure5(Readings):
    pool: Pool
    ratio: Ratio
    bandwidths: list[int]


class Ablations(Strict):
    """Variants of one point."""

    pool: Pool
    ratio: Ratio
    bandwidth: int
    snr_db: float
    variants: list[Variant]
    longer_step4: Schedule | None = None  # of the variant of that name, where step 4 is a shortened one

    @model_validator(mode="after")
    def the_longer_step_has_a_schedule(self):
        if "longer_step4" in self.variants and self.longer_step4 is None:
            raise InputError("The variant longer_step4 needs a schedule of that name.")
        return self


class Baseline(Strict):
    """One run of another scheme."""

    scheme: str
    snr_db: float = 14.5
    pool: Pool | None = None
    ratio: Ratio | None = None
    bandwidth: int | None = None
    level: int | None = None  # picture quality, bits a feature or reduced channels, by scheme


class Baselines(Strict):
    """The other schemes: their two training phases (Sec. III of BottleNet++) and their runs."""

    image: Schedule  # DeepJSCC's reconstruction of images, before these
    frozen: Schedule
    everything: Schedule
    jpeg_quality: int = Field(20, ge=1, le=95)  # of BottleNet's codec
    split_layer_ratio: float = Field(0.5, ge=0, lt=1)  # filters that two-step pruning's second step removes there
    learning_images: int = Field(2000, ge=1)  # training images that quantisers and code tables are learned from
    tried_images: int = Field(500, ge=1)  # of these, those with which the separation baseline chooses its code
    block_error: float = Field(1.0e-3, gt=0, lt=0.5)  # block error rate at finite block length
    image_gdn: bool = False  # GDN in DeepJSCC's image autoencoder, which [8] does not have
    runs: list[Baseline] = []


SCHEMES = {"png": (), "jpeg": ("level",), "webp": ("level",), "bottlenet": ("pool", "level"),
           "bottlenet_plus": ("pool", "bandwidth"), "jalad": ("pool", "level"), "two_step": ("pool", "ratio", "level"),
           "deepjscc": ("bandwidth",), "separation": ("pool", "ratio", "bandwidth")}  # and what each needs


class Study(Strict):
    name: str = Field(pattern=r"^[a-z0-9_-]+$")
    about: str
    data: Data
    network: Network
    seeds: list[int] = Field(min_length=1)
    threads: Threads
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16 on a GPU only
    compile: bool = False  # torch.compile, on a GPU only
    evaluation: Evaluation
    pretrain: Schedule
    prune: Prune
    autoencoder: Schedule
    end_to_end: Schedule
    figure3: Figure3
    figure4: Figure4
    figure5: Figure5
    ablations: Ablations | None = None
    baselines: Baselines | None = None

    @model_validator(mode="after")
    def every_point_is_possible(self):
        for run in runs(self):
            check(self, **run.parameters)
        return self

    def threads_of(self, step):
        return self.threads.pretrain if step == "pretrain" else self.threads.others

    def snrs_db(self, trained_snr_db):
        """The SNRs at which a model trained for `trained_snr_db` is evaluated."""
        across = self.evaluation.matched_across or trained_snr_db == self.figure4.fixed_snr_db
        return sorted({*self.evaluation.snr_db, trained_snr_db}) if across else [trained_snr_db]

    @property
    def classes(self):
        return 10 if self.data.name == "mini" else 100


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


def load(path):
    """The checked parameters of a YAML file, or of the profile of that name.

    Raises InputError, in one sentence, for what is missing, unknown, of the wrong type or impossible.
    """
    file = Path(path)
    if file.suffix not in (".yaml", ".yml"):
        file = ROOT / "params" / f"{path}.yaml"
    try:
        content = yaml.safe_load(file.read_text())
        return Study.model_validate(content)
    except OSError as error:
        raise InputError(f"There is no study {str(path)!r}: {file} cannot be read.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not YAML: {' '.join(str(error).split())}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        given = "" if isinstance(first["input"], dict) else f" (given: {first['input']!r})"
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        hint = "; YAML reads 1e-3 as text, write 1.0e-3" if first["type"] == "float_type" else ""
        raise InputError(f"{file.name}: {place + ': ' if place else ''}{message}{given}{hint}.") from error


def check(study, pool=None, ratio=None, bandwidth=None, scheme=None, level=None, **_):
    """Raise InputError when a point cannot be built."""
    if scheme is not None:
        given = {"pool": pool, "ratio": ratio, "bandwidth": bandwidth, "level": level}
        missing = [needed for needed in SCHEMES.get(scheme, ()) if given[needed] is None]
        if scheme not in SCHEMES or missing:
            raise InputError(f"The scheme {scheme!r} needs {' and '.join(missing)}." if missing else
                             f"The scheme must be one of {', '.join(SCHEMES)}, not {scheme!r}.")
    if ratio is not None:
        total = geometry.total_filters(study.network.width, pool)
        least = geometry.FLOOR * sum(geometry.BLOCKS[:pool])
        if geometry.filters_to_remove(total, ratio) > total - least:
            raise InputError(f"A pruning ratio of {ratio} up to pooling {pool} would leave a layer "
                             f"fewer than {geometry.FLOOR} filters.")
    if bandwidth is not None and pool is not None and scheme in (None, "bottlenet_plus"):
        geometry.symbol_channels(pool, bandwidth)


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


def needs(listed, target):
    """A run's name and those of all runs upstream of it."""
    found, queue = set(), [target]
    while queue:
        current = queue.pop()
        if current not in found:
            found.add(current)
            queue += listed[current].upstream
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
    if study.ablations:
        point = study.ablations.model_dump(exclude={"variants", "longer_step4"})
        for variant in study.ablations.variants:
            add("ablations", **point, seed=study.seeds[0], variant=variant)
    return listed


def of_run(study, parameters):
    """The study as a run of these parameters sees it: a variant may train step 4 by another schedule."""
    longer = parameters.get("variant") == "longer_step4"
    return study.model_copy(update={"end_to_end": study.ablations.longer_step4}) if longer else study


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


def _link_share(width, pool, ratio, bandwidth):
    """Multiply-accumulates of encoder and decoder, as a share of the full network's."""
    channels = geometry.widths(width)[sum(geometry.BLOCKS[:pool]) - 1] * (1 - ratio)
    latent, side = geometry.symbol_channels(pool, bandwidth), 32 >> pool
    inner = max(1, side // 2) ** 2
    return (9 * channels * latent * (inner + side**2) + 11 * latent**2 * inner) / (313.8e6 * width**2)


def image_passes(study, run):
    """Roughly the work of a run, in forward passes of one image through the full, unpruned network."""
    images = 5000 if study.data.name == "mini" else 50_000
    tests = images // 5
    p = run.parameters
    share = {None: 1.0, 1: 0.126, 2: 0.306, 3: 0.607, 4: 0.908, 5: 0.998}[p.get("pool")]  # of the MACs, device half
    device = share * (1 - (p.get("ratio") or 0)) ** 2
    linked = run.step in ("autoencoder", "end_to_end")
    link = _link_share(study.network.width, p["pool"], p["ratio"], p["bandwidth"]) if linked else 0.0
    evaluated = study.evaluation.draws * len(study.snrs_db(p["snr_db"])) if "snr_db" in p else 0

    def trained(schedule, cost):
        return 3 * cost * schedule.epochs * min(schedule.images_per_epoch or images, images)

    if run.step == "pretrain":
        return trained(study.pretrain, 1) + study.pretrain.epochs * study.evaluation.curve_images + tests
    if run.step == "prune":
        total = geometry.total_filters(study.network.width, p["pool"])
        before = float(run.upstream[0].split("-r")[1].split("-")[0]) if "-r" in run.upstream[0] else 0.0
        done = geometry.filters_to_remove(total, before)
        count = len(geometry.pruning_steps(total, p["ratio"], done, study.prune.filters_per_step))
        return count * (trained(study.prune.training, 1) + 3 * study.prune.score_images) + tests
    if run.step == "autoencoder":
        return images * device + trained(study.autoencoder, link) + 3 * tests
    if run.step == "end_to_end":
        study = of_run(study, p)
        return (trained(study.end_to_end, 1 - share + device + link)
                + tests * (device + evaluated * (1 - share + link)) + study.end_to_end.epochs * tests / 5)
    if p["scheme"] in ("bottlenet", "bottlenet_plus", "deepjscc"):
        return sum(trained(s, 1) for s in (study.baselines.frozen, study.baselines.everything)) + evaluated * tests
    return len(study.evaluation.snr_db) * tests
