"""Which channel a study sends its symbols over, as its YAML says it. No torch here, as in lib/geometry.py."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lib import InputError
from lib.channels.optional import optional
from lib.schedule import Strict

WITHOUT_SIGN = AfterValidator(lambda number: number + 0.0)  # -0.0 is 0.0, and one run
# In dB. Beyond, the noise is 1,000 times as strong or as weak as a symbol: nothing arrives, or nothing is lost.
SNR = Annotated[float, Field(ge=-60, le=60), WITHOUT_SIGN]
FADING = ("k_db", "receiver_knows", "equaliser")
LINE = ("profile", "delay_ns", "spacing_khz", "pilots", "equaliser")
# What each channel takes beside the SNR.
TAKES = {"awgn": (), "fading": FADING, "fast_fading": FADING, "erasure": ("p", "packet"), "peak_limited": ("papr_db",),
         "tdl": LINE}
NEEDS = {"erasure": "p", "peak_limited": "papr_db"}


class Channel(Strict):
    """One channel; without anything said, noise alone."""

    name: Literal[*TAKES] = "awgn"  # type: ignore[valid-type]
    k_db: float | None = Field(None, ge=-60, le=60)  # direct over scattered power, in dB; none at all is Rayleigh
    receiver_knows: bool = True  # the gain, and takes it out again
    equaliser: Literal["zero_forcing", "mmse"] = "zero_forcing"
    p: float | None = Field(None, ge=0, lt=1)  # probability of an erasure
    packet: int = Field(1, ge=1, le=2**16)  # symbols that are erased together
    papr_db: float | None = Field(None, ge=0, le=60)  # greatest peak-to-average power of the complex symbols, in dB
    # An OFDM symbol over a tapped delay line of 3GPP TR 38.901, by Sionna.
    profile: Literal["A", "B", "C", "D", "E"] = "C"
    delay_ns: float = Field(300.0, ge=0, le=1e5)  # RMS delay spread
    spacing_khz: float = Field(30.0, gt=0, le=1e4)  # of the subcarriers
    pilots: int = Field(0, ge=0, le=1024)  # subcarriers from which the receiver estimates the gains; 0: it knows them

    @model_validator(mode="after")
    def the_channel_has_what_it_needs_and_no_more(self) -> Self:
        given = [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]
        # Refused, because a parameter without effect would still change a run's hash.
        others = {name for names in TAKES.values() for name in names} - set(TAKES[self.name])
        if unused := [name for name in given if name in others]:
            raise InputError(f"The channel {self.name!r} takes no {' and no '.join(unused)}.")
        if (needed := NEEDS.get(self.name)) and needed not in given:
            raise InputError(f"The channel {self.name!r} needs {needed}.")
        if not self.receiver_knows and self.equaliser != "zero_forcing":
            raise InputError("A receiver that does not know the gain has no equaliser.")
        return self

    @property
    def label(self) -> str:
        """Its name in those of runs: `rayleigh`, `rician3-unknown`, `erasure0.1x8`."""
        if self.name == "awgn":
            return "awgn"
        if self.name == "erasure":
            return f"erasure{self.p:g}" + (f"x{self.packet}" if self.packet > 1 else "")
        if self.name == "peak_limited":
            return f"papr{self.papr_db:g}"
        mmse = "-mmse" if self.equaliser == "mmse" else ""
        if self.name == "tdl":
            pilots = f"-pilots{self.pilots}" if self.pilots else ""
            return f"tdl{self.profile}{self.delay_ns:g}x{self.spacing_khz:g}{pilots}{mmse}"
        kind = "rayleigh" if self.k_db is None else f"rician{self.k_db:g}"
        fast = "fast-" if self.name == "fast_fading" else ""
        receiver = "" if self.receiver_knows else "-unknown"
        return fast + kind + receiver + mmse

    def require(self) -> None:
        """Raise InputError where a package is missing without which nothing can be sent over it."""
        if self.name == "tdl":
            optional("sionna")

    def check(self, bandwidth: int | None, scheme: str | None = None) -> None:
        """Raise InputError where it cannot take so many real symbols, or another scheme's."""
        if scheme is not None and self.name != "awgn":
            raise InputError(f"The other schemes are measured over awgn alone, and {scheme!r} stands beside the "
                             f"channel {self.name!r}: leave baselines out.")
        if bandwidth is None:
            return
        if self.name in ("fading", "fast_fading", "peak_limited", "tdl") and bandwidth % 2:
            raise InputError(f"The channel {self.name!r} takes pairs of real symbols as complex ones, "
                             f"so that a bandwidth must be even, not {bandwidth}.")
        if 2 * self.pilots > bandwidth:
            raise InputError(f"{self.pilots} pilots are more than the {bandwidth // 2} subcarriers of {bandwidth} real "
                             "symbols.")
        if self.packet > bandwidth:
            raise InputError(f"A packet of {self.packet} symbols is more than the {bandwidth} that are sent.")


class StudyChannel(Channel):
    """What a study's models are evaluated over, and trained on unless that is another channel."""

    trained_on: Channel | None = None

    @model_validator(mode="after")
    def training_differs(self) -> Self:
        if self.trained_on is not None and self.trained_on.label == self.label:
            raise InputError(f"channel.trained_on is the same channel, {self.label}: leave it out.")
        return self

    def check(self, bandwidth: int | None, scheme: str | None = None) -> None:
        """As of a channel, for both, and that both can be had here."""
        super().check(bandwidth, scheme)
        self.require()
        if self.trained_on is not None:
            self.trained_on.check(bandwidth, scheme)
            self.trained_on.require()

    @property
    def training(self) -> Channel:
        """What steps 3 and 4 train on."""
        return self if self.trained_on is None else self.trained_on

    def ending(self, step: str) -> str:
        """What it adds to the name of a run; nothing for AWGN, so that no run of such a study changes its name."""
        if step not in ("autoencoder", "end_to_end"):
            return ""  # these know no channel
        ending = "" if self.training.name == "awgn" else f"-{self.training.label}"
        if step == "end_to_end" and self.trained_on is not None:
            ending += f"-over-{self.label}"
        return ending


def sent_over(parameters: dict[str, Any]) -> dict[str, str]:
    """Columns of a run's table: what its symbols were evaluated over, and trained on; none of a run that sends none."""
    if "bandwidth" not in parameters:
        return {}
    over = StudyChannel(**parameters.get("channel", {}))
    return {"channel": over.label, "trained_on": over.training.label}
