"""What channels do to symbols, and accuracy over them (notebook 40)."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

from lib import channel
from lib.channels.fading import complex_uses
from lib.report.style import COLORS

IMAGES = 5  # each in a colour of its own


def draw_received(channels: Mapping[str, nn.Module], uses: int = 64, seed: int = 0) -> Figure:
    """What arrives of a few images of random 16-QAM points over each channel, one colour an image."""
    random = torch.randn(IMAGES, 2 * uses, generator=torch.Generator().manual_seed(seed))
    sent = channel.normalize_power(channel.Constellation(16).eval()(random))
    figure, axes = plt.subplots(1, len(channels), figsize=(2.1 * len(channels), 2.5), sharey=True, layout="constrained")
    for axis, (name, module) in zip(axes, channels.items(), strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # the same noise everywhere
            received = complex_uses(module(sent))
        for image, points in enumerate(received):
            axis.plot(points.real, points.imag, ".", ms=2.5, color=COLORS[image])
        axis.set(title=name, aspect="equal", xlim=(-4, 4), ylim=(-4, 4))
    return figure


def draw_compared(compared: pd.DataFrame, chosen: list[str]) -> Figure:
    """Accuracy over SNR for some channels: models trained on them and on noise alone, and separation."""
    figure, axes = plt.subplots(1, len(chosen), figsize=(3 * len(chosen), 2.8), sharey=True, layout="constrained")
    for axis, name in zip(axes, chosen, strict=True):
        rows = compared[compared.channel == name]
        for column, style in (("trained on it", "o-"), ("trained on noise alone", "s--"), ("separation", ":")):
            axis.plot(rows.snr_db, rows[column], style, ms=4, label=column)
        axis.set(title=name, xlabel="SNR (dB)", ylabel="accuracy (%)" if axis is axes[0] else "")
    axes[0].legend(fontsize=7)
    return figure
