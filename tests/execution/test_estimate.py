"""The time left of a study: by what finished runs of a kind took, guessed for kinds that have none."""

import json
from datetime import UTC, datetime

import pytest

from helpers import TINY, made
from lib import study
from lib.batch import places
from lib.execution import estimate

PROFILES = ("quick", "desk", "gpu", "paper")
DEVICE = "a processor"
LADDER = "figure3: {ladders: [{pool: 2, ratios: [0.0], bandwidths: [16, 32, 48, 64]}]}"  # four models of one kind


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The tiny study with a ladder, and no results."""
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "tiny.yaml").write_text(TINY.replace("figure3: {}", LADDER))
    monkeypatch.setattr(study, "ROOT", tmp_path)
    return study.load("tiny")


def finish(settings, item, begin, end, device=DEVICE):
    """A result of a run that took these seconds, START_UP included."""
    folder = places.folder_of(settings, item.name)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({**json.loads(made("now")), "provenance": {
        "device": device, "end": datetime.fromtimestamp(end, UTC).isoformat(),
        "seconds": end - begin - estimate.START_UP}}))


def models(settings):
    return [item for item in study.runs(settings) if item.step == "end_to_end"]


def measured(monkeypatch, speed):
    monkeypatch.setattr(estimate, "_measure", lambda settings: speed)


def test_a_run_takes_the_median_of_finished_ones_of_its_kind(settings):
    *done, last, other = models(settings)
    for item, (begin, end) in zip(done, [(1000, 1010), (2000, 2100), (3000, 3020)], strict=True):
        finish(settings, item, begin, end)
    seconds, how = estimate.remaining(settings, [last, other], DEVICE)
    assert seconds == pytest.approx(2 * 20) and how == "2 by the median of finished runs of their kind"


def test_runs_that_ran_side_by_side_leave_less_time(settings):
    *done, last, other = models(settings)
    for item, begin in zip(done, (1000, 1010, 1020), strict=True):
        finish(settings, item, begin, begin + 20)
    seconds, _ = estimate.remaining(settings, [last, other], DEVICE)
    assert seconds == pytest.approx(2 * 20 * 40 / 60)  # 60 s of runs within 40 s


def test_without_a_finished_run_on_the_device_a_training_step_is_timed(settings, monkeypatch):
    first, *todo = models(settings)
    finish(settings, first, 1000, 2000, device="another processor")
    measured(monkeypatch, speed=100.0)
    seconds, how = estimate.remaining(settings, todo, DEVICE)
    assert how == "4 guessed from a training step timed now"
    images = 5000 + 3 * 3 * 500  # three epochs of 500 images, and the evaluation's
    assert seconds == pytest.approx(4 * images / 100)


def test_a_kind_without_a_finished_run_is_guessed_from_the_speed_of_the_others(settings, monkeypatch):
    monkeypatch.setattr(estimate, "_measure", lambda settings: pytest.fail("measured although a run has finished"))
    first, second, *_ = models(settings)
    pretrain = study.runs(settings)[0]
    finish(settings, pretrain, 1000, 1011)  # 5000 + 3 · 2 · 1000 passes
    seconds, how = estimate.remaining(settings, [first], DEVICE)
    assert seconds == pytest.approx(9500 / 1000) and how == "1 guessed from the speed of finished runs"
    finish(settings, first, 2000, 2030)
    seconds, how = estimate.remaining(settings, [second, study.runs(settings)[1]], DEVICE)
    assert how == "1 by the median of finished runs of their kind, 1 guessed from the speed of finished runs"
    assert seconds > 30


def test_the_measurement_is_a_rate(settings):
    assert estimate._measure(settings) > 0


@pytest.mark.parametrize("profile", PROFILES)
def test_every_run_has_an_estimate(profile):
    loaded = study.load(profile)
    assert all(estimate.passes(loaded, item) > 0 for item in study.runs(loaded))


def test_a_longer_step_4_is_more_work():
    loaded = study.load("gpu")
    listed = {item.name: item for item in study.runs(loaded)}
    usual = listed["end_to_end/pool2-r0.50-b512-snr14.5-s0"]
    longer = listed["end_to_end/pool2-r0.50-b512-snr14.5-s0-longer_step4"]
    assert estimate.passes(loaded, longer) > 1.5 * estimate.passes(loaded, usual)


@pytest.mark.parametrize("spans, length", [
    ([(0, 2), (5, 6)], 3), ([(0, 4), (1, 3), (2, 6)], 6), ([(5, 6), (0, 2), (1, 3)], 4), ([], 0)])
def test_the_time_of_runs_side_by_side_counts_once(spans, length):
    assert estimate.covered(spans) == length


@pytest.mark.parametrize("seconds, text", [(5, "1 min"), (600, "10 min"), (7200, "2.0 hours")])
def test_a_duration_is_human_readable(seconds, text):
    assert estimate.duration(seconds) == text
