"""Power constraint, additive white Gaussian noise, Shannon capacity (Sec. II-A)."""

import math

import torch
from torch import nn


def normalize_power(x: torch.Tensor, power: float = 1.0) -> torch.Tensor:
    """Scale each image's symbols to mean square `power` (the constraint of Sec. II-A, met with equality).

    [N, ...] to the same shape; an all-zero image stays zero.
    """
    # In float32 whatever the precision around it: squares of bfloat16 keep only two digits.
    symbols = x.float()
    dims = tuple(range(1, x.dim()))
    peak = symbols.detach().abs().amax(dims, keepdim=True)  # cancels out; keeps tiny squares from underflowing
    symbols = symbols / torch.where(peak > 0, peak, 1)
    mean_square = symbols.square().mean(dims, keepdim=True)
    return symbols * (power / torch.where(mean_square > 0, mean_square, 1)).sqrt()


class AWGN(nn.Module):
    """y = x + z with z ~ N(0, σ²) on every real symbol, σ² = 10^(−snr_db/10) for P = 1 (Sec. II-A).

    The noise comes from torch's global generator, in training and in evaluation alike.
    """

    def __init__(self, snr_db: float):
        super().__init__()
        self.snr_db = snr_db

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # 10^(−dB/20) is σ, the root of the variance 10^(−dB/10).
        return x + 10 ** (-self.snr_db / 20) * torch.randn_like(x)


def capacity(snr_db: float) -> float:
    """C = ½·log2(1 + P/σ²), in bits per real symbol (Sec. II-A)."""
    # The half: these are real symbols, not complex ones.
    return 0.5 * math.log2(1 + 10 ** (snr_db / 10))
