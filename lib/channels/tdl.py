"""OFDM over a tapped delay line of 3GPP (TR 38.901, 7.7.2), which Sionna draws: an optional extra."""

import functools
from typing import Any

import torch

from lib.channels.fading import Fading
from lib.channels.optional import optional

CARRIER = 3.5e9  # in Hz; without motion it has no part in the gains


class TDL(Fading):
    """y_k = H_k·x_k + z_k: each complex symbol is a subcarrier of one OFDM symbol, behind a cyclic prefix that is long
    enough. H is the Fourier transform of taps that stay for an image and are new for the next one; E|H_k|² = 1.

    `profile` is A, B, C (no direct path), D or E; its delays are scaled to an RMS spread of `delay_ns`. Subcarriers lie
    `spacing_khz` apart. The receiver knows H or, with `pilots`, estimates it: so many subcarriers, evenly spaced, of a
    further OFDM symbol of the same power are known to it, and so is the profile. Equalisers are those of Fading, one
    tap a subcarrier. [N, B] or [N, C, H, W] to the same shape; ValueError for an odd number of symbols, InputError
    without Sionna.
    """

    def __init__(self, snr_db: float, profile: str = "C", delay_ns: float = 300.0, spacing_khz: float = 30.0,
                 pilots: int = 0, mmse: bool = False):
        super().__init__(snr_db, mmse=mmse)
        self.profile, self.delay_ns, self.spacing_khz, self.pilots = profile, delay_ns, spacing_khz, pilots

    def gains(self, images: int, uses: int, device: torch.device) -> torch.Tensor:
        """H, complex [images, uses]."""
        taps, delays = delay_line(self.profile, self.delay_ns, torch.device(device))(images, 1, 1.0)
        phy = optional("sionna.phy.channel")
        frequencies = phy.subcarrier_frequencies(uses, 1e3 * self.spacing_khz, device=str(taps.device))
        return phy.cir_to_ofdm_channel(frequencies, taps, delays).reshape(images, uses)

    def estimate(self, gain: torch.Tensor) -> torch.Tensor:
        """What the receiver takes for H: with pilots, the estimate of the least mean squared error (LMMSE)."""
        if not self.pilots:
            return gain
        uses = gain.shape[1]
        places = torch.linspace(0, uses - 1, self.pilots, device=gain.device).round().long()
        variance = 10 ** (-self.snr_db / 10)
        # A pilot is divided by what was sent, which leaves noise of σ² for E|H|² = 1.
        heard = gain[:, places] + variance**0.5 * torch.randn_like(gain[:, places])
        covariance = self.covariance(uses, gain.device)
        among = covariance[places][:, places] + variance * torch.eye(self.pilots, device=gain.device)
        # ĥ = R_dp·(R_pp + σ²I)⁻¹·heard, an image a row.
        weights = torch.linalg.solve(among, covariance[:, places].mH).mH
        return heard @ weights.T

    def covariance(self, uses: int, device: torch.device) -> torch.Tensor:
        """E[H_k·H_j*], complex [uses, uses]: the Fourier transform of the powers over the delays, at k − j."""
        line = delay_line(self.profile, self.delay_ns, torch.device(device))
        apart = torch.arange(uses, device=device)[:, None] - torch.arange(uses, device=device)
        turns = apart[..., None] * (1e3 * self.spacing_khz * line.delays)
        return torch.polar(torch.ones_like(turns), -2 * torch.pi * turns) @ line.mean_powers.to(torch.complex64)


@functools.cache
def delay_line(profile: str, delay_ns: float, device: torch.device) -> Any:
    """Sionna's model of the taps, drawing from torch's global generator as the other channels do."""
    # Importing Sionna sets a random seed of its own: what was drawn before and after must not hang on it.
    with torch.random.fork_rng():
        tr38901 = optional("sionna.phy.channel.tr38901")

    class FromTorch(tr38901.TDL):
        @property
        def torch_rng(self) -> torch.Generator:
            # cuda.default_generators is empty until CUDA is used.
            return (torch.default_generator if device.type == "cpu"
                    else torch.cuda.default_generators[device.index or 0])

    name = "cpu" if device.type == "cpu" else f"{device.type}:{device.index or 0}"
    return FromTorch(profile, 1e-9 * delay_ns, CARRIER, device=name)
