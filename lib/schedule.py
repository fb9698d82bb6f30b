"""How one step is trained: the schedule that `lib.training.fit` takes. No torch, as in lib/geometry.py."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lib import InputError

MOST = 50_000  # images in a training set: the greatest number of images or of epochs that makes sense


class Strict(BaseModel):
    """Parameters: unknown names and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Schedule(Strict):
    """The learning rate is the peak of `one_cycle`, the start of `step`."""

    epochs: int = Field(ge=0, le=MOST)
    lr: float = Field(gt=0, le=1e6)
    batch_size: int = Field(128, ge=2, le=MOST)
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(5e-4, ge=0, le=1e6)
    decay: Literal["constant", "step", "one_cycle"] = "constant"
    milestones: list[Annotated[int, Field(ge=1, le=MOST)]] = []  # epochs after which `step` multiplies by gamma
    gamma: float = Field(0.1, gt=0, le=1)
    images_per_epoch: int | None = Field(None, ge=2, le=MOST)  # a random part of the training set, anew each epoch
    # Readings of what the paper leaves open; none is its text.
    link_lr: float | None = Field(None, gt=0, le=1e6)  # of the link alone, trained with the network
    clip_norm: float | None = Field(None, gt=0)  # the greatest norm of a step's gradient, over all parameters
    warm_up: float = Field(0, ge=0)  # epochs in which the rate rises linearly from a hundredth, before the others

    @model_validator(mode="after")
    def settings_go_together(self) -> Self:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise InputError("nesterov needs sgd with a momentum above 0.")
        if self.milestones and self.decay != "step":
            raise InputError(f"milestones are of the decay 'step', not {self.decay!r}.")
        if self.warm_up and self.warm_up >= self.epochs:
            raise InputError(f"warm_up must be shorter than the {self.epochs} epochs.")
        return self
