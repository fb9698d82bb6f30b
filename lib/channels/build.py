"""A channel from a study's parameters."""

from torch import nn

from lib.channels.awgn import AWGN
from lib.channels.fading import Fading
from lib.channels.losses import Erasure, PeakLimited
from lib.channels.parameters import Channel
from lib.channels.tdl import TDL


def build(spec: Channel, snr_db: float) -> nn.Module:
    """The channel that a study's parameters name, at an SNR in dB."""
    if spec.name in ("fading", "fast_fading"):
        return Fading(snr_db, float("-inf") if spec.k_db is None else spec.k_db, spec.receiver_knows,
                      fast=spec.name == "fast_fading", mmse=spec.equaliser == "mmse")
    if spec.name == "tdl":
        return TDL(snr_db, spec.profile, spec.delay_ns, spec.spacing_khz, spec.pilots, spec.equaliser == "mmse")
    if spec.name == "erasure":
        return Erasure(spec.p, spec.packet, snr_db)
    if spec.name == "peak_limited":
        return PeakLimited(spec.papr_db, snr_db)
    return AWGN(snr_db)
