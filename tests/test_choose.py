"""Choosing a model: what is kept of a table of known models, and what is refused."""

import math
import re

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from lib import InputError, results
from lib.choose import choose

BASELINE = {"step": "pretrain", "scheme": results.PROPOSED, "accuracy_clean": 0.7, "seed": 0}


def row(macs, symbols, accuracy, **more):
    model = {"step": "end_to_end", "scheme": results.PROPOSED, "variant": "proposed", "pool": 2, "ratio": macs / 1e8,
             "bandwidth": symbols, "train_snr_db": 14.5, "snr_db": 14.5, "seed": 0, "draw": 0}
    return {**model, "device_macs": macs, "symbols": symbols, "accuracy": accuracy, **more}


def table(*rows, baseline=BASELINE):
    return pd.DataFrame([baseline, *rows]).reindex(columns=list(results.COLUMNS))


# 1 and 2 trade operations for symbols, 3 is dearer than 1 and no better, 4 is too poor, PNG costs the device nothing.
KNOWN = table(row(10e6, 512, 0.69), row(20e6, 128, 0.685), row(11e6, 512, 0.69), row(1e6, 64, 0.5),
              row(0, 8000, 0.7, step="baselines", scheme="PNG", pool=None, ratio=None, bandwidth=None, variant=None))


def costs(chosen):
    return list(zip(chosen.device_macs, chosen.symbols, strict=True))


def test_the_dominated_and_the_poor_are_left_out_and_the_best_comes_first():
    assert costs(choose(KNOWN, 14.5)) == [(0, 8000), (10e6, 512), (20e6, 128)]


@pytest.mark.parametrize("limits, left", [
    ({"max_symbols": 512}, [(10e6, 512), (20e6, 128)]), ({"max_macs": 10e6}, [(0, 8000), (10e6, 512)]),
    ({"max_macs": 20e6, "max_symbols": 128}, [(20e6, 128)]), ({"max_drop": 0}, [(0, 8000)]),
    ({"max_drop": None}, [(0, 8000), (10e6, 512), (20e6, 128), (1e6, 64)]),
    ({"max_drop": 0.01}, [(0, 8000), (10e6, 512)]), ({"max_drop": 0.2, "max_symbols": 64}, [(1e6, 64)])])
def test_limits_are_kept_and_reached(limits, left):
    assert costs(choose(KNOWN, 14.5, **limits)) == left


def test_a_limit_on_the_drop_is_not_missed_by_rounding():
    assert 0.66 - 0.64 > 0.02
    assert len(choose(table(row(1, 1, 0.64), baseline={**BASELINE, "accuracy_clean": 0.66}), 14.5)) == 1


def test_a_model_is_its_mean_over_draws_and_seeds():
    rows = [row(10e6, 64, 0.60, draw=0), row(10e6, 64, 0.62, draw=1), row(12e6, 64, 0.71, seed=1, ratio=0.1)]
    [model] = choose(table(*rows), 14.5, max_drop=0.1).to_dict("records")
    assert (model["accuracy"], model["device_macs"], model["seeds"]) == (pytest.approx((0.61 + 0.71) / 2), 11e6, 2)
    assert model["drop"] == pytest.approx(0.04)


def test_a_model_counts_at_every_snr_at_which_it_was_tried():
    rows = [row(10e6, 64, 0.4, snr_db=0.0), row(10e6, 64, 0.6, snr_db=0.0, train_snr_db=0.0), row(10e6, 64, 0.7)]
    assert choose(table(*rows), 0, max_drop=1).train_snr_db.tolist() == [0.0]
    assert choose(table(*rows), 14.5, max_drop=1).train_snr_db.tolist() == [14.5]


models = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), st.sampled_from([0.5, 0.6, 0.7])), min_size=1,
                  max_size=12)


@given(models, st.integers(0, 5))
def test_nothing_kept_is_dominated_and_all_that_is_left_out_is(costs, most):
    given = table(*[row(macs, symbols, accuracy, ratio=number / 100)
                    for number, (macs, symbols, accuracy) in enumerate(costs)])
    within = [model for model in costs if model[0] <= most]
    if not within:
        with pytest.raises(InputError):
            choose(given, 14.5, max_macs=most, max_drop=1)
        return
    kept = {tuple(model) for model in choose(given, 14.5, max_macs=most, max_drop=1)[
        ["device_macs", "symbols", "accuracy"]].to_numpy()}
    for macs, symbols, accuracy in within:
        better = [other for other in within if other != (macs, symbols, accuracy)
                  and other[0] <= macs and other[1] <= symbols and other[2] >= accuracy]
        assert ((macs, symbols, accuracy) in kept) == (not better)


# What is refused

@pytest.mark.parametrize("limits, model, relaxed", [
    ({"max_symbols": 100}, "pool 2, ratio 0.2", "max_symbols from 100 to 128"),
    ({"max_symbols": 127, "max_macs": 19e6}, "pool 2, ratio 0.2",
     r"max_macs from 1.9e\+07 to 20000000 and max_symbols from 127 to 128"),
    ({"max_macs": 1e6, "max_symbols": 64, "max_drop": 0.19}, "ratio 0.01",
     r"max_drop from 0.19 to 0.2000 \(20 points\)"),
    ({"max_macs": 0, "max_symbols": 7999}, "PNG", "max_symbols from 7999 to 8000")])
def test_where_nothing_fits_the_nearest_miss_and_what_to_relax_are_named(limits, model, relaxed):
    with pytest.raises(InputError, match=f"{model}.* is nearest, relax {relaxed}\\.") as refused:
        choose(KNOWN, 14.5, **limits)
    given = dict(re.findall(r"(max_\w+) from \S+ to ([\d.]+\d)", str(refused.value)))
    wider = {"max_drop": 0.02, **limits} | {name: float(value) for name, value in given.items()}
    assert len(choose(KNOWN, 14.5, **wider)) == 1


def test_an_snr_that_was_not_evaluated_names_those_that_were():
    with pytest.raises(InputError, match=r"at 13 dB, only at 14\.5 dB"):
        choose(KNOWN, 13)


@pytest.mark.parametrize("limits, culprit", [
    ({"max_macs": -1}, "max_macs.*-1"), ({"max_symbols": math.nan}, "max_symbols.*nan"),
    ({"max_drop": -0.01}, "max_drop.*-0.01"), ({"max_drop": 2}, "a share.*2"), ({"max_macs": "1"}, "max_macs.*'1'")])
def test_limits_that_are_none_are_refused(limits, culprit):
    with pytest.raises(InputError, match=culprit):
        choose(KNOWN, 14.5, **limits)


def test_a_table_without_models_or_without_a_baseline_is_refused():
    with pytest.raises(InputError, match="no end-to-end model"):
        choose(table(), 14.5)
    without = KNOWN[KNOWN.step != "pretrain"]
    with pytest.raises(InputError, match="step 1"):
        choose(without, 14.5)
    assert len(choose(without, 14.5, max_drop=None)) == 4


# On what is shipped

@pytest.fixture(scope="module")
def gpu():
    return results.load("gpu")


@pytest.mark.parametrize("snr_db", [0.0, 14.5])
def test_the_shipped_models_that_are_chosen_fit_and_are_those_of_their_runs(gpu, snr_db):
    chosen = choose(gpu, snr_db, max_macs=100e6, max_symbols=2048, max_drop=0.1)
    assert chosen.accuracy.is_monotonic_decreasing and len(chosen) > 1
    assert chosen.device_macs.max() <= 100e6 and chosen.symbols.max() <= 2048
    best = chosen.iloc[0]
    rows = results.end_to_end(gpu, variant=best.variant, pool=best.pool, ratio=best.ratio, bandwidth=best.bandwidth)
    rows = rows[(rows.train_snr_db == best.train_snr_db) & (rows.snr_db == snr_db)]
    assert rows.accuracy.mean() == pytest.approx(best.accuracy) and rows.seed.nunique() == best.seeds
