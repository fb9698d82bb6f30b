"""What the paper leaves open, stated beside what a study takes."""

import pytest

from lib import results, study
from lib.claims import choices
from lib.schedule import Schedule
from stored import FOUR_A, models

NOTHING = models({**FOUR_A, "snr_db": 14.5, "accuracy": 0.5, "symbols": 1, "device_macs": 1}).iloc[:0]


def listed(profile, table=NOTHING, **changes):
    settings = study.load(profile).model_copy(update=changes)
    return choices.choices(settings, table).set_index("choice")


@pytest.mark.parametrize("profile", ["quick", "desk", "gpu", "paper"])
def test_every_choice_is_stated_beside_the_paper(profile):
    rows = listed(profile)
    assert rows.index.is_unique and rows.columns.tolist() == ["paper", "here", "effect"]
    assert all(rows[column].str.len().gt(0).all() for column in rows)


def test_choices_are_read_from_the_study():
    paper, quick = (listed(profile).here for profile in ("paper", "quick"))
    assert "60 epochs, rate 0.01" in paper["pretrain"] and paper["data"].startswith("cifar100")
    assert quick["data"].startswith("mini") and quick["width"] == "0.25"
    assert "quality 20" in paper["BottleNet: codec"] and "from 2000 training" in paper[
        "JALAD, two-step pruning, separation: code tables"]


def test_what_is_off_by_default_is_said_to_be_off_and_on_when_it_is_on():
    plain = listed("paper").here
    assert plain["dropout in the classifier"] == "none" and plain["rate of the link in step 4"] == "that of the network"
    assert plain["gradients and first epochs of training"] == "neither clipped nor warmed up"
    assert plain["Taylor scores"].startswith("after batch norm and ReLU, absolute value of each image, of 50,000")
    settings = study.load("paper")
    other = listed(
        "paper", network=settings.network.model_copy(update={"dropout": 0.5, "bias": False}),
        prune=settings.prune.model_copy(update={"criterion": "signed_taylor", "tenths": False}),
        autoencoder=Schedule(epochs=2, lr=0.1, clip_norm=1.0, warm_up=1.0),
        end_to_end=Schedule(epochs=1, lr=0.1, link_lr=0.01)).here
    assert other["dropout in the classifier"] == "0.5 in step 1" and other["rate of the link in step 4"] == "0.01"
    assert other["bias of convolutions before batch norm"] == "none"
    assert other["gradients and first epochs of training"] == "clipped, warm-up"
    assert other["Taylor scores"].startswith("at the convolution's output, signed and summed")
    assert other["filters per step where there are fewer than 512"] == "all of them in one cut"


def test_models_tried_are_counted_in_the_results():
    row = "models tried a scheme, of which Figure 3 selects"
    assert listed("gpu").here[row] == "none yet"
    assert listed("gpu", results.load("gpu")).here[row].startswith("JSCC + pruning 52, BottleNet++ 15, BottleNet 6, ")


def test_2_percent_as_a_share_is_said_in_points():
    row = listed("paper").loc["“2 %” of the baseline"]
    assert row.here == "2 percentage points" and "1.3 points at 65.7 %" in row.effect
