"""One table of all results, read from files."""

import shutil

import pandas as pd
import pytest

from lib import InputError, results
from stored import ORIGIN, store, stored_study

# Reading

def test_a_row_per_run_and_evaluation_point(root):
    table = stored_study(root)
    assert table.groupby("run", sort=True).size().to_dict() == {
        "autoencoder/pool2-r0.50-b256-snr14.5-s0": 1, "baselines/png-snr14.5-s0": 1,
        "end_to_end/pool2-r0.50-b256-snr14.5-s0": 2, "pretrain/s0": 1, "prune/pool2-r0.50-s0": 1}


def test_a_row_carries_parameters_metrics_point_and_origin(root):
    table = stored_study(root)
    row = table[(table.step == "end_to_end") & (table.snr_db == 0.0)].iloc[0]
    assert (row.pool, row.ratio, row.bandwidth, row.train_snr_db, row.seed) == (2, 0.5, 256, 14.5, 0)
    assert (row.scheme, row.variant, row.accuracy, row.device_macs, row.symbols) == (
        results.PROPOSED, "proposed", 0.4, 21_000_000, 256)
    assert (row.hash, row.seconds, row.device, row.commit) == ("f" * 16, 12.5, "a processor", ORIGIN["commit"])


def test_right_answers_by_class_are_numbers(root):
    table = stored_study(root)
    assert table[table.step == "end_to_end"].right_by_class.tolist() == [[30, 50], [60, 72]]


def test_other_schemes_go_by_their_names(root):
    assert stored_study(root).set_index("run").scheme["baselines/png-snr14.5-s0"] == "PNG"


def test_half_made_runs_and_other_studies_are_not_read(root):
    store(root, "pretrain/s0", {"accuracy_clean": 0.7}, seed=0)
    store(root, "pretrain/s0", {"accuracy_clean": 0.1}, study_name="gpu", seed=0)
    half = root / "outputs" / "desk" / "pretrain" / "s1"
    half.mkdir()
    (half / "result.json.unfinished").write_text("{}")
    assert results.load("desk").accuracy_clean.tolist() == [0.7]


def test_what_the_study_does_not_list_is_left_out_and_named(root):
    store(root, "pretrain/s0", {"accuracy_clean": 0.7}, seed=0)
    store(root, "pretrain/s7", {"accuracy_clean": 0.1}, seed=7)
    assert results.load("desk").accuracy_clean.tolist() == [0.7]
    assert "left out, which the study does not list: pretrain/s7" in results.progress("desk")


def test_a_copied_folder_is_no_second_result(root):
    store(root, "pretrain/s0", {"accuracy_clean": 0.7}, seed=0)
    folder = root / "outputs" / "desk" / "pretrain"
    shutil.copytree(folder / "s0", folder / "s0-old")
    assert results.load("desk").run.tolist() == ["pretrain/s0"]
    assert "the study does not list: pretrain/s0-old" in results.progress("desk")


def test_a_damaged_result_is_named(root):
    store(root, "pretrain/s0", {}, seed=0)
    (root / "outputs" / "desk" / "pretrain" / "s0" / "result.json").write_text("")
    with pytest.raises(InputError, match="pretrain/s0/result.json is damaged"):
        results.load("desk")


def test_what_was_computed_by_hand_is_read_only_when_asked(root):
    store(root, "pretrain/s0", {"accuracy_clean": 0.3}, study_name="interactive/desk", seed=0)
    assert results.load("desk").empty
    assert results.load("desk", interactive=True).accuracy_clean.tolist() == [0.3]


# What the columns mean

@pytest.mark.parametrize("scheme, level, column", [
    ("jpeg", 80, "picture_quality"), ("webp", 50, "picture_quality"), ("jalad", 4, "feature_bits"),
    ("two_step", 2, "feature_bits"), ("bottlenet", 64, "reduced_channels"), ("png", None, None)])
def test_what_another_scheme_was_set_to_stands_under_a_name_of_its_own(root, scheme, level, column):
    store(root, f"baselines/{scheme}", {}, study_name="interactive/desk", scheme=scheme, level=level, snr_db=14.5)
    [row] = results.load("desk", interactive=True).to_dict("records")
    settings = {name: row[name] for name in ("picture_quality", "feature_bits", "reduced_channels")}
    given = {name: value for name, value in settings.items() if not pd.isna(value)}
    assert given == ({column: level} if column else {})
    assert "level" not in row


def test_the_shipped_runs_of_other_schemes_lose_no_setting():
    """A run's path has it, as `level80`."""
    once = results.load("gpu").drop_duplicates("run")
    column = {"JPEG": "picture_quality", "WebP": "picture_quality", "JALAD": "feature_bits",
              "Two-step pruning": "feature_bits", "BottleNet": "reduced_channels"}
    settings = once[["picture_quality", "feature_bits", "reduced_channels"]]
    levels = once.run.str.extract(r"-level(\d+)")[0].astype(float)
    assert levels.notna().sum() > 20 and (settings.notna().sum(axis=1) == levels.notna()).all()
    for name, rows in once[levels.notna()].groupby("scheme"):
        assert rows[column[name]].astype(float).equals(levels[rows.index])


@pytest.mark.parametrize("profile", ["quick", "gpu"])
def test_every_column_is_described_and_every_described_column_is_there(profile):
    described = results.describe()
    assert described.columns.tolist() == ["column", "unit", "meaning"] and described.column.is_unique
    assert set(described.column) == set(results.load(profile).columns)
    assert described.meaning.str.len().gt(5).all() and not described.unit.isna().any()


def test_every_column_is_there_before_anything_is_measured(root):
    assert results.load("paper").columns.tolist() == results.describe().column.tolist()


def test_the_baseline_is_the_mean_over_seeds():
    table = pd.DataFrame({"step": ["pretrain", "pretrain", "prune"], "accuracy_clean": [0.7, 0.8, 0.1]})
    assert results.baseline_accuracy(table) == pytest.approx(0.75)
