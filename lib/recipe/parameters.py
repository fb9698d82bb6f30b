"""How a codec is trained for the task on stored features: what a rung of the ladder may change. No torch here."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lib import InputError
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


class Ladder(Strict):
    """The rungs, lowest first, at one point of the unpruned network after pooling 5."""

    bandwidth: int = Field(ge=2)
    snr_db: float
    seed: int = Field(0, ge=0)
    batch_size: int = Field(1000, ge=1)  # of the evaluation
    views: dict[Name, View]
    rungs: dict[Name, Rung]

    @model_validator(mode="after")
    def rungs_use_views_that_there_are(self) -> Self:
        for name, rung in self.rungs.items():
            if missing := [view for view in rung.views if view not in self.views] or (not rung.views and ["none"]):
                raise InputError(f"rungs.{name}: views: there is no view {missing[0]!r}.")
        return self
