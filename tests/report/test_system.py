"""The picture of the system: the same bytes every time, every stage lights parts that exist."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch

from lib.report import system


def test_the_committed_picture_is_the_one_drawn(tmp_path):
    assert system.write(tmp_path / "system.svg").read_bytes() == system.FILE.read_bytes()


@pytest.mark.parametrize(("stage", "lit"), [
    ("data", 1), ("pretrain", 2), ("prune", 1), ("autoencoder", 4), ("end_to_end", 6), ("baselines", 4)])
def test_a_stage_lights_its_parts_and_is_named(stage, lit):
    figure = system.draw(stage)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    assert sum(to_hex(box.get_facecolor()) == system.LIT and box.get_linewidth() > 2 for box in boxes) == lit
    assert system.STAGES[stage][1] in [text.get_text() for text in figure.axes[0].texts]
    plt.close(figure)


def test_every_text_fits_into_its_box():
    figure = system.draw()
    figure.canvas.draw()
    axis = figure.axes[0]
    for name, left, width, made_of in system.PARTS:
        start, end = (axis.transData.transform((x, 0))[0] for x in (left, left + width))
        for text in axis.texts:
            if text.get_text() in (name, made_of):
                extent = text.get_window_extent()
                assert start < extent.x0 and extent.x1 < end, name
    plt.close(figure)


def test_no_stage_lights_nothing():
    figure = system.draw()
    assert all(to_hex(patch.get_facecolor()) != system.LIT for patch in figure.axes[0].patches)
    plt.close(figure)
