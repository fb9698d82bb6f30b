"""Rechecking: computed beside, compared, nothing under outputs/ changed."""

import json
import shutil

import pytest

from helpers import MODEL, NAMES, PLUS, PRETRAIN, folder, result, runs
from lib import InputError, study
from lib.evidence import provenance, recheck


def everything_below(root):
    return {path: path.read_bytes() for path in sorted((root / "outputs").rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_a_run_computed_again_here_has_the_same_bits_and_changes_nothing(workspace, capsys):
    before = everything_below(workspace)
    assert recheck.main("tiny", [MODEL]) == 0
    assert everything_below(workspace) == before
    said = capsys.readouterr().out
    assert MODEL in said and "accuracy at 0 dB, draw 1" in said and "False" not in said


@pytest.mark.slow
def test_upstream_runs_without_weights_are_computed_in_the_copy_too(workspace):
    for file in folder(PRETRAIN).glob("model*"):
        file.unlink()
    for name in NAMES[1:4]:
        (folder(name) / "model.safetensors").unlink(missing_ok=True)
    before = everything_below(workspace)
    assert recheck.main("tiny", [PLUS]) == 0 and everything_below(workspace) == before


def test_an_altered_number_is_outside(project, tmp_path):
    stored = result(MODEL)
    new = json.loads(json.dumps(stored))
    new["metrics"]["accuracy_clean"] += 1e-9
    compared = recheck.compare(stored, new, spread=0.1).set_index("number")
    assert not compared.within["accuracy_clean"] and compared.within["accuracy_at_snr"]
    new["weights"] = {"model.safetensors": "0" * 64}
    assert not recheck.compare(stored, new, 0.1).set_index("number").within["weights (checksums differ)"]


def test_elsewhere_accuracies_may_differ_as_seeds_do_and_counts_by_a_twentieth(project):
    stored = result(MODEL)
    new = json.loads(json.dumps(stored))
    new["provenance"]["device"] = "another"
    new["metrics"]["accuracy_clean"] = stored["metrics"]["accuracy_clean"] + 0.09
    new["metrics"]["device_macs"] = round(1.04 * stored["metrics"]["device_macs"])
    assert recheck.compare(stored, new, spread=0.1).within.all()
    new["metrics"]["device_macs"] = round(1.06 * stored["metrics"]["device_macs"])
    new["metrics"]["accuracy_clean"] = stored["metrics"]["accuracy_clean"] - 0.11
    compared = recheck.compare(stored, new, spread=0.1).set_index("number")
    assert not compared.within["accuracy_clean"] and not compared.within["device_macs"]


def test_the_allowed_spread_is_three_deviations_of_a_difference(project):
    stored = result(MODEL)
    share = stored["metrics"]["accuracy_at_snr"]
    assert recheck.allowed_spread(study.load("tiny"), stored) == pytest.approx(
        3 * (2 * share * (1 - share) / 1000) ** 0.5)


def test_a_result_that_does_not_name_its_processor_counts_as_made_elsewhere(project):
    stored, new = result(MODEL), result(MODEL)
    assert recheck.same_arithmetic(stored, new) and stored["provenance"]["processor"] == provenance.processor()
    del stored["provenance"]["processor"]
    assert not recheck.same_arithmetic(stored, new)


def test_a_sample_is_of_runs_that_were_made_here_and_take_little(workspace):
    chosen = recheck.sample("tiny", 3)
    assert len(set(chosen)) == 3 and set(chosen) <= set(runs())
    assert set(recheck.sample("tiny", 100)) == set(runs())
    shutil.rmtree(folder(PRETRAIN))
    for item in runs().values():
        file = folder(item.name) / "result.json"
        if file.exists():
            file.write_text(file.read_text().replace(provenance.device(), "another"))
    with pytest.raises(InputError, match="machine like this one"):
        recheck.sample("tiny", 1)


def test_an_unknown_or_unfinished_run_is_refused(workspace):
    with pytest.raises(InputError, match="no finished run prune/none"):
        recheck.main("tiny", ["prune/none"])
