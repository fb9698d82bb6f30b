"""Runs: computed by papermill in a copy of the project, finished atomically, resumed, and told by their hash."""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from helpers import (
    AUTOENCODER,
    MODEL,
    NAMES,
    PLUS,
    PNG,
    PRETRAIN,
    PRUNE,
    TINY,
    change_study,
    command,
    execute,
    folder,
    in_process,
    made,
    pretend,
    recorded,
    result,
    runs,
)
from lib import InputError, checkpoint, codec, data, evaluation, job, results, run, study, training, vgg, weights
from lib.batch import places
from lib.evidence import manifest, provenance
from lib.execution import atomic, processes

# What a finished run leaves

def test_the_study_has_these_runs(project):
    assert set(runs()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_holds_hash_parameters_metrics_and_upstream(project, name):
    found, item = result(name), runs()[name]
    assert (found["name"], found["step"], found["study"]) == (name, item.step, "tiny")
    assert found["parameters"] == study.resolved(study.load("tiny"), item) and found["upstream"] == item.upstream
    assert re.fullmatch("[0-9a-f]{16}", found["hash"])
    assert all(isinstance(value, str | int | float) for value in found["metrics"].values())


@pytest.mark.parametrize("name", NAMES)
def test_a_result_says_where_it_came_from(project, name):
    origin = result(name)["provenance"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True)
    assert (origin["commit"], origin["uncommitted_changes"]) == (head.stdout.strip(), False)
    assert (origin["seed"], origin["threads"], origin["precision"]) == (0, 1, "float32")
    assert origin["versions"]["torch"] == importlib.metadata.version("torch")
    assert origin["versions"]["python"] == sys.version.split()[0] and origin["device"] == provenance.device()
    start, end = (datetime.fromisoformat(origin[key]) for key in ("start", "end"))
    assert start.utcoffset() is not None and start <= end
    assert 0 < origin["seconds"] < 600 and origin["peak_memory_mib"] > 50


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_run_leaves_an_executed_notebook_and_nothing_half_made(project, name):
    files = {path.name for path in folder(name).iterdir()}
    assert {"result.json", "notebook.ipynb"} <= files
    assert not [file for file in files if "partial" in file or "checkpoint" in file]
    cells = json.loads((folder(name) / "notebook.ipynb").read_text())["cells"]
    assert all(cell["execution_count"] for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("name, epochs", [(PRETRAIN, 2), (PRUNE, 2), (AUTOENCODER, 2), (MODEL, 3), (PLUS, 2)])
def test_the_learning_curve_has_a_row_an_epoch(project, name, epochs):
    history = pd.read_csv(folder(name) / "history.csv")
    assert len(history) == epochs and history.loss.gt(0).all() and {"epoch", "loss", "lr", "seconds"} <= {*history}


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_json_for_every_reader(project, name):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    json.loads((folder(name) / "result.json").read_text(), parse_constant=refuse)


def test_the_pretrained_net_is_two_shards_in_half_precision(project):
    shards = [load_file(path) for path in sorted(folder(PRETRAIN).glob("*.safetensors"))]
    assert len(shards) == 2 and not set(shards[0]) & set(shards[1])
    values = {**shards[0], **shards[1]}
    assert set(values) == set(vgg.vgg16_bn(10, 0.0625).state_dict())
    assert all(value.dtype == torch.float16 for name, value in values.items() if "num_batches" not in name)


@pytest.mark.parametrize("name", [PRETRAIN, PRUNE, AUTOENCODER, MODEL])
def test_a_result_knows_the_checksums_of_its_weights(project, name):
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder(name).glob("*.safetensors")}
    assert files and result(name)["weights"] == files


def rebuilt(name):
    """The network of a run, from its kept widths and weights alone."""
    state = weights.load(folder(name))
    network = vgg.vgg16_bn(10, channels=result(name)["channels"])
    network.load_state_dict(weights.part(state, "network") or state)
    return network


def images():
    return data.dataset("mini")


@pytest.mark.parametrize("name", [PRETRAIN, PRUNE])
def test_the_rebuilt_network_has_the_accuracy_that_the_result_says(project, name):
    test = images()
    accuracy = evaluation.accuracy(rebuilt(name), test.test_images, test.test_labels, test.normalise)
    assert accuracy == pytest.approx(result(name)["metrics"]["accuracy_clean"], abs=0.002)


def test_the_rebuilt_model_has_the_accuracies_that_the_result_says(project):
    link = codec.link(2, result(MODEL)["channels"][3], 64, 14.5)
    link.load_state_dict(weights.part(weights.load(folder(MODEL)), "link"))
    pipeline, test = training.CPU.place(codec.Pipeline(rebuilt(MODEL), 2, link)).eval(), images()
    points = evaluation.over_snr(pipeline.transmit, pipeline.receive, link.channel, test.test_images, test.test_labels,
                                 test.normalise, [0.0, 14.5, float("inf")], 2)
    stored = pd.DataFrame(result(MODEL)["evaluation"])
    expected = [*stored.accuracy, result(MODEL)["metrics"]["accuracy_clean"]]
    assert points.accuracy.tolist() == pytest.approx(expected, abs=0.002)
    assert result(MODEL)["metrics"]["accuracy_at_snr"] == pytest.approx(
        stored[stored.snr_db == 14.5].accuracy.mean())


def test_pruning_keeps_the_widths_that_its_ratio_says(project):
    before, after = result(PRETRAIN)["channels"], result(PRUNE)["channels"]
    assert sum(before[:4]) - sum(after[:4]) == result(PRUNE)["metrics"]["filters_removed"] == sum(before[:4]) // 2
    assert min(after[:4]) >= 2 and after[4:] == before[4:]
    assert result(MODEL)["channels"] == after


def test_a_models_operations_are_its_halfs_and_its_encoders(project):
    metrics = result(MODEL)["metrics"]
    assert metrics["device_macs"] == metrics["device_half_macs"] + metrics["encoder_macs"]
    assert metrics["device_half_macs"] == result(PRUNE)["metrics"]["device_macs"]
    assert metrics["symbols"] == result(AUTOENCODER)["metrics"]["symbols"] == 64


def test_the_evaluation_has_a_row_per_snr_and_draw(project):
    points = [(point["snr_db"], point["draw"]) for point in result(MODEL)["evaluation"]]
    assert points == [(0.0, 0), (0.0, 1), (14.5, 0), (14.5, 1)]


def test_other_schemes_name_themselves_and_their_cost(project):
    png, plus = result(PNG)["metrics"], result(PLUS)["metrics"]
    assert (png["scheme"], png["device_macs"]) == ("PNG", 0) and png["symbols"] < png["bits"]
    assert (plus["scheme"], plus["symbols"]) == ("BottleNet++", 64) and plus["device_macs"] > 0
    below = [point["accuracy"] for point in result(PNG)["evaluation"] if point["snr_db"] < 14.5]
    assert below == [0.1]  # designed for 14.5 dB: chance under it


# What is left to do

def test_a_finished_study_has_nothing_pending(project):
    assert results.pending("tiny") == [] and results.stale("tiny") == ([], [])


def test_only_an_unfinished_run_is_pending(workspace):
    (folder(MODEL) / "result.json").unlink()
    assert [item.name for item in results.pending("tiny")] == [MODEL]


def test_upstream_weights_that_are_not_here_are_made_again(workspace):
    (folder(MODEL) / "result.json").unlink()
    for name in (PRUNE, AUTOENCODER):
        (folder(name) / "model.safetensors").unlink()
    assert [item.name for item in results.pending("tiny")] == [PRUNE, AUTOENCODER, MODEL]


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x")])
def test_damaged_weights_upstream_are_refused_in_a_sentence(workspace, harm):
    (folder(PRUNE) / "result.json").unlink()
    shard = folder(PRETRAIN) / "model-00002-of-00002.safetensors"
    harm(shard)
    assert places.damaged(folder(PRETRAIN)) == [shard.name]
    before = {path: path.stat().st_mtime_ns for path in workspace.rglob("*")}
    with pytest.raises(InputError, match=f"{shard.name} is missing or damaged"):
        execute(PRUNE)
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("*")} == before


def test_weights_are_not_missed_where_nothing_needs_them(workspace):
    for path in workspace.rglob("*.safetensors"):
        path.unlink()
    assert results.pending("tiny") == [] and places.damaged(folder(PRETRAIN)) == []


def test_an_asked_figure_brings_its_upstream_runs_and_no_others(empty):
    assert [item.name for item in results.pending("tiny", only="figure5")] == [PRETRAIN, PRUNE, AUTOENCODER, MODEL]
    assert [item.name for item in results.pending("tiny")] == list(runs())


def test_a_stale_result_is_left_alone_unless_asked(workspace):
    change_study(workspace, "end_to_end: {epochs: 3", "end_to_end: {epochs: 4")
    assert results.stale("tiny") == ([MODEL], []) and results.pending("tiny") == []
    assert results.progress("tiny").endswith(f"1 of them no longer fit the code and parameters: {MODEL}.")
    assert [item.name for item in results.pending("tiny", rerun_stale=True)] == [MODEL]


def how_many(said):
    """What the lines of progress say: how many runs are done, and whether all are."""
    return [(int(line[1]), "all runs are done" in line) for line in said.splitlines() if re.match(r"\[\d/6\] ", line)]


def test_while_stale_results_are_computed_again_they_do_not_count_as_done(workspace):
    change_study(workspace, "autoencoder: {epochs: 2", "autoencoder: {epochs: 1")
    done = command(workspace, "lib", "tiny", "--rerun-stale", "--jobs", "2")
    assert done.returncode == 0 and how_many(done.stdout) == [(5, False), (6, True)]


def test_nor_do_results_that_are_made_again_for_their_weights(workspace, monkeypatch, capsys):
    def made_again(settings, name, *_):
        shutil.copy(folder(name) / "result.json", folder(name) / "another.json")
        os.replace(folder(name) / "another.json", folder(name) / "result.json")
        return 0

    monkeypatch.setattr(processes, "run", made_again)
    for name in (PRUNE, AUTOENCODER, MODEL):
        (folder(name) / "model.safetensors").unlink()
    run.main(["tiny", MODEL])
    assert how_many(capsys.readouterr().out) == [(4, False), (5, False), (6, True)]


def test_what_rests_on_a_stale_result_is_stale_too(workspace):
    change_study(workspace, "pretrain: {epochs: 2", "pretrain: {epochs: 3")
    assert results.stale("tiny")[0] == list(runs())
    assert [item.name for item in results.pending("tiny", rerun_stale=True)] == list(runs())


def test_a_run_that_started_from_other_weights_than_its_upstream_runs_is_reported(workspace):
    assert results.retrained_upstream("tiny") == []
    path = folder(AUTOENCODER) / "result.json"
    made = json.loads(path.read_text())
    path.write_text(json.dumps({**made, "weights": {"model.safetensors": "0" * 64}}))
    assert results.retrained_upstream("tiny") == [MODEL] and results.stale("tiny") == ([], [])
    assert results.progress("tiny") == ("6 of 6 runs are finished. 1 of them started from a re-trained upstream "
                                        f"model: {MODEL}.")


def test_what_rests_on_a_run_with_a_retrained_upstream_model_is_reported_if_asked(workspace):
    path = folder(PRUNE) / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "weights": {"model.safetensors": "0" * 64}}))
    first = results.retrained_upstream("tiny")
    assert AUTOENCODER in first and MODEL not in first
    assert {*first, MODEL} <= set(results.retrained_upstream("tiny", downstream=True))


def test_it_is_reported_of_a_result_that_does_not_name_its_weights_too(workspace):
    path = folder(MODEL) / "result.json"
    made = {key: value for key, value in json.loads(path.read_text()).items() if key != "upstream_weights"}
    path.write_text(json.dumps(made))
    assert results.retrained_upstream("tiny") == []
    made["provenance"]["start"] = "2020-01-01T00:00:00+00:00"
    path.write_text(json.dumps(made))
    assert results.retrained_upstream("tiny") == [MODEL]


def test_a_result_that_no_study_lists_is_reported(workspace):
    shutil.copytree(folder(PRUNE), folder("prune/pool2-r0.33-s0"))
    assert results.stale("tiny") == ([], ["prune/pool2-r0.33-s0"])


def test_all_results_are_one_table(project):
    table = results.load("tiny")
    assert table.groupby("run").size().to_dict() == {PRETRAIN: 1, PRUNE: 1, AUTOENCODER: 1, MODEL: 4, PNG: 2, PLUS: 4}
    mine = table[table.run == MODEL]
    assert mine.accuracy.tolist() == [point["accuracy"] for point in result(MODEL)["evaluation"]]
    assert set(table.scheme) == {results.PROPOSED, "PNG", "BottleNet++"}


# Runs that fail

@pytest.mark.parametrize("arguments, culprit", [
    (("tiny", "prune/pool9"), "prune/pool9"), (("tiny", "report/99_nothing"), "99_nothing"),
    (("nonsense", PRETRAIN), "nonsense"), (("tiny",), "usage")])
def test_a_run_that_does_not_exist_is_one_sentence_and_exit_code_2(empty, arguments, culprit):
    done = command(empty, "lib.run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert culprit in done.stderr and done.stderr.count("\n") == 1 and not (empty / "outputs").exists()


@pytest.mark.parametrize("missing", [[], [AUTOENCODER], [PRUNE, AUTOENCODER]])
def test_a_run_by_itself_computes_what_it_misses_upstream_first(workspace, monkeypatch, capsys, missing):
    calls = []
    monkeypatch.setattr(processes, "run", lambda settings, name, *_: calls.append(name) or 0)
    for name in (*missing, MODEL):
        (folder(name) / "model.safetensors").unlink()
    run.main(["tiny", MODEL])
    assert calls == [*missing, MODEL]
    assert [line for line in capsys.readouterr().out.splitlines() if " is computed " in line] == [
        *(f"{name} is computed first: its result is replaced" for name in missing),
        f"{MODEL} is computed again: its result is replaced"]


def test_a_finished_run_is_left_as_it_is_until_it_is_stale(workspace, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(processes, "run", lambda settings, name, *_: calls.append(name) or 0)
    assert run.main(["tiny", MODEL]) == 0 and calls == []
    assert f"nothing to do. ./run_all.sh recheck tiny {MODEL} computes it again" in capsys.readouterr().out
    change_study(workspace, "end_to_end: {epochs: 3", "end_to_end: {epochs: 1")
    assert run.main(["tiny", MODEL]) == 0 and calls == [MODEL]


def test_a_run_of_a_studys_file_hands_its_notebook_a_path_that_holds_there(empty, monkeypatch):
    (empty / "mine.yaml").write_text(TINY.replace("name: tiny", "name: mine"))
    given = []
    monkeypatch.setattr(processes, "run", lambda settings, name, function, *arguments: function(settings, *arguments))
    monkeypatch.setattr(atomic, "execute_notebook", lambda *arguments: given.append(arguments[-1]["study"]))
    monkeypatch.chdir(empty)
    with pytest.raises(OSError):  # nothing was run
        run.main(["mine.yaml", PRETRAIN])
    monkeypatch.chdir(empty / "notebooks")
    assert study.load(given[0]).name == "mine"


def test_the_result_is_put_in_place_last_after_it_is_listed(empty, monkeypatch):
    pretend(monkeypatch)
    order, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (order.append(target.name), replace(source, target)))
    execute(PRETRAIN)
    assert order == ["notebook.ipynb", "manifest.csv", "result.json"] and result(PRETRAIN)["made"] == "now"


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_run_killed_while_it_is_put_in_place_is_not_finished(empty, monkeypatch, moment):
    pretend(monkeypatch)
    left, replace = [moment], os.replace

    def killed(source, target):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            execute(PRETRAIN)
    assert not places.finished(folder(PRETRAIN))
    execute(PRETRAIN)
    assert result(PRETRAIN)["made"] == "now" and manifest.altered(study.load("tiny"), [runs()[PRETRAIN]]) == []


def test_a_notebook_that_never_finishes_its_run_does_not_take_an_older_ones_result(empty, monkeypatch):
    pretend(monkeypatch, partial=None)
    folder(PRETRAIN).mkdir(parents=True)
    (folder(PRETRAIN) / "result.json.unfinished").write_text(made("before"))
    with pytest.raises(OSError):
        execute(PRETRAIN)
    assert not places.finished(folder(PRETRAIN))


def test_a_run_that_another_process_has_just_finished_is_not_computed_again(empty, monkeypatch):
    calls = pretend(monkeypatch)

    def wait_for_the_other(file, operation):
        (folder(PRETRAIN) / "result.json").write_text(made("by the other"))

    monkeypatch.setattr(atomic.fcntl, "flock", wait_for_the_other)
    execute(PRETRAIN)
    assert calls == [] and result(PRETRAIN)["made"] == "by the other"


def test_a_run_that_was_finished_after_it_was_listed_is_not_computed_again(empty, monkeypatch):
    """By a second command in the same clone, or one that was killed and ended only now."""
    calls, listed_at = pretend(monkeypatch), time.time_ns() - 10**9  # a file system's clock is a little coarser
    folder(PRETRAIN).mkdir(parents=True)
    (folder(PRETRAIN) / "result.json").write_text(made("by the other"))
    atomic.execute(study.load("tiny"), runs()[PRETRAIN], since=listed_at)
    assert calls == [] and result(PRETRAIN)["made"] == "by the other"
    atomic.execute(study.load("tiny"), runs()[PRETRAIN], since=time.time_ns() + 10**9)  # listed as stale
    assert len(calls) == 1 and result(PRETRAIN)["made"] == "now"


def test_a_rerun_that_fails_leaves_the_old_result_and_its_weights(workspace, monkeypatch):
    before, stored = result(PRETRAIN), weights.load(folder(PRETRAIN))
    change_study(workspace, "pretrain: {epochs: 2, lr: 0.05", "pretrain: {epochs: 1, lr: 0.1")

    def fails_in_its_last_cell(source, output, place, parameters):
        in_process(runs()[PRETRAIN], place, monkeypatch)
        raise RuntimeError("planned")

    monkeypatch.setattr(atomic, "execute_notebook", fails_in_its_last_cell)
    with pytest.raises(RuntimeError, match="planned"):
        execute(PRETRAIN)
    after = weights.load(folder(PRETRAIN))
    assert result(PRETRAIN) == before
    assert all(torch.equal(after[name], stored[name]) for name in stored)


# Runs that are broken off

class Broken(BaseException):
    pass


@pytest.mark.parametrize("name", [PRETRAIN, PRUNE, AUTOENCODER, MODEL, PLUS])
def test_a_run_broken_off_after_every_epoch_ends_with_the_numbers_of_an_unbroken_one(workspace, monkeypatch, name):
    unbroken, stored = result(name), weights.load(folder(name))
    history = pd.read_csv(folder(name) / "history.csv").drop(columns="seconds")
    shutil.rmtree(folder(name))
    save, saved, attempts = checkpoint.save, [], 0

    def save_and_break(path, *arguments):
        save(path, *arguments)
        saved.append(path)
        raise Broken

    monkeypatch.setattr(checkpoint, "save", save_and_break)
    while not (folder(name) / "result.json.unfinished").exists():
        assert attempts <= 2 * len(history) and not places.finished(folder(name))
        attempts += 1
        try:
            in_process(runs()[name], folder(name), monkeypatch)
        except Broken:
            monkeypatch.delenv(places.OUTPUT)
    assert attempts == len(saved) + 1 and len(saved) >= len(history)
    places.put_in_place(folder(name))
    resumed = result(name)
    assert all(resumed[key] == unbroken[key] for key in ("metrics", "evaluation", "channels", "parameters", "hash"))
    assert pd.read_csv(folder(name) / "history.csv").drop(columns="seconds").equals(history)
    after = weights.load(folder(name))
    assert set(after) == set(stored) and all(torch.equal(after[key], stored[key]) for key in stored)


@pytest.mark.parametrize("name", [PRUNE, PLUS])
def test_every_fit_of_a_run_draws_its_own_images(workspace, monkeypatch, name):
    shutil.rmtree(folder(name))
    batches, augment = [], data.augment

    def record(batch, choices):
        batches.append({image.numpy().tobytes() for image in batch})
        return augment(batch, choices)

    monkeypatch.setattr(data, "augment", record)
    in_process(runs()[name], folder(name), monkeypatch)
    assert list(map(len, batches)) == [50, 50]  # two fits, each of one epoch and one batch of 5,000 images
    assert len(batches[0] & batches[1]) < 10


def test_a_checkpoint_of_other_parameters_is_not_resumed(workspace, monkeypatch):
    shutil.rmtree(folder(MODEL))
    save = checkpoint.save

    def save_and_break(*arguments):
        save(*arguments)
        raise Broken

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_break)
        with pytest.raises(Broken):
            in_process(runs()[MODEL], folder(MODEL), patch)
    change_study(workspace, "end_to_end: {epochs: 3", "end_to_end: {epochs: 1")
    in_process(runs()[MODEL], folder(MODEL), monkeypatch)
    places.put_in_place(folder(MODEL))
    assert pd.read_csv(folder(MODEL) / "history.csv").epoch.tolist() == [1]
    change_study(workspace, "end_to_end: {epochs: 1, lr: 0.01", "end_to_end: {epochs: 1, lr: 1.0e-9")
    losses = [pd.read_csv(folder(MODEL) / "history.csv").loss[0]]
    in_process(runs()[MODEL], folder(MODEL), monkeypatch)
    places.put_in_place(folder(MODEL))
    losses.append(pd.read_csv(folder(MODEL) / "history.csv").loss[0])
    assert losses[0] != losses[1]


def test_a_checkpoint_of_another_engine_is_not_resumed(workspace, monkeypatch):
    keys = []
    monkeypatch.setattr(training, "fit", lambda *_, key, **options: keys.append(key))
    for engine in (training.Engine(), training.Engine(cuda_graphs=True), training.Engine(bfloat16=True)):
        started = job.start("pretrain", "tiny", seed=0)
        started.engine = engine
        started.fit(torch.nn.Linear(1, 1), None, None, None, None)
    assert len(set(keys)) == 3


# Notebooks opened by hand

def test_by_hand_what_is_missing_upstream_is_computed_first(workspace, monkeypatch):
    calls = recorded(monkeypatch)
    begun = job.start("end_to_end", "tiny", pool=2, ratio=0.6, bandwidth=64, snr_db=14.5, seed=0, variant="proposed")
    assert [name for name, _ in calls] == ["prune/pool2-r0.60-s0", "autoencoder/pool2-r0.60-b64-snr14.5-s0"]
    interactive = workspace / "outputs" / "interactive" / "tiny"
    assert begun.folder == interactive / "end_to_end/pool2-r0.60-b64-snr14.5-s0"
    assert all(place == interactive / name for name, place in calls)


def test_by_hand_what_the_study_has_computed_is_taken(workspace, monkeypatch):
    calls, before = recorded(monkeypatch), {path: path.stat().st_mtime_ns for path in folder("").rglob("*")}
    begun = job.start("end_to_end", "tiny", pool=2, ratio=0.5, bandwidth=64, snr_db=14.5, seed=0, variant="proposed")
    begun.network(), begun.baseline()
    begun.finish({"accuracy_clean": 1.0})
    assert calls == [] and places.finished(begun.folder)
    assert {path: path.stat().st_mtime_ns for path in folder("").rglob("*")} == before


def test_by_hand_an_upstream_run_that_no_longer_fits_is_named(workspace, monkeypatch, capsys):
    recorded(monkeypatch)
    point = {"pool": 2, "ratio": 0.5, "bandwidth": 64, "snr_db": 14.5, "seed": 0, "variant": "proposed"}
    job.start("end_to_end", "tiny", **point)
    assert "no longer fits" not in capsys.readouterr().out
    (folder(AUTOENCODER) / "result.json").write_text(json.dumps({**result(AUTOENCODER), "made_by": []}))
    job.start("end_to_end", "tiny", **point)
    assert f"{AUTOENCODER}, which this run starts from, no longer fits" in capsys.readouterr().out


def test_before_new_weights_the_earlier_result_goes(tmp_path, monkeypatch):
    for name in ("result.json", "model.safetensors"):
        (tmp_path / name).write_text("old")
        (tmp_path / f"{name}{places.UNFINISHED}").write_text("new")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(places.os, "replace", killed)
        places.put_in_place(tmp_path)
    assert not places.finished(tmp_path)  # to do, and not damaged
    places.put_in_place(tmp_path)
    assert places.finished(tmp_path, weights=True) and {path.read_text() for path in tmp_path.iterdir()} == {"new"}


def test_by_hand_a_large_study_names_the_command_that_computes_what_is_missing(empty, monkeypatch):
    calls = recorded(monkeypatch)
    with pytest.raises(InputError, match=r"prune/pool2-r0\.25-s0 has not been computed: python -m lib\.run desk "
                                         r"prune/pool2-r0\.25-s0 makes it, in about [\d.]+ (min|hours).*run_all\.sh"):
        job.start("prune", "desk", pool=2, ratio=0.5, seed=0, variant="proposed")
    assert calls == [] and not (empty / "outputs").exists()


@pytest.mark.parametrize("changes, culprit", [
    ({"bandwidth": 100}, "multiple of 16"), ({"ratio": 1.2}, "1.2"), ({"pool": 6}, "6"),
    ({"ratio": 0.9}, "fewer than"), ({"variant": "nogdn"}, "nogdn"), ({"variant": "longer_step4"}, "no schedule"),
    ({"snr_db": float("nan")}, "snr_db.*nan"), ({"snr_db": None}, "snr_db.*None"), ({"seed": 0.5}, "seed.*0.5"),
    ({"seed": "0"}, "seed.*'0'"), ({"bandwidth": 64.0}, "bandwidth.*64.0"), ({"bandwidth": "64"}, "bandwidth.*'64'"),
    ({"ratio": "0.5"}, "ratio.*'0.5'"), ({"pool": 2.0}, "pool.*2.0")])
def test_by_hand_impossible_parameters_are_refused(empty, changes, culprit):
    point = {"pool": 2, "ratio": 0.5, "bandwidth": 64, "snr_db": 14.5, "seed": 0, "variant": "proposed", **changes}
    with pytest.raises(InputError, match=culprit):
        job.start("end_to_end", "tiny", **point)
    assert not (empty / "outputs").exists()


def test_by_hand_whole_numbers_name_the_same_run_as_others(workspace):
    point = {"pool": 2, "ratio": 0.5, "bandwidth": 64, "seed": 0, "variant": "proposed"}
    keys = [job.start("autoencoder", "tiny", snr_db=snr_db, **point).made_by for snr_db in (10, 10.0)]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("scheme, name", [
    ("png", "png-snr14.5-s0"), ("bottlenet_plus", "bottlenet_plus-pool2-b64-snr14.5-s0")])
def test_by_hand_another_scheme_takes_of_the_notebooks_parameters_what_it_uses(workspace, scheme, name):
    begun = job.start("baselines", "tiny", scheme=scheme, pool=2, ratio=None, bandwidth=64, level=None, snr_db=14.5,
                      seed=0)
    assert begun.run.name == f"baselines/{name}" and begun.made_by == result(begun.run.name)["made_by"]


@pytest.mark.parametrize("changes, culprit", [
    ({"scheme": "nosuch"}, "nosuch"), ({"scheme": "jalad"}, "level"), ({"seed": None}, "seed"),
    ({"scheme": "jalad", "level": 9}, "1 to 8"), ({"scheme": "deepjscc", "bandwidth": 100}, "64")])
def test_by_hand_another_schemes_impossible_parameters_are_refused(empty, changes, culprit):
    cell = {"scheme": "png", "pool": 2, "ratio": None, "bandwidth": 64, "level": None, "snr_db": 14.5, "seed": 0}
    with pytest.raises(InputError, match=culprit):
        job.start("baselines", "tiny", **{**cell, **changes})
    assert not (empty / "outputs").exists()


def test_other_schemes_are_refused_by_a_study_that_does_not_say_how_they_are_trained(empty):
    (empty / "params" / "tiny.yaml").write_text(TINY.split("baselines:")[0])
    with pytest.raises(InputError, match="no section baselines"):
        job.start("baselines", "tiny", scheme="png", snr_db=14.5, seed=0)
    assert not (empty / "outputs").exists()


def test_a_notebooks_parameters_must_be_those_of_its_folder(empty, monkeypatch):
    monkeypatch.setenv(places.OUTPUT, str(folder(PRUNE)))
    with pytest.raises(InputError, match="pretrain/s0"):
        job.start("pretrain", "tiny", seed=0)


# The whole study

def test_a_study_ends_with_figures_and_a_report(project):
    for stem in ("figure3", "figure4a", "figure5"):
        for suffix in ("png", "svg", "csv"):
            assert (project / "outputs/tiny/figures" / f"{stem}.{suffix}").stat().st_size > 100
    page = (project / "outputs/tiny/report/index.html").read_text()
    assert "not measured at this profile" in page and "C9" in page
    assert all(f'"name":"{name}"' in page for name in NAMES) and "nothing is judged" not in page


def test_a_report_of_the_same_results_is_the_same_file_and_needs_no_data_set(workspace):
    (workspace / "data" / "mini").unlink()
    files = [workspace / "outputs/tiny/report" / name for name in ("20_claims.ipynb", "index.html")]
    before = [file.read_text() for file in files]
    assert command(workspace, "lib.run", "tiny", "report/20_claims").returncode == 0
    assert [file.read_text() for file in files] == before

