"""What the paper leaves open, stated beside what a study takes."""

import pytest

from lib import study
from lib.claims import choices


@pytest.mark.parametrize("profile", ["quick", "desk", "gpu", "paper"])
def test_every_choice_is_stated_beside_the_paper(profile):
    rows = choices.choices(study.load(profile))
    assert rows.choice.is_unique and rows.paper.str.len().gt(0).all() and rows.here.str.len().gt(0).all()


def test_choices_are_read_from_the_study():
    paper, quick = (choices.choices(study.load(profile)).set_index("choice").here for profile in ("paper", "quick"))
    assert "60 epochs, rate 0.01" in paper["pretrain"] and paper["data"].startswith("cifar100")
    assert quick["data"].startswith("mini") and quick["width"] == "0.25"
    assert "quality 20" in paper["BottleNet: codec"] and "from 2000 training" in paper[
        "JALAD, two-step pruning, separation: code tables"]
