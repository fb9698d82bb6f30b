"""Learning curves of a long step 4: those of the stored histories, and no short one."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib import results, study
from lib.claims import judge
from lib.pages import schedule
from stored import point, store

C4 = "end_to_end/pool5-r0.50-b8-snr14.5-s0"


def trained(root, profile, name, epochs, bandwidth):
    store(root, name, {"accuracy_clean": 0.6, "symbols": bandwidth},
          [point(0.0, 0, 0.1), point(14.5, 0, 0.5), point(14.5, 1, 0.52)], study_name=profile, seed=0, pool=5,
          ratio=0.5, bandwidth=bandwidth, snr_db=14.5, variant="proposed")
    rows = [{"epoch": epoch, "loss": 1 / epoch, "test_accuracy": epoch / 100, "lr": 1e-4, "seconds": 1.0}
            for epoch in range(1, epochs + 1)]
    pd.DataFrame(rows).to_csv(root / "outputs" / profile / name / "history.csv", index=False)


def test_long_trainings_alone_have_a_curve_and_it_is_theirs(root):
    trained(root, "paper", C4, 60, 8)
    trained(root, "gpu", C4, 2, 8)
    trained(root, "gpu", C4.replace("b8", "b16"), 22, 16)
    table = schedule.curves()
    assert table.groupby(["study", "bandwidth"]).size().to_dict() == {("gpu", 16): 22, ("paper", 8): 60}
    assert set(table.end.round(6)) == {51}
    last = table[table.epoch == 22].set_index("study")
    assert last.accuracy.to_dict() == {"paper": 22, "gpu": 22} and last.loss["gpu"] == 1 / 22
    left, right = schedule.draw(table).axes
    assert {line.get_label(): (line.get_linestyle(), line.get_ydata()[-1]) for line in left.lines} == {
        "paper: pooling 5, ratio 0.5, B = 8, 14.5 dB": ("-", 60),
        "gpu: pooling 5, ratio 0.5, B = 16, 14.5 dB": ("--", 22)}
    assert [line.get_ydata()[0] for line in right.lines] == [1, 1]
    plt.close("all")


def test_the_figure_lies_with_the_study_of_the_papers_schedules(root):
    trained(root, "paper", C4, 25, 8)
    schedule.main()
    folder = study.ROOT / "outputs" / "paper"
    assert (folder / "step4.png").stat().st_size > 10_000
    assert len((folder / "step4.csv").read_text().splitlines()) == 26
    plt.close("all")


def test_without_a_long_training_there_is_no_curve(root):
    assert schedule.curves().empty and not schedule.draw(schedule.curves()).axes[0].lines
    plt.close("all")


# The page is written by hand; its tables must say what is stored.

PAGE = (study.ROOT / "docs" / "paper-schedule.md").read_text().partition("## What came")[2]


def told(begins: str) -> list[list[str]]:
    """The cells of the page's rows that begin so."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()
            if line.startswith(f"| {begins}")]


def test_the_table_of_readings_says_what_is_stored():
    table = results.load("readings").query("step == 'end_to_end' and pool == 5 and snr_db == train_snr_db")
    stored = 100 * table.groupby("variant")[["accuracy", "accuracy_clean"]].mean()
    rows = {row[0].strip("`"): row[1:3] for row in told("`")}
    assert rows == {name: [f"{row.accuracy:.1f}", f"{row.accuracy_clean:.1f}"] for name, row in stored.iterrows()}
    gained = stored.accuracy["link_lr_1em1"] - stored.accuracy["proposed"]
    assert f"two epochs gain {gained:.1f} points" in PAGE and f"at 0.1: {gained:.1f} points more" in PAGE


def test_the_table_of_pruned_networks_says_what_is_stored():
    runs = results.load("paper").query("step == 'prune' and pool == 5").drop_duplicates("run")
    assert {row[0]: [row[3], row[4]] for row in told("0.")} == {
        f"{run.ratio:.2f}": [f"{run.device_macs / 1e6:.1f}", f"{100 * run.accuracy_clean:.1f}"]
        for run in runs.itertuples()}


@pytest.mark.parametrize("name, claim", [("pool5-r0.50-b8-snr14.5-s0", "C4"),
                                         ("pool1-r0.70-b2048-snr14.5-s0-one_cut", "C3")])
def test_the_text_says_what_the_claims_points_have(name, claim):
    table = results.load("paper")
    baseline = table[table.step == "pretrain"].iloc[0]
    row = table[(table.run == f"end_to_end/{name}") & (table.snr_db == 14.5)].mean(numeric_only=True)
    below = 100 * (baseline.accuracy_clean - row.accuracy)
    said = " ".join(PAGE.partition(f"**{claim}'s point**")[2].partition("\n\n")[0].split())
    for text in (f"{100 * row.accuracy:.1f} %", f"{100 * row.accuracy_clean:.1f} %", f"{below:.1f} points below",
                 f"{row.device_macs / 1e6:.1f}·10⁶ operations"):
        assert text in said, text
    assert any(line.startswith(f"| {claim} |") and f"{below:.1f}" in line for line in PAGE.splitlines())


def test_the_text_says_what_the_halves_of_c3s_point_have():
    table = results.load("paper")
    [baseline] = table[table.step == "pretrain"].drop_duplicates("run").to_dict("records")
    point = table.run.str.startswith("end_to_end/pool1-r0.70-b2048") & (table.snr_db == 14.5)
    row = table[point].mean(numeric_only=True)
    first, second = (f"{100 * (baseline[f'accuracy_{half}_clean'] - row[f'accuracy_{half}']):.1f}"
                     for half in ("selecting", "reporting"))
    assert f"{first} on one half of the test images and {second} on the other" in " ".join(PAGE.split())
    assert f"({first} and {second} on the halves)" in PAGE


def test_the_verdicts_that_the_page_names_are_those_of_the_claims():
    verdicts = judge.judge(results.load("paper"), study.load("paper")).set_index("claim").verdict
    assert (verdicts.C3, verdicts.C4) == ("not measured at this profile", "not reproduced")
    assert "`paper` itself calls C3 not measured" in PAGE and "**C4 is not reproduced by the" in PAGE


def test_the_text_says_what_dropout_gives():
    with_it, without = (results.load(profile).query("step == 'pretrain' and seed == 0").accuracy_clean.mean() * 100
                        for profile in ("dropout", "gpu"))
    assert f"{with_it:.1f} % without a channel, {without - with_it:.1f} points less than without dropout" in PAGE


def test_the_text_says_how_the_learning_curves_go():
    said, table = " ".join(PAGE.split()), schedule.curves()
    curves = {key: rows.set_index("epoch") for key, rows in table.groupby(["study", "pool", "bandwidth", "snr_db"])}
    rises = {key: rows.loss[21] - rows.loss[20] for key, rows in curves.items()}
    c3, c4 = ("paper", 1, 2048, 14.5), ("paper", 5, 8, 14.5)
    highest = rises.pop(c3)
    assert f"All {('eight', 'nine', 'ten')[len(curves) - 8]} models with more than 20 epochs" in said
    assert f"by {min(rises.values()):.2f} to {max(rises.values()):.2f}, C3's by {highest:.2f}" in said
    early, late = (curves[c3].accuracy.loc[first:first + 4].mean() for first in (16, 56))
    assert f"gain {late - early:.1f} points ({early:.1f} % in the mean of epochs 16 to 20, {late:.1f} % of 56" in said
    at = [f"{curves[c4].accuracy[epoch]:.1f}" for epoch in (20, 40, 60)]
    assert "{} % after 20, when the rate falls to 10⁻⁵, {} % after 40 and {} % after 60".format(*at) in said
