"""The digital opponent's cliff as a picture."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure


def cliffs(formats: Mapping[str, Mapping]) -> Figure:
    """Packets lost over SNR: 5G LDPC, the normal approximation, and the step that capacity would be."""
    figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for number, (name, item) in enumerate(formats.items()):
        points, color = pd.DataFrame(item["points"]), f"C{number}"
        axis.semilogy(points.snr_db, points.lost.where(points.lost > 0), "o-", ms=4, color=color, label=name)
        axis.semilogy(points.snr_db, points.normal, "--", color=color)
        axis.axvline(item["capacity_snr_db"], ls=":", color=color)
    axis.set(xlabel="SNR (dB)", ylabel="share of packets lost", ylim=(1e-4, 1.5))
    axis.legend(fontsize=7, title="dashed: normal approximation; dotted: capacity", title_fontsize=7)
    return figure
