"""Discrete constellations: pairs of real symbols quantised to the points of a radio's modulation."""

import math

import torch
from torch import nn

from lib.channels.fading import complex_uses, real_symbols

MOMENTUM = 0.1  # of the running power, as in batch norm


def square_qam(order: int) -> torch.Tensor:
    """The points of a square constellation, float [order, 2], of unit mean power in each real dimension."""
    side = math.isqrt(order)
    if side**2 != order or side < 2:
        raise ValueError(f"A square constellation has 4, 9, 16, … points, not {order}.")
    levels = torch.arange(side) * 2.0 - (side - 1)
    points = torch.cartesian_prod(levels, levels)
    return points / points.square().mean().sqrt()


class Constellation(nn.Module):
    """Each complex symbol becomes the nearest of `order` points, fixed (square QAM) or, `learned`, starting there.

    Forward it is that point. `gradient` says what stands in the place of rounding's: `soft`, that of the mean of all
    points under weights softmax(−sharpness·d²), d the distances (soft to hard, straight through; Tung et al.,
    DeepJSCC-Q, 2022); `identity`, 1 (Bengio et al., 2013); `noise`, none, since in training symbols get uniform noise
    as wide as a cell and are not rounded (Ballé et al., 2017). Points are used unequally, and the constraint is on what
    is sent: all are scaled by one factor, so that the mean power over images is 1, not that of each. In evaluation the
    factor is the running one of training. [N, B] or [N, C, H, W] to the same shape.
    """

    def __init__(self, order: int, learned: bool = False, sharpness: float = 5.0, gradient: str = "soft"):
        super().__init__()
        self.gradient = gradient
        self.cell = 2 / (math.isqrt(order) - 1) * square_qam(order).max().item()  # of the square points, a side
        self.points = nn.Parameter(square_qam(order), requires_grad=learned)
        self.sharpness = sharpness
        self.register_buffer("power", torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        symbols = torch.view_as_real(complex_uses(x))
        squares = (symbols[:, :, None] - self.points).square().sum(3)  # [N, B / 2, order]
        hard = self.points[squares.argmin(2)]
        if self.gradient == "noise" and self.training:
            edge = self.points.max().item()
            chosen = symbols.clamp(-edge, edge) + self.cell * (torch.rand_like(symbols) - 0.5)
        else:
            passed = symbols
            if self.gradient == "soft":
                passed = (-self.sharpness * squares).softmax(2) @ self.points
            # Forward the second term is zero, backward it is all.
            chosen = hard.detach() + passed - passed.detach()
        power = self.power
        if self.training:
            power = hard.detach().square().mean()
            self.power.lerp_(power, MOMENTUM)
        return real_symbols(torch.view_as_complex((chosen / power.sqrt()).contiguous()), x.shape)


class Modulated(nn.Module):
    """A constellation before a channel; `snr_db` is the channel's."""

    def __init__(self, constellation: Constellation, channel: nn.Module):
        super().__init__()
        self.constellation, self.channel = constellation, channel

    @property
    def snr_db(self) -> float:
        """Of the channel, in dB."""
        return self.channel.snr_db

    @snr_db.setter
    def snr_db(self, value: float) -> None:
        self.channel.snr_db = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.channel(self.constellation(x))
