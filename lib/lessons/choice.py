"""What a chosen model costs in time and in energy: as numbers and as a picture (notebook 30)."""

import math
import time
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from lib import choose, flops, networks
from lib.networks import structure
from lib.networks.layers import Network
from lib.report.style import COLORS
from lib.study import Study

PARTS = {"time (ms)": ("device", "air", "edge"), "energy of the device (mJ)": ("computing", "radio")}
SHOWN = 12  # models in a picture, the most accurate
# What a scheme can be set to, in words.
SETTINGS = {"picture_quality": "quality {:g}", "feature_bits": "{:g} bits", "reduced_channels": "{:g} channels"}


@dataclass(frozen=True)
class Platform:
    """A device, its radio and an edge server: rates per second, powers in watt, energies in joule.

    An operation takes 4.6 pJ in a float32 multiplication and an addition, and 15 pJ in two reads and a write of 32
    bits in an 8 kB cache (45 nm; Horowitz, "Computing's energy problem", ISSCC 2014); what has to come from DRAM costs
    a hundred times as much. A radio takes its radiated power over the amplifier's efficiency, and its circuits' power,
    for as long as it sends (the model of Cui, Goldsmith and Bahai, "Energy-constrained modulation optimization",
    2005). Both are orders of magnitude: put the numbers of your own parts in their places.
    """

    device_rate: float = 2e9  # multiply-accumulates
    edge_rate: float = 1e12
    symbol_rate: float = 1e6  # real symbols
    energy_per_mac: float = 20e-12
    radiated_power: float = 10e-3
    amplifier_efficiency: float = 0.35
    circuit_power: float = 100e-3

    @property
    def radio_power(self) -> float:
        """What the device takes from its battery while it sends."""
        return self.radiated_power / self.amplifier_efficiency + self.circuit_power


def costs(models: pd.DataFrame, settings: Study, platform: Platform) -> pd.DataFrame:
    """The models of `choose.choose` with device, air and edge (ms), computing and radio (mJ), per image.

    The edge is counted as the unpruned half behind the split, the whole network where there is none.
    """
    edge_macs = models.pool.map(lambda pool: edge_operations(settings, None if math.isnan(pool) else int(pool)))
    air = models.symbols / platform.symbol_rate
    return models.assign(
        device=1e3 * models.device_macs / platform.device_rate, air=1e3 * air,
        edge=1e3 * edge_macs / platform.edge_rate,
        computing=1e3 * models.device_macs * platform.energy_per_mac, radio=1e3 * air * platform.radio_power)


def edge_operations(settings: Study, pool: int | None) -> int:
    """Multiply-accumulates of the unpruned network behind a split."""
    network, image = _network(settings), (3, settings.data.side, settings.data.side)
    if pool is None:
        return flops.count_macs(network, image)
    device, edge = structure.split(network, pool)
    return flops.count_macs(edge, structure.feature_shape(device, image))


def _network(settings: Study) -> Network:
    return networks.build(settings.network.name, settings.classes, settings.network.width).eval()


@torch.inference_mode()
def measured_rate(settings: Study, pool: int = 2, repeats: int = 15) -> float:
    """Multiply-accumulates a second of this machine on one image, one thread: the unpruned half up to a split."""
    device, side = structure.split(_network(settings), pool)[0], settings.data.side
    image, threads, seconds = torch.rand(1, 3, side, side), torch.get_num_threads(), []
    torch.set_num_threads(1)
    for _ in range(repeats):
        began = time.perf_counter()
        device(image)
        seconds.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    # The median, because the first passes prepare memory and others may be interrupted.
    return flops.count_macs(device, (3, side, side)) / sorted(seconds)[repeats // 2]


def readable(models: pd.DataFrame) -> pd.DataFrame:
    """The table of `choose.choose` in percent, points and millions; empty where nothing applies."""
    # One column of words for three that are empty for most schemes.
    setting = models[list(SETTINGS)].apply(lambda row: ", ".join(
        words.format(value) for words, value in zip(SETTINGS.values(), row, strict=True) if pd.notna(value)), axis=1)
    shown = pd.DataFrame({
        "scheme": models.scheme, "setting": setting, "pool": models.pool, "ratio": models.ratio,
        "trained at (dB)": models.train_snr_db, "variant": models.variant, "symbols": models.symbols,
        "device operations (10⁶)": models.device_macs / 1e6, "accuracy (%)": 100 * models.accuracy,
        "below baseline (points)": 100 * models["drop"], "seeds": models.seeds})
    digits = {"device operations (10⁶)": ".2f", "accuracy (%)": ".1f", "below baseline (points)": "z.1f",
              "symbols": ",.0f"}
    for column in shown.columns.drop(["scheme", "setting", "variant", "seeds"]):
        form = f"{{:{digits.get(column, 'g')}}}"
        shown[column] = ["" if pd.isna(value) else form.format(value) for value in shown[column]]
    return shown.fillna({"variant": ""})


def draw(models: pd.DataFrame) -> Figure:
    """Time and energy of each model of `costs`, stacked by where they go; the most accurate on top."""
    models = models.head(SHOWN).iloc[::-1]
    names = [f"{choose.in_words(model)}: {100 * model.accuracy:.1f} %" for _, model in models.iterrows()]
    figure, axes = plt.subplots(1, 2, figsize=(11, 1.3 + 0.32 * len(models)), sharey=True, layout="constrained")
    for axis, (title, parts) in zip(axes, PARTS.items(), strict=True):
        left = pd.Series(0.0, models.index)
        for part, color in zip(parts, COLORS, strict=False):
            axis.barh(names, models[part], left=left, color=color, label=part)
            left += models[part]
        axis.set_xlabel(f"{title}, per image")
        axis.grid(False, axis="y")
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(parts))
    return figure


def limits(table: pd.DataFrame, snr_db: float, max_macs: float | None, max_symbols: float | None,
           max_drop: float) -> dict:
    """Widgets for the limits, over the range that was measured, which begin with these values."""
    import ipywidgets

    rows = table[table.step.isin(["end_to_end", "baselines"])]
    bounds = {name: [math.floor(math.log10(max(1, rows[name].min()))), math.ceil(math.log10(rows[name].max()))]
              for name in ("device_macs", "symbols")}
    log = {name: {"min": low, "max": high, "step": 0.05, "readout_format": ",.0f"}
           for name, (low, high) in bounds.items()}
    return {
        "snr_db": ipywidgets.SelectionSlider(options=sorted(rows.snr_db.dropna().unique()), value=snr_db),
        "macs": ipywidgets.FloatLogSlider(value=max_macs or rows.device_macs.max(), **log["device_macs"]),
        "symbols": ipywidgets.FloatLogSlider(value=max_symbols or rows.symbols.max(), **log["symbols"]),
        "points": ipywidgets.FloatSlider(value=100 * max_drop, min=0, max=30, step=0.5)}
