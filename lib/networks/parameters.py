"""Which network a study trains, as its YAML says it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lib import InputError
from lib.networks.descriptions import DESCRIPTIONS, described
from lib.schedule import Strict


class Network(Strict):
    name: Literal[*DESCRIPTIONS] = "vgg16_bn"  # type: ignore[valid-type]
    width: float = Field(1.0, gt=0, le=4)
    dropout: float = Field(0.0, ge=0, lt=1)  # before the classifier's layers, in step 1
    bias: bool = True  # of VGG16's convolutions, which batch norm takes away again

    @property
    def place(self) -> str:
        """After what it is split, in words: pooling, stage."""
        return described(self.name).place

    @model_validator(mode="after")
    def only_vgg_has_a_bias(self) -> Self:
        if not self.bias and self.name != "vgg16_bn":
            raise InputError(f"bias is of vgg16_bn: the convolutions of {self.name} never have one.")
        return self
