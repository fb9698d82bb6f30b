"""What the notebooks' pictures draw, read back from their axes."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from lib import channel
from lib.report import figures, style


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def points(label, seeds=(0,), draws=(0,)):
    """Accuracies at 0 and 10 dB, which differ by 10 points between seeds and by 2 between draws."""
    return pd.DataFrame([{"label": label, "snr_db": snr, "seed": seed, "draw": draw,
                          "accuracy": 0.5 + 0.1 * seed + 0.02 * draw}
                         for snr in (0, 10) for seed in seeds for draw in draws])


def lines(axis):
    """The curves, in the order in which they are drawn."""
    return [line for line in axis.get_lines() if len(line.get_xdata()) and line.get_linestyle() == "-"]


def test_a_curve_keeps_its_colour_and_marker_where_another_is_missing():
    both = figures.accuracy_over_snr(pd.concat([points("a"), points("b")]), 0.6, "paper", labels=["a", "b"])
    one = figures.accuracy_over_snr(points("b"), 0.6, "paper", labels=["a", "b"])
    (a, b), (alone,) = lines(both), lines(one)
    assert (a.get_color(), b.get_color(), alone.get_color()) == (style.COLORS[0], style.COLORS[1], style.COLORS[1])
    assert a.get_marker() != b.get_marker() and alone.get_marker() == b.get_marker()


@pytest.mark.parametrize("seeds, draws, band, mean", [
    ((0, 1), (0, 1), (51, 61), 56),  # of two seeds, each the mean of its two draws
    ((0,), (0, 1), (50, 52), 51)])  # of two draws
def test_bands_span_seeds_or_where_there_is_one_its_draws(seeds, draws, band, mean):
    axis = figures.accuracy_over_snr(points("a", seeds, draws), 0.6, "paper")
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx(band)
    assert lines(axis)[0].get_ydata().tolist() == pytest.approx([mean, mean])


@pytest.mark.parametrize("baseline, drawn", [(0.6, [[60, 60]]), (float("nan"), [])])
def test_the_accuracy_without_a_channel_is_dashed_where_it_is_known(baseline, drawn):
    axis = figures.accuracy_over_snr(points("a"), baseline, "paper")
    assert [list(line.get_ydata()) for line in axis.get_lines() if line.get_linestyle() == "--"] == drawn


def test_accuracy_is_in_percent_beside_the_loss():
    figures.learning_curve(pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "test_accuracy": [0.25, 0.5]}), "Step 1")
    loss, accuracy = plt.gcf().axes
    assert lines(loss)[0].get_ydata().tolist() == [2, 1] and lines(accuracy)[0].get_ydata().tolist() == [25, 50]
    assert loss.get_ylabel() == "training loss" and accuracy.get_ylabel() == "test accuracy (%)"


def test_filters_before_and_after_pruning_stand_side_by_side():
    figures.filters_left([64, 64, 128, 128], [60, 20, 30, 40])
    before, after = plt.gca().containers
    assert [bar.get_height() for bar in before] == [64, 64, 128, 128]
    assert [bar.get_height() for bar in after] == [60, 20, 30, 40]


def test_the_second_axis_is_in_symbols_at_capacity():
    figures.png_sizes(torch.tensor([1000.0, 3000.0]), snr_db=14.5)
    plt.gcf().canvas.draw()
    bytes_, symbols = plt.gca().get_xlim(), plt.gca().child_axes[0].get_xlim()
    assert symbols == pytest.approx([8 * size / channel.capacity(14.5) for size in bytes_])
    assert plt.gca().get_lines()[0].get_xdata()[0] == 2000  # the mean


def test_large_numbers_are_whole_and_small_ones_have_three_digits():
    assert figures.table({"MACs": 156_000_000, "accuracy": 0.65678}).value.tolist() == ["156,000,000", "0.657"]
