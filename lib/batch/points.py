"""The parameters of one run: where its network is split, how far it is pruned, what it sends over which channel."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lib import InputError
from lib.channels.parameters import SNR, WITHOUT_SIGN
from lib.schedule import Strict

# Those that every study knows; a study's `readings` add others.
VARIANTS = ("proposed", "no_step3", "no_gdn", "magnitude", "random", "longer_step4")
Variant = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
Pool = Annotated[int, Field(ge=1, le=5)]
Ratio = Annotated[float, Field(ge=0, lt=1), WITHOUT_SIGN]
Bandwidth = Annotated[int, Field(ge=1, le=2**16)]  # symbols; the largest map that is ever split has as many values
Seed = Annotated[int, Field(ge=0, lt=2**31)]
# The other schemes, and what each needs.
SCHEMES = {"png": (), "jpeg": ("level",), "webp": ("level",), "bottlenet": ("pool", "level"),
           "bottlenet_plus": ("pool", "bandwidth"), "jalad": ("pool", "level"), "two_step": ("pool", "ratio", "level"),
           "deepjscc": ("bandwidth",), "separation": ("pool", "ratio", "bandwidth"),
           "label": ("pool", "ratio", "bandwidth")}
PICTURES = ("png", "jpeg", "webp")  # those that send the image as a file, whatever the network
# What `level` is for each scheme, as a column of the results, and the greatest; checks.py limits BottleNet's.
LEVELS = {"jpeg": ("picture_quality", 100), "webp": ("picture_quality", 100), "jalad": ("feature_bits", 8),
          "two_step": ("feature_bits", 8), "bottlenet": ("reduced_channels", float("inf"))}


class Pretraining(Strict):
    """What tells one run of step 1 from another."""

    seed: Seed


class Pruning(Pretraining):
    """What tells one run of step 2 from another: each is a stop on the pruning chain of its split."""

    pool: Pool
    ratio: Ratio
    variant: Variant


class Model(Pruning):
    """What tells one run of steps 3 and 4 from another."""

    bandwidth: Bandwidth
    snr_db: SNR


class Baseline(Strict):
    """One run of another scheme."""

    # From the table above, so that a scheme is named once.
    scheme: Literal[*SCHEMES]  # type: ignore[valid-type]
    snr_db: SNR = 14.5
    pool: Pool | None = None
    ratio: Ratio | None = None
    bandwidth: Bandwidth | None = None
    level: int | None = Field(None, ge=1)  # picture quality, bits a feature or reduced channels, by scheme

    @model_validator(mode="after")
    def the_scheme_has_what_it_needs_and_no_more(self) -> Self:
        needed = SCHEMES[self.scheme]
        given = [name for name in ("pool", "ratio", "bandwidth", "level") if getattr(self, name) is not None]
        # Refused both ways: a parameter that has no effect would still change a run's name and
        # hash.
        if missing := [name for name in needed if name not in given]:
            raise InputError(f"The scheme {self.scheme!r} needs {' and '.join(missing)}.")
        if unused := [name for name in given if name not in needed]:
            raise InputError(f"The scheme {self.scheme!r} takes no {' and no '.join(unused)}.")
        # Here and not when the run starts, which may be hours later.
        if self.scheme in LEVELS and (self.level or 0) > LEVELS[self.scheme][1]:
            raise InputError(f"The level of {self.scheme!r} is 1 to {LEVELS[self.scheme][1]}, not {self.level}.")
        if self.scheme == "deepjscc" and (self.bandwidth or 0) % 64:
            raise InputError(f"DeepJSCC sends a positive multiple of 64 symbols, not {self.bandwidth}.")
        if self.scheme == "label" and (self.bandwidth or 0) < 2:
            raise InputError(f"The label code is sent in 2 symbols or more, not {self.bandwidth}.")
        return self


class OtherScheme(Baseline, Pretraining):
    """What tells one run of another scheme from others."""

    # Without a default: by hand it has to be said.
    snr_db: SNR


# The parameters of a run, which tell it from others of its step.
RUN_PARAMETERS: dict[str, type[Strict]] = {
    "pretrain": Pretraining, "prune": Pruning, "autoencoder": Model, "end_to_end": Model, "baselines": OtherScheme}


def columns(parameters: dict[str, Any]) -> dict[str, Any]:
    """A run's parameters under the names that they have in the table of results, where no name has two meanings."""
    # Nested sections of the study (schedules) are no columns; the YAML has them.
    named = {key: value for key, value in parameters.items() if not isinstance(value, dict) and key != "level"}
    level = {LEVELS[parameters["scheme"]][0]: parameters["level"]} if parameters.get("level") else {}
    # A run was trained at one SNR and is evaluated at many.
    named["train_snr_db"] = named.pop("snr_db", None)
    return {**named, **level}
