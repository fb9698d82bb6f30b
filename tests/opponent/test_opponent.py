"""The label code beside ours: which code stands beside which curve, and by how much it is ahead or behind."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib import study
from lib.evaluation import pack
from lib.opponent import label
from stored import FOUR_A, models, with_baseline

SETTINGS = study.load("paper")


def codes(*rows):
    """Label codes at Figure 3's SNR and others, as `models` gives rows."""
    return models(*({"pool": 5, "ratio": 0.0, "device_macs": 300.0, **row} for row in rows), step="baselines",
                  scheme=label.LABEL, variant=None).assign(
        run=lambda table: "baselines/label-b" + table.bandwidth.map(str))


def code(bandwidth, accuracies):
    """A code over some SNRs."""
    return [{"bandwidth": bandwidth, "symbols": bandwidth, "snr_db": snr, "accuracy": accuracy}
            for snr, accuracy in accuracies.items()]


def whole(table):
    """With the columns that a loaded table always has."""
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, "right_at_snr"]))).reset_index(drop=True)
    return table.assign(accuracy_selecting_clean=0.7, accuracy_reporting_clean=0.7)


def test_a_figures_codes_are_a_short_one_and_the_longest_that_sends_no_more_than_any_of_its_curves():
    table = codes(*code(16, {0.0: 0.4}), *code(128, {0.0: 0.5}), *code(300, {0.0: 0.6}))
    assert label.curve(table, SETTINGS, "figure4a").bandwidth.tolist() == [16, 300]  # of 2,048
    assert label.curve(table, SETTINGS, "figure4b").bandwidth.tolist() == [16, 128]
    assert label.curve(table, SETTINGS, "figure5").bandwidth.tolist() == [16, 128]  # of 256 to 2,048
    assert label.curve(table[table.bandwidth == 300], SETTINGS, "figure5").empty
    assert label.behind(label.curve(table[:0], SETTINGS, "figure5"), ["fixed"]) == []


def test_ours_minus_the_label_code_over_the_snr_and_the_share_of_its_operations():
    ours = [{**FOUR_A, "device_macs": 30.0, "snr_db": snr, "accuracy": accuracy, "seed": seed}
            for snr, accuracies in {0.0: (0.5, 0.6), 20.0: (0.6, 0.6)}.items() for seed, accuracy in
            enumerate(accuracies)]
    table = pd.concat([with_baseline(models(*ours)), codes(
        *code(16, {0.0: 0.1}), *code(128, {0.0: 0.4, 14.5: 0.6, 20.0: 0.625}))])
    table = whole(table)
    rows = label.over_snr(table, SETTINGS).set_index("figure")
    assert rows.loc["4a", ["ours", "label code"]].tolist() == ["ratio 0.5, fixed", "B = 128"]
    assert rows.loc["4a", ["operations", "0 dB", "20 dB"]].tolist() == pytest.approx([10.0, 15.0, -2.5])
    assert "14.5 dB" not in rows  # where ours has no model
    assert set(rows.index) == {"4a", "5"}
    assert "ahead at 2 of 4 points" in label.verdict(table, SETTINGS)


def figure3_row(accuracy, right, **point):
    return {"snr_db": 14.5, "accuracy": accuracy, "accuracy_selecting": accuracy, "accuracy_reporting": accuracy,
            "right_at_snr": pack(right), **point}


def test_beside_c4_the_best_of_ours_with_no_more_symbols_and_the_paired_error():
    generator = np.random.default_rng(0)

    theirs, better, worse = (torch.from_numpy(generator.random(10_000) < share) for share in (0.6, 0.55, 0.5))
    ours = models(figure3_row(0.5, worse, pool=4, ratio=0.5, bandwidth=4, symbols=4, device_macs=10e6),
                  figure3_row(0.55, better, pool=5, ratio=0.3, bandwidth=8, symbols=8, device_macs=20e6),
                  figure3_row(0.65, theirs, pool=5, ratio=0.0, bandwidth=9, symbols=9, device_macs=30e6))
    table = pd.concat([with_baseline(ours), codes(
        *(figure3_row(0.6, theirs, bandwidth=symbols, symbols=symbols) for symbols in (3, 4, 8)))], ignore_index=True)
    table = whole(table)
    rows = label.few_symbols(table, SETTINGS).set_index("symbols")
    assert rows.loc["3", ["ours", "ours − label"]].isna().all()
    assert rows.loc["4", "ours"] == pytest.approx(50) and rows.loc["8", "of ratio"] == "0.3"
    first, second = better.numpy().astype(float), theirs.numpy().astype(float)
    error = 100 * (first - second).std() / 100
    assert rows.loc["8", "ours − label"] == f"−5.0 ± {error:.1f}"
    assert rows.loc["8", ["label code", "operations of ours"]].tolist() == pytest.approx([60, 20])
    assert "ahead of 0 of 2" in label.verdict(table, SETTINGS)


def test_without_a_label_code_nothing_is_said_of_it():
    table = with_baseline(models({**FOUR_A, "snr_db": 0.0, "accuracy": 0.5, "symbols": 2048, "device_macs": 1.0}))
    table = whole(table)
    assert label.few_symbols(table, SETTINGS).empty and label.over_snr(table, SETTINGS).empty
    assert label.verdict(table, SETTINGS) == "No label code is measured yet."


def test_codes_of_pruned_networks_stand_beside_ours_of_the_same_ratio():
    theirs = codes(*({**point, "ratio": ratio, "device_macs": macs} for ratio, macs in ((0.0, 300e6), (0.5, 150e6))
                     for point in (*code(5, {14.5: 0.6, 0.0: 0.1}), *code(8, {14.5: 0.625, 0.0: 0.3}))))
    ours = models(*({"pool": 5, "ratio": ratio, "bandwidth": 8, "snr_db": snr, "accuracy": accuracy,
                     "device_macs": 149e6}
                    for ratio, snr, accuracy in ((0.5, 14.5, 0.5), (0.5, 0.0, 0.2), (0.3, 14.5, 0.55))))
    row, = label.of_pruned(theirs, ours).to_dict("records")  # the unpruned code is no code of a pruned network
    assert row.pop("ratio") == "0.5"
    assert np.isnan(row.pop("B = 16, −5 dB"))
    assert row == pytest.approx({"operations": 150, "B = 5, 14.5 dB": 60, "B = 8, 14.5 dB": 62.5, "B = 8, 0 dB": 30,
                                 "ours, B = 8": 50, "operations of ours": 149})
