"""What one model for all SNRs and bandwidths is trained and compared with. No torch here."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from lib import InputError
from lib.channels.parameters import SNR
from lib.recipe.net_parameters import Name, Temperature
from lib.schedule import MOST, Schedule, Strict

Bandwidth = Annotated[int, Field(ge=2, le=2**16)]
HIDDEN = 256  # units of each end's first layer, where nothing else is said


class Variant(Strict):
    """What the one model alone may be given more of than those of its points have."""

    about: str
    expect: str
    schedule: Schedule | None = None
    hidden: int | None = Field(None, ge=1, le=MOST)


class OneModel(Strict):
    """One model for a range of SNRs and several bandwidths, and beside it a model of its own for each point."""

    about: str
    expect: str
    net: Name | None = None
    views: list[Name]
    bandwidths: list[Bandwidth] = Field(min_length=1)  # a prefix of the symbols is sent
    snr_range: list[SNR] = Field(min_length=2, max_length=2)  # least and most dB that it is trained at
    snrs_db: list[SNR] = Field(min_length=1)  # where it is tried, and where the others are trained
    fixed_db: SNR  # the SNR of those that are tried at all
    schedule: Schedule  # of every model alike
    hidden: int = Field(HIDDEN, ge=1, le=MOST)
    variants: dict[Name, Variant] = {}  # the one model again, against the same models of its points
    distil: float = Field(0.75, ge=0, le=1)
    temperature: Temperature = 2.0

    @model_validator(mode="after")
    def its_points_can_be_had(self) -> Self:
        if self.snr_range[0] >= self.snr_range[1]:
            raise InputError("one_model: snr_range is the least SNR, then the most.")
        if self.fixed_db not in self.snrs_db:
            raise InputError(f"one_model: fixed_db must be one of snrs_db, not {self.fixed_db:g}.")
        if len(set(self.bandwidths)) < len(self.bandwidths) or len(set(self.snrs_db)) < len(self.snrs_db):
            raise InputError("one_model: a bandwidth or an SNR is there twice.")
        return self
