"""Channels that lose something beside adding noise: symbols that are erased, peaks that an amplifier cuts."""

import torch
from torch import nn

from lib.channels.awgn import AWGN, normalize_power
from lib.channels.fading import complex_uses


class Erasure(nn.Module):
    """Each packet of `packet` consecutive real symbols arrives as zeros with probability p; the last may be shorter.

    What arrives has the noise of AWGN (by default none). [N, B] or [N, C, H, W] to the same shape.
    Raises ValueError unless 0 ≤ p < 1 and packets have a symbol.
    """

    def __init__(self, p: float, packet: int = 1, snr_db: float = float("inf")):
        super().__init__()
        if not 0 <= p < 1 or packet < 1:
            raise ValueError(f"p must be at least 0 and below 1, and a packet have 1 symbol, not {p} and {packet}.")
        self.p, self.packet, self.snr_db = p, packet, snr_db

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noisy = AWGN(self.snr_db)(x)
        symbols = x[0].numel()
        arrives = torch.rand(len(x), -(-symbols // self.packet), device=x.device) >= self.p
        arrives = arrives.repeat_interleave(self.packet, 1)[:, :symbols].reshape(x.shape)
        # By `where`: a product with zero would give −0.0.
        return torch.where(arrives, noisy, 0)


class PeakLimited(nn.Module):
    """Complex symbols cut to a peak power of `papr_db` over their mean (their phase stays), then AWGN.

    A cut takes power away, and what is left is amplified to the old mean power, an image at a time. So the level is the
    one at which the peak-to-average power *after* that is `papr_db`; an image below it stays as it is. At 0 dB all
    symbols have one amplitude (those that are zero stay zero). [N, B] or [N, C, H, W] to the same shape; ValueError for
    an odd number of symbols.
    """

    def __init__(self, papr_db: float, snr_db: float):
        super().__init__()
        self.papr_db, self.snr_db = papr_db, snr_db

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        symbols = complex_uses(x)
        power = symbols.abs().square()
        level = cut_level(power.detach(), 10 ** (self.papr_db / 10))
        kept = torch.where(power > level, (level / power.clamp(min=1e-30)).sqrt(), 1)
        # Amplified to its old power, of which half is in each real dimension.
        sent = normalize_power(torch.view_as_real(kept * symbols)) * (power.mean(1) / 2).sqrt()[:, None, None]
        return AWGN(self.snr_db)(sent.reshape(x.shape))


def cut_level(power: torch.Tensor, ratio: float) -> torch.Tensor:
    """The power a of each row of [N, n] for which a / mean(min(power, a)) is `ratio`; its greatest one if that is less.

    With the powers sorted, the ratio grows with a. Between the k-th and the next it is n·a / (S + (n − k)·a), S the
    sum of the k smallest, which a = ratio·S / (n − ratio·(n − k)) solves.
    """
    ascending, count = power.sort(1).values, power.shape[1]
    before = torch.nn.functional.pad(ascending.cumsum(1)[:, :-1], (1, 0))
    cut = torch.arange(count, 0, -1, device=power.device)  # how many are cut at the level of the k-th
    # The first at whose own level the ratio is too high: it is cut, and all above it.
    too_high = ascending * (count - ratio * cut) > ratio * before * (1 + 1e-6)
    first = too_high.int().argmax(1, keepdim=True)
    solved = ratio * before.gather(1, first) / (count - ratio * cut[first])
    # Where all below are zero the ratio cannot be had: then nearly all are cut to one amplitude.
    greatest = ascending[:, -1:]
    return torch.where(too_high.any(1, keepdim=True), torch.maximum(solved, 1e-6 * greatest), greatest)
