"""How a codec is trained for the task on stored features: what a rung of the ladder may change. No torch here."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lib import InputError
from lib.channels.parameters import Channel
from lib.schedule import Schedule, Strict

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class View(Strict):
    """Features of training images, once: of the images themselves, or of images changed in some way."""

    every: int = Field(1, ge=1)  # one in so many of the training images
    crops: bool = True  # cropped and flipped as in step 1
    hole: int = Field(0, ge=0, le=32)  # pixels of a black square
    least: float = Field(1.0, gt=0, le=1)  # of an image's area that is enlarged to the whole


class Rung(Strict):
    """One way to train the codec, and what was expected of it before it was tried."""

    about: str
    expect: str
    views: list[Name]  # of the training images; an epoch draws from all of them
    schedule: Schedule
    # L1 to the features (step 3); cross-entropy behind the edge half; or the share of wrong answers there, if each is
    # given with the probability that the receiver gives it.
    loss: Literal["features", "task", "wrong"] = "features"
    distil: float = Field(0.0, ge=0, le=1)  # of the task's loss, the share that is the unpruned net's answer
    temperature: float = Field(2.0, gt=0)  # at which it is asked for that
    train_edge: bool = False  # the edge half too; `schedule.link_lr` is then the link's own rate
    start: Literal["features", "perceptron", "logits", "words"] = "features"  # what the encoder begins with
    neighbours: bool = False  # words of classes that the network confuses lie side by side
    bandwidth: int | None = Field(None, ge=2)  # where they differ from the ladder's
    snr_db: float | None = None
    snr_range: list[float] = Field([], max_length=2)  # least and most dB of one model for all, which knows the SNR

    @model_validator(mode="after")
    def its_parts_fit(self) -> Self:
        if self.loss == "features" and (self.distil or self.train_edge or self.start == "words"):
            raise InputError("A codec that learns features has no part in distillation, the edge half or classes.")
        if self.loss == "wrong" and self.distil:
            raise InputError("Wrong answers are counted against the labels: there is nothing to distil.")
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
    snrs_db: list[float] = []  # of training, where they are not the ladder's
    seeds: list[Annotated[int, Field(ge=0)]] = []


class Ladder(Strict):
    """The rungs, lowest first, at one point of the unpruned network after pooling 5."""

    bandwidth: int = Field(ge=2)
    snr_db: float
    seed: int = Field(0, ge=0)
    batch_size: int = Field(1000, ge=1)  # of the evaluation
    views: dict[Name, View]
    rungs: dict[Name, Rung]
    snrs_db: list[float] = []  # of training, for `over`
    over: dict[Name, Over] = {}
    expect: dict[Name, str] = {}  # of what stands beside them

    @model_validator(mode="after")
    def rungs_use_views_that_there_are(self) -> Self:
        for name, rung in self.rungs.items():
            if missing := [view for view in rung.views if view not in self.views] or (not rung.views and ["none"]):
                raise InputError(f"rungs.{name}: views: there is no view {missing[0]!r}.")
        return self

    @model_validator(mode="after")
    def what_goes_over_channels_can_be_had(self) -> Self:
        for name, entry in self.over.items():
            if entry.rung not in self.rungs or name in self.rungs:
                raise InputError(f"over.{name}: its rung must be one of the ladder's, and its own name none of them.")
            if self.rungs[entry.rung].snr_range:
                raise InputError(f"over.{name}: the rung {entry.rung} draws its own noise, and takes no channel.")
            if unknown := set(entry.also_over) - set(self.over):
                raise InputError(f"over.{name}: also_over: there is no {min(unknown)!r}.")
            if not entry.snrs_db and not self.snrs_db:
                raise InputError(f"over.{name}: there is no SNR to train at.")
            entry.channel.check(self.rungs[entry.rung].bandwidth or self.bandwidth)
        return self
