"""How a network becomes another one: what a net of the ladder may change. No torch here."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from lib import InputError
from lib.schedule import MOST, Schedule, Strict

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]  # of a file in outputs/
Temperature = Annotated[float, Field(ge=0.01, le=100)]  # beyond, answers are of one class alone, or of all alike
SCRATCH = "scratch"  # the net that is not trained at all: random weights


class Pruning(Strict):
    """Which filters a net loses before it is trained: the lowest Taylor scores, some at a time (Sec. II-D, step 2)."""

    pool: int = Field(5, ge=1, le=5)  # of the filters before this pooling layer
    ratio: float = Field(gt=0, lt=1)
    filters_per_step: int = Field(512, ge=1, le=MOST)
    score_images: int = Field(5000, ge=1, le=MOST)
    # Scores are divided by this power of the multiply-accumulates that the device saves with a filter. At 1, early
    # layers keep next to nothing: Taylor scores are normalised in each layer, and their filters cost 30 times as much.
    per_operation: float = Field(0.0, ge=0, le=1)
    between: Schedule  # of the training after each cut but the last


class Taught(Strict):
    """A training on images, cropped and flipped, of a network or of all of a system; with a teacher or without one."""

    schedule: Schedule
    smoothing: float = Field(0.0, ge=0, lt=1)  # of the labels (Szegedy et al., 2016)
    hole: int = Field(0, ge=0, le=32)  # of training images, beside crops and flips: as in a view
    least: float = Field(1.0, gt=0, le=1)
    distil: float = Field(0.0, ge=0, le=1)  # of the loss, the share that is the teacher's answer
    temperature: Temperature = 2.0


class Net(Taught):
    """A network that another one becomes by training, and by pruning before it, where it says so."""

    about: str
    expect: str
    # The net it begins as, and its teacher: the pretrained one, where none is named. `scratch`: random weights.
    of: Name | None = None
    teacher: Name | None = None  # an earlier net in the place of the one that it begins as
    prune: Pruning | None = None

    @model_validator(mode="after")
    def it_has_what_it_asks_for(self) -> Self:
        if self.of == SCRATCH and (self.prune or self.distil and not self.teacher):
            raise InputError("A net that begins at random weights has no scores to prune by, and no teacher (distil) "
                             "unless one is named.")
        if self.teacher and not self.distil:
            raise InputError("Without distil a teacher teaches nothing.")
        if self.schedule.link_lr or self.prune and self.prune.between.link_lr:
            raise InputError("A net has no link that a rate of its own (link_lr) could be of.")
        return self
