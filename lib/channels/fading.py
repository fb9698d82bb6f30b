"""Rayleigh and Rician fading, in blocks of an image or symbol by symbol."""

import math

import torch
from torch import nn


def complex_uses(x: torch.Tensor) -> torch.Tensor:
    """Consecutive pairs of real symbols as complex ones: [N, B] or [N, C, H, W] to complex [N, B / 2].

    Raises ValueError for an odd number of symbols.
    """
    flat = x.float().flatten(1)
    if flat.shape[1] % 2:
        raise ValueError(f"{flat.shape[1]} real symbols are no whole number of complex ones.")
    return torch.view_as_complex(flat.unflatten(1, (-1, 2)).contiguous())


def real_symbols(complex_symbols: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The inverse of `complex_uses`."""
    return torch.view_as_real(complex_symbols).reshape(shape)


class Fading(nn.Module):
    """y = h·x + z on complex symbols, E|h|² = 1; z as of AWGN, of variance 10^(−snr_db/10) a real dimension.

    h = √(K/(K+1)) + √(1/(K+1))·g with g ~ CN(0, 1): Rician, and Rayleigh for K = 0 (`k_db` −inf). One gain an image
    (block fading), or, `fast`, one a complex symbol. A receiver that knows h takes it out: by y/h (zero forcing), whose
    noise grows without bound where |h| is small, or, `mmse`, by h*·y / (|h|² + σ²), which then fades to zero.
    [N, B] or [N, C, H, W] to the same shape; ValueError for an odd number of symbols.
    """

    def __init__(self, snr_db: float, k_db: float = float("-inf"), receiver_knows: bool = True, fast: bool = False,
                 mmse: bool = False):
        super().__init__()
        self.snr_db, self.k_db, self.receiver_knows, self.fast, self.mmse = snr_db, k_db, receiver_knows, fast, mmse

    def gains(self, images: int, uses: int, device: torch.device) -> torch.Tensor:
        """h, complex [images, uses], or [images, 1] for block fading."""
        direct = 1 / (1 + 10 ** (-self.k_db / 10))  # K / (K + 1), without ∞ / ∞ at either end
        scattered = torch.randn(images, uses if self.fast else 1, dtype=torch.complex64, device=device)
        # The direct path's phase is the reference, of a receiver that does not know the gain too.
        return math.sqrt(direct) + math.sqrt(1 - direct) * scattered

    def estimate(self, gain: torch.Tensor) -> torch.Tensor:
        """What a receiver that knows h takes for it."""
        return gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sent, sigma = complex_uses(x), 10 ** (-self.snr_db / 20)
        # Noise first, so that with a seed it is the noise that AWGN draws.
        noise = complex_uses(sigma * torch.randn_like(x.float()))
        gain = self.gains(*sent.shape, x.device)
        received = gain * sent + noise
        if self.receiver_knows:
            known = self.estimate(gain)
            # Written as one factor: at h = 0 it is 0 for mmse, where dividing twice would be 0 / 0.
            received = received * known.conj() / (known.abs().square() + (sigma**2 if self.mmse else 0))
        return real_symbols(received, x.shape)
