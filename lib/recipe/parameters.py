"""How a codec is trained for the task on stored features: what a rung of the ladder may change. No torch here."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lib import InputError, geometry
from lib.channels.parameters import SNR, Channel
from lib.recipe.any_point_parameters import Bandwidth, OneModel
from lib.recipe.net_parameters import SCRATCH, Name, Net, Taught, Temperature
from lib.schedule import MOST, Schedule, Strict

Seed = Annotated[int, Field(ge=0, lt=2**31)]
EARLIEST_ON_FEATURES = 4  # the pooling from which on the edge half is small enough to be trained on stored features
TAKEN = {"clean", "one_model", "separation", SCRATCH}  # by what stands beside rungs


class View(Strict):
    """Features of training images, once: of the images themselves, or of images changed in some way."""

    every: int = Field(1, ge=1, le=MOST)  # one in so many of the training images
    crops: bool = True  # cropped and flipped as in step 1
    hole: int = Field(0, ge=0, le=32)  # pixels of a black square
    least: float = Field(1.0, gt=0, le=1)  # of an image's area that is enlarged to the whole


class Rung(Strict):
    """One way to train the codec, and what was expected of it before it was tried."""

    about: str
    expect: str
    net: Name | None = None  # whose features: the pretrained network's, where none is named
    control: Name | None = None  # a net to be compared with: the unpruned network, trained for as long as `net`
    pool: int = Field(5, ge=1, le=5)  # the split; what lies behind it is the edge half
    views: list[Name]  # of the training images; an epoch draws from all of them
    schedule: Schedule
    # L1 to the features (step 3); cross-entropy behind the edge half; or the share of wrong answers there, if each is
    # given with the probability that the receiver gives it.
    loss: Literal["features", "task", "wrong"] = "features"
    distil: float = Field(0.0, ge=0, le=1)  # of the task's loss, the share that is the net's own answer
    temperature: Temperature = 2.0  # at which it is asked for that
    train_edge: bool = False  # the edge half too; `schedule.link_lr` is then the link's own rate
    start: Literal["features", "perceptron", "logits", "words"] = "features"  # what the encoder begins with
    neighbours: bool = False  # words of classes that the network confuses lie side by side
    bandwidth: Bandwidth | None = None  # where they differ from the ladder's
    snr_db: SNR | None = None
    snr_range: list[SNR] = Field([], max_length=2)  # least and most dB of one model for all, which knows the SNR
    # Afterwards both halves and the codec are trained together on images (step 4), by the net's teacher.
    # `schedule.link_lr` is the codec's own rate.
    whole: Taught | None = None

    @model_validator(mode="after")
    def its_parts_fit(self) -> Self:
        if self.loss == "features" and (self.distil or self.train_edge or self.start == "words"):
            raise InputError("A codec that learns features has no part in distillation, the edge half or classes.")
        if self.loss == "wrong" and self.distil:
            raise InputError("Wrong answers are counted against the labels: there is nothing to distil.")
        if self.pool != 5 and self.start in ("words", "logits"):
            raise InputError("A device that classifies has all convolutions: words and logits are of pooling 5.")
        if self.pool != 5 and self.loss != "features" and not self.train_edge:
            raise InputError("Before pooling 5 the edge half has batch norm, which is trained too: train_edge.")
        if self.pool < EARLIEST_ON_FEATURES and (self.loss, self.start) != ("features", "features"):
            raise InputError(f"Before pooling {EARLIEST_ON_FEATURES} most of the network is behind the split: the "
                             "paper's codec is trained there on features (loss and start: features), then all on "
                             "images (whole).")
        if self.whole and self.loss != "features" and (self.loss != "task" or not self.train_edge):
            raise InputError("The whole is trained after a codec that learnt features, or one that was trained for the "
                             "task, and the edge half with it: loss task, train_edge.")
        if self.neighbours and self.start != "words":
            raise InputError("Only words have neighbours.")
        if self.snr_range and (self.start != "words" or self.snr_range != sorted(set(self.snr_range))[-2:]
                               or len(self.snr_range) < 2):
            raise InputError("A range of SNRs is the least and the most, of a codec that starts at words.")
        return self


class Symbols(Strict):
    """A discrete constellation in the place of free symbols."""

    order: Literal[16, 64]
    learned: bool = False
    gradient: Literal["soft", "identity", "noise"] = "soft"  # in the place of rounding's (lib.channels.constellation)

    @model_validator(mode="after")
    def only_soft_gradients_move_points(self) -> Self:
        if self.learned and self.gradient != "soft":
            raise InputError(f"Learned points have a soft gradient, not {self.gradient!r}.")
        return self


class Over(Strict):
    """Models of a rung sent over a channel: one for each SNR of training and each seed."""

    about: str
    expect: str
    rung: Name  # how they are trained
    channel: Channel = Channel()
    symbols: Symbols | None = None
    also_over: list[Name] = []  # entries over whose channels the same models are tried too
    snrs_db: list[SNR] = []  # of training, where they are not the ladder's
    seeds: list[Seed] = []


class Repeats(Strict):
    """Rungs whose codec is trained with other seeds too, on the same features: how far chance moves an accuracy."""

    seeds: list[Seed] = Field(min_length=1)
    rungs: list[Name]


class Aim(Strict):
    """What a codec is to reach at the ladder's SNR: a split, its symbols, and how near its own unpruned network."""

    pool: int = Field(ge=1, le=5)
    bandwidth: Bandwidth
    operations: float | None = Field(None, gt=0)  # of the device, in 10⁶, at most
    ratio: float | None = Field(None, gt=0, lt=1)  # of the filters before the split that are gone, at least
    below: float = Field(2.0, gt=0)  # points on each half of the test images, at most


class Ladder(Strict):
    """The rungs, lowest first, at one point of a network after pooling 5, where a rung says no other."""

    bandwidth: Bandwidth
    snr_db: SNR
    seed: Seed = 0
    batch_size: int = Field(1000, ge=1, le=MOST)  # of the evaluation
    nets: dict[Name, Net] = {}  # beside the pretrained network
    views: dict[Name, View]
    rungs: dict[Name, Rung]
    repeats: Repeats | None = None
    one_model: OneModel | None = None
    snrs_db: list[SNR] = []  # of training, for `over`
    over: dict[Name, Over] = {}
    expect: dict[Name, str] = {}  # of what stands beside them
    aims: list[Aim] = []

    @property
    def ones(self) -> dict[str, OneModel]:
        """The one model and its variants by the names of their records; none where the ladder has no such model."""
        one = self.one_model
        return {} if one is None else {"one_model": one, **{
            name: one.model_copy(update={key: value for key, value in variant if value is not None})
            for name, variant in one.variants.items()}}

    def unpruned(self, net: str | None) -> str | None:
        """What a net was before the first filter of it was removed, which may be the net itself; None: pretrained."""
        return next((earlier.of for earlier in reversed(self._line(net)) if earlier.prune is not None), net)

    def pruned(self, net: str | None) -> tuple[int | None, float]:
        """(pooling, share of the filters before it) of a net's last pruning; (None, 0) where it never was pruned."""
        last = next((earlier.prune for earlier in self._line(net) if earlier.prune is not None), None)
        return (last.pool, last.ratio) if last else (None, 0.0)

    def _line(self, net: str | None) -> list[Net]:
        """A net and those that it comes from, the latest first."""
        found = []
        while net not in (None, SCRATCH):
            found.append(self.nets[net])
            net = found[-1].of
        return found

    @model_validator(mode="after")
    def views_and_nets_are_there(self) -> Self:
        one = {} if self.one_model is None else {"one_model": self.one_model}
        for name, rung in {**{f"rungs.{name}": rung for name, rung in self.rungs.items()}, **one}.items():
            if missing := [view for view in rung.views if view not in self.views] or (not rung.views and ["none"]):
                raise InputError(f"{name}: views: there is no view {missing[0]!r}.")
            for role in ("net", "control"):
                if (net := getattr(rung, role, None)) is not None and net not in self.nets:
                    raise InputError(f"{name}: {role}: there is no net {net!r}.")
        for rung in self.rungs.values():  # as the link itself would refuse it, but after its features
            geometry.symbol_channels(rung.pool, rung.bandwidth or self.bandwidth)
        return self

    @model_validator(mode="after")
    def repeats_are_of_rungs(self) -> Self:
        if self.repeats:
            if unknown := set(self.repeats.rungs) - set(self.rungs):
                raise InputError(f"repeats: there is no rung {min(unknown)!r}.")
            if self.seed in self.repeats.seeds or len(set(self.repeats.seeds)) < len(self.repeats.seeds):
                raise InputError("repeats: a seed is there twice, or is the ladder's own.")
        return self

    @model_validator(mode="after")
    def nets_begin_as_nets_before_them(self) -> Self:
        others, variants = {*self.rungs, *self.nets, *self.over}, {*self.ones} - {"one_model"}
        if taken := TAKEN & (others | variants) or others & variants:
            raise InputError(f"The name {min(taken)!r} is taken by what stands beside the rungs.")
        before = set()
        for name, net in self.nets.items():
            if net.of not in {None, SCRATCH, *before}:
                raise InputError(f"nets.{name}: of: there is no net {net.of!r} before it.")
            if net.teacher not in {None, *before}:
                raise InputError(f"nets.{name}: teacher: there is no net {net.teacher!r} before it.")
            if name in self.rungs or name in self.over:
                raise InputError(f"nets.{name}: a rung has this name.")
            before.add(name)
        return self

    @model_validator(mode="after")
    def what_goes_over_channels_can_be_had(self) -> Self:
        for name, entry in self.over.items():
            if entry.rung not in self.rungs or name in self.rungs:
                raise InputError(f"over.{name}: its rung must be one of the ladder's, and its own name none of them.")
            if self.rungs[entry.rung].snr_range:
                raise InputError(f"over.{name}: the rung {entry.rung} draws its own noise, and takes no channel.")
            if self.rungs[entry.rung].whole:
                raise InputError(f"over.{name}: its models are trained on stored features, not as a whole.")
            if unknown := set(entry.also_over) - set(self.over):
                raise InputError(f"over.{name}: also_over: there is no {min(unknown)!r}.")
            if not entry.snrs_db and not self.snrs_db:
                raise InputError(f"over.{name}: there is no SNR to train at.")
            snrs_db, bandwidth = entry.snrs_db or self.snrs_db, self.rungs[entry.rung].bandwidth or self.bandwidth
            if len(set(snrs_db)) < len(snrs_db) or len(set(entry.seeds)) < len(entry.seeds):
                raise InputError(f"over.{name}: an SNR or a seed is there twice.")
            if entry.symbols is not None and bandwidth % 2:
                raise InputError(f"over.{name}: symbols of a constellation are pairs, so that a bandwidth must be "
                                 f"even, not {bandwidth}.")
            for other in [name, *entry.also_over]:  # the same models are tried over these
                self.over[other].channel.check(bandwidth)
        return self
