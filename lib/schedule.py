"""How one step is trained: the schedule that `lib.training.fit` takes. No torch, as in lib/geometry.py."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Parameters: unknown names and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Schedule(Strict):
    """The learning rate is the peak of `one_cycle`, the start of `step`."""

    epochs: int = Field(ge=0)
    lr: float = Field(gt=0)
    batch_size: int = Field(128, ge=2)
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(5e-4, ge=0)
    decay: Literal["constant", "step", "one_cycle"] = "constant"
    milestones: list[int] = []  # epochs after which `step` multiplies the rate by gamma
    gamma: float = Field(0.1, gt=0, le=1)
    images_per_epoch: int | None = Field(None, ge=2)  # a random part of the training set, anew each epoch
    # Readings of what the paper leaves open; none is its text.
    link_lr: float | None = Field(None, gt=0)  # of encoder and decoder alone, where they are trained with the network
    clip_norm: float | None = Field(None, gt=0)  # the greatest norm of a step's gradient, over all parameters
    warm_up: float = Field(0, ge=0)  # epochs in which the rate rises linearly from a hundredth, before the others
