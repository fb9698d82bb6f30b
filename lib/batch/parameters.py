"""The parameters of a study, as its YAML file gives them: every name, type and range is checked."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from lib import InputError
from lib.batch.points import SNR, VARIANTS, Bandwidth, Baseline, Pool, Ratio, Seed, Variant
from lib.channels.parameters import StudyChannel
from lib.datasets.parameters import Data
from lib.networks.parameters import Network
from lib.recipe import parameters as recipe
from lib.schedule import MOST, Schedule, Strict


class Training(Schedule):
    """Of a step that is nothing without it."""

    epochs: int = Field(ge=1, le=MOST)


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Nested values with some of them changed."""
    return values | {key: _merged(values[key], change) if isinstance(change, dict) and key in values else change
                     for key, change in changes.items()}


Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$", max_length=100)]  # of a folder in outputs/, and never out of it


class Evaluation(Strict):
    snr_db: list[SNR] = Field(min_length=1)
    draws: int = Field(ge=1, le=1000)
    batch_size: int = Field(250, ge=1, le=MOST)
    curve_images: int = Field(1000, ge=1, le=MOST)  # test images of all classes, for the learning curves alone
    matched_across: bool = True  # evaluate models trained for other SNRs than fixed_snr_db over all SNRs too


class Prune(Strict):
    filters_per_step: int = Field(512, ge=1, le=MOST)  # a tenth of the filters where there are fewer
    score_images: int = Field(ge=1, le=MOST)  # training images that the Taylor scores average over
    training: Schedule  # after each step
    tenths: bool = True  # where filters_per_step is more than there are: a tenth of them a step, else all in one cut
    criterion: Literal["taylor", "signed_taylor"] = "taylor"  # the second as a widely copied implementation has it


class Threads(Strict):
    """CPU threads of one run; the pretraining has nothing beside it and may take them all."""

    pretrain: int = Field(ge=1, le=256)
    others: int = Field(ge=1, le=256)


class Ladder(Strict):
    pool: Pool
    ratios: list[Ratio]
    bandwidths: list[Bandwidth]


class Figure3(Strict):
    snr_db: SNR = 14.5
    tolerance: float = Field(0.02, ge=0, lt=1)  # the allowed drop from the classification baseline
    finite_blocklength: bool = False  # count digital schemes' symbols by the normal approximation, not capacity
    ladders: list[Ladder] = []


class Panel(Strict):
    pool: Pool
    bandwidth: Bandwidth


class Readings(Strict):
    """Which ratios are read as `fixed` (one model at fixed_snr_db) and as `matched` (a model each SNR)."""

    fixed_snr_db: SNR = 14.5
    matched_snr_db: list[SNR] = []


class Figure4(Readings):
    panels: dict[Literal["a", "b"], Panel]
    ratios: list[Ratio]
    matched_ratios: list[Ratio] = []


class Figure5(Readings):
    pool: Pool
    ratio: Ratio
    bandwidths: list[Bandwidth]


class Ablations(Strict):
    """Variants of one point."""

    pool: Pool
    ratio: Ratio
    bandwidth: Bandwidth
    snr_db: SNR
    variants: list[Variant]
    longer_step4: Training | None = None  # of the variant of that name, where step 4 is a shortened one

    @model_validator(mode="after")
    def the_longer_step_has_a_schedule(self) -> Self:
        if "longer_step4" in self.variants and self.longer_step4 is None:
            raise InputError("The variant longer_step4 needs a schedule of that name.")
        return self

    @property
    def point(self) -> dict[str, Any]:
        """Under the names of a model's parameters."""
        return self.model_dump(include={"pool", "ratio", "bandwidth", "snr_db"})


class Baselines(Strict):
    """The other schemes: their two training phases (Sec. III of BottleNet++) and their runs."""

    image: Training  # DeepJSCC's reconstruction of images, before these
    frozen: Training
    everything: Training
    jpeg_quality: int = Field(20, ge=1, le=95)  # of BottleNet's codec
    split_layer_ratio: float = Field(0.5, ge=0, lt=1)  # filters that two-step pruning's second step removes there
    learning_images: int = Field(2000, ge=1, le=MOST)  # training images for quantisers and code tables
    tried_images: int = Field(500, ge=1, le=MOST)  # of these, those for choosing the separation baseline's code
    block_error: float = Field(1.0e-3, gt=0, lt=0.5)  # block error rate at finite block length
    image_gdn: bool = False  # GDN in DeepJSCC's image autoencoder, which [8] does not have
    runs: list[Baseline] = []


class Reading(Strict):
    """Another reading of what the paper leaves open: a variant that differs in these parameters of the study."""

    about: str
    prune: dict[str, Any] = {}
    autoencoder: dict[str, Any] = {}
    end_to_end: dict[str, Any] = {}


class DecidingModels(Strict):
    """Models of one pruned net, at these bandwidths and SNRs of training."""

    pool: Pool
    ratio: Ratio
    bandwidths: list[Bandwidth]
    snr_db: list[SNR] = [14.5]


class Deciding(Strict):
    """What decides claims, in the order of its worth: `--only claims`, and first in the whole study."""

    models: list[DecidingModels] = []
    schemes: list[Baseline] = []  # of those that `baselines` lists


class Study(Strict):
    name: Name
    about: str
    data: Data
    channel: StudyChannel = StudyChannel()
    network: Network
    seeds: list[Seed] = Field(min_length=1)
    threads: Threads
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16 on a GPU, or a CPU that multiplies it
    cuda_graphs: bool = True  # training steps recorded once and replayed, on a GPU only
    evaluation: Evaluation
    pretrain: Training
    pretrain_from: Name | None = None  # another study, whose step 1 is the same and serves this one too
    prune: Prune
    autoencoder: Training
    end_to_end: Training
    figure3: Figure3
    figure4: Figure4
    figure5: Figure5
    ablations: list[Ablations] = []  # in the file also a single one
    baselines: Baselines | None = None
    deciding: Deciding = Deciding()
    readings: dict[Variant, Reading] = {}
    ladder: recipe.Ladder | None = None  # how the codec was tried for few symbols (lib.ladder)
    _source: str = PrivateAttr("")  # set by lib.study.load

    @field_validator("ablations", mode="before")
    @classmethod
    def a_single_point_is_a_list_of_one(cls, given: Any) -> Any:
        if given is None:
            return []
        return [given] if isinstance(given, dict) else given

    def read_as(self, variant: str) -> Self:
        """The study with the parameters of one of its readings; as it is for any other variant."""
        reading = self.readings.get(variant)
        if reading is None:
            return self
        changed = {}
        for section in ("prune", "autoencoder", "end_to_end"):
            if getattr(reading, section):
                own = getattr(self, section)
                changed[section] = type(own).model_validate(_merged(own.model_dump(), getattr(reading, section)))
        return self.model_copy(update=changed)

    @model_validator(mode="after")
    def readings_make_sense(self) -> Self:
        for name in self.readings:
            if name in VARIANTS:
                raise InputError(f"readings.{name}: every study has a variant of this name, take another one.")
            if self.read_as(name) == self:
                raise InputError(f"readings.{name} changes nothing.")
        return self

    @model_validator(mode="after")
    def what_decides_is_listed(self) -> Self:
        listed = self.baselines.runs if self.baselines else []
        for scheme in self.deciding.schemes:
            if scheme not in listed:
                given = scheme.model_dump(exclude_defaults=True)
                raise InputError(f"deciding.schemes names a run that baselines.runs does not list: {given}.")
        return self

    @model_validator(mode="after")
    def each_point_has_one_list_of_variants(self) -> Self:
        points = [item.point for item in self.ablations]
        for point in points:
            if points.count(point) > 1:
                raise InputError(f"The ablations list this point twice: {point}.")
        return self

    @property
    def source(self) -> str:
        """What `lib.study.load` finds it by, anywhere: the name of a file in params/, else the file's path."""
        return self._source

    @property
    def title(self) -> str:
        """What figures call it: its name, and its channel where that is another than AWGN."""
        return self.name + self.channel.ending("end_to_end")

    def threads_of(self, step: str) -> int:
        return self.threads.pretrain if step == "pretrain" else self.threads.others

    def snrs_db(self, trained_snr_db: SNR) -> list[float]:
        """The SNRs at which a model trained for `trained_snr_db` is evaluated."""
        across = self.evaluation.matched_across or trained_snr_db == self.figure4.fixed_snr_db
        if not across:
            return [trained_snr_db]
        return sorted({*self.evaluation.snr_db, trained_snr_db})

    @property
    def classes(self) -> int:
        return self.data.counts[0]
