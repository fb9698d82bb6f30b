"""Notebooks opened by hand: cells that run twice, late or out of order, changed parameters, and what they say."""

import json
import os
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest
from traitlets.config import Config

import lib
from helpers import MODEL, PRETRAIN, PRUNE, change_study, folder, recorded, result
from lib import InputError, data, job, study
from lib.batch import places
from lib.execution import by_hand, kernel
from lib.execution.notebook import Shell

POINT = {"pool": 2, "ratio": 0.5, "bandwidth": 64, "snr_db": 14.5, "seed": 0, "variant": "proposed"}


class Lab:
    """JupyterLab without a browser: IPython's shell, in which the cells of a notebook are run, in any order."""

    def __init__(self):
        self.shell = Shell.instance(config=Config(HistoryManager={"enabled": False}))
        self.shell.outputs = []

    def open(self, notebook, **parameters):
        """Run the parameters cell of a notebook, with these values in it."""
        cells = json.loads(places.notebook_file(notebook).read_text())["cells"]
        self.cells = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        self.set(study="tiny")
        self.run(self.cells[0])
        self.set(study="tiny", **parameters)

    def set(self, **values):
        self.run("\n".join(f"{name} = {value!r}" for name, value in values.items()))

    def run(self, source):
        """Run a cell; what it raised, or None."""
        self.shell.outputs = []
        raised = self.shell.run_cell(source, store_history=True)
        plt.close("all")
        return raised.error_before_exec or raised.error_in_exec

    def cell(self, part):
        """The one cell that contains this."""
        [found] = [cell for cell in self.cells if part in cell]
        return found

    def up_to(self, part):
        """Run the cells before the one that contains this."""
        for cell in self.cells[1:self.cells.index(self.cell(part))]:
            assert self.run(cell) is None, cell

    def run_all(self):
        for cell in self.cells[1:]:
            assert self.run(cell) is None, cell


def opened(root, monkeypatch):
    """A lab in a project, and its end."""
    plt.switch_backend("Agg")
    monkeypatch.chdir(root / "notebooks")
    monkeypatch.setattr(sys, "path", list(sys.path))
    lab = Lab()
    yield lab
    lab.shell.restore_sys_module_state()
    Shell.clear_instance()
    by_hand.Session.registered = None


@pytest.fixture
def lab(empty, monkeypatch):
    """A lab in an empty project, whose pretrained net has been computed by hand."""
    change_study(empty, "filters_per_step: 8", "filters_per_step: 2")
    yield from opened(empty, monkeypatch)


@pytest.fixture
def lab_beside(workspace, monkeypatch):
    """A lab in a project whose study is computed."""
    yield from opened(workspace, monkeypatch)


def stored(name):
    """What a run that was computed by hand has stored, without its times."""
    place = places.interactive_folder(study.load("tiny"), name)
    assert not list(place.glob("checkpoint*"))
    found = places.read_result(place)
    return {key: found[key] for key in ("metrics", "evaluation", "weights", "channels", "hash")}


def interrupt(monkeypatch, after):
    """Ctrl-C in the training batch after this many."""
    augment, left = data.augment, [after]

    def interrupted(*arguments):
        if not left[0]:
            left[0] = -1
            raise KeyboardInterrupt
        left[0] -= 1
        return augment(*arguments)

    monkeypatch.setattr(data, "augment", interrupted)


# Cells that run twice

def test_an_interrupted_cell_that_is_run_again_and_a_finished_one_give_the_right_value(lab, monkeypatch):
    lab.open("01_pretrain")
    lab.run_all()
    unbroken = stored(PRETRAIN)
    lab.open("01_pretrain")
    lab.up_to(".fit(")
    with monkeypatch.context() as patch:
        interrupt(patch, after=5)  # in the first epoch, before any checkpoint
        assert isinstance(lab.run(lab.cell(".fit(")), KeyboardInterrupt)
    for _ in range(2):  # again, and again when it is finished
        for part in (".fit(", ".finish("):
            assert lab.run(lab.cell(part)) is None
        assert stored(PRETRAIN) == unbroken


def test_pruning_interrupted_in_its_third_of_five_steps_gives_the_right_value(lab, monkeypatch, capsys):
    lab.open("01_pretrain")
    lab.run_all()
    name = "prune/pool2-r0.40-s0"
    lab.open("02_prune", ratio=0.4)
    lab.run_all()
    unbroken = stored(name)
    lab.open("02_prune", ratio=0.4)
    lab.up_to(".fit(")
    capsys.readouterr()
    with monkeypatch.context() as patch:
        interrupt(patch, after=2)  # a batch a step
        assert isinstance(lab.run(lab.cell(".fit(")), KeyboardInterrupt)
    assert capsys.readouterr().out.count("epoch 1/1") == 2
    for resumed in (2, 0):  # again, and again when it is finished
        assert lab.run(lab.cell(".fit(")) is None
        said = capsys.readouterr().out
        assert (said.count("resumed after epoch 1 of 1"), said.count("epoch 1/1")) == (resumed, 5 - resumed)
        assert lab.run(lab.cell(".finish(")) is None
        assert stored(name) == unbroken
    for cell in lab.cells[lab.cells.index(lab.cell("jobs.start")) + 1:]:  # each can be run again by itself
        if ".fit(" not in cell:
            assert lab.run(cell) is None, cell


def test_a_link_that_is_trained_again_begins_with_the_same_random_numbers(lab):
    lab.open("01_pretrain")
    lab.run_all()
    lab.open("02_prune", ratio=0.5)
    lab.run_all()
    lab.open("03_autoencoder", bandwidth=64)
    lab.run_all()
    first = stored("autoencoder/pool2-r0.50-b64-snr14.5-s0")
    lab.run("import torch; torch.rand(3)")
    for part in (".fit(", ".finish("):
        assert lab.run(lab.cell(part)) is None
    assert stored("autoencoder/pool2-r0.50-b64-snr14.5-s0") == first
    lab.open("04_end_to_end", bandwidth=64)
    lab.run_all()
    first = stored(MODEL)
    for part in (".fit(", "evaluation.over_snr(", ".finish("):
        assert lab.run(lab.cell(part)) is None
    assert stored(MODEL) == first


# A parameter that changes

def test_a_parameter_that_changed_after_the_start_is_noticed(lab):
    lab.open("01_pretrain")
    lab.up_to(".fit(")
    lab.set(seed=1)
    for cell in (lab.cell(".fit("), "job.finish({})", "job.baseline()"):
        error = lab.run(cell)
        assert isinstance(error, InputError) and "seed is 1 now" in str(error) and "started with 0" in str(error)
    assert not list((study.ROOT / "outputs").rglob("result.json"))
    assert lab.run(lab.cell("jobs.start")) is None
    assert lab.run(lab.cell(".fit(")) is None


def test_a_job_that_was_started_with_plain_values_is_not_told_to_follow_variables(lab):
    lab.set(seed=7)
    lab.run("from lib import job as jobs\njob = jobs.start('pretrain', 'tiny', seed=0)")
    lab.set(seed=8)
    assert lab.run("job.session.check()") is None


# Any legal point

LEGAL = [("pretrain", {"seed": 1}), ("prune", {"pool": 3, "ratio": 0.3, "seed": 1, "variant": "proposed"}),
         ("prune", {"pool": 2, "ratio": 0.5, "seed": 1, "variant": "random"}),
         ("autoencoder", {**POINT, "seed": 1}), ("autoencoder", {**POINT, "pool": 5, "bandwidth": 3, "snr_db": -3.0}),
         ("end_to_end", {**POINT, "ratio": 0.0, "seed": 2}), ("end_to_end", {**POINT, "variant": "no_step3"}),
         ("end_to_end", {**POINT, "seed": 1, "variant": "magnitude"}),
         *[("baselines", {"scheme": scheme, "pool": pool, "ratio": ratio, "bandwidth": bandwidth, "level": level,
                          "snr_db": 3.0, "seed": 1}) for scheme, pool, ratio, bandwidth, level in (
             ("png", None, None, None, None), ("bottlenet_plus", 3, None, 16, None), ("jalad", 4, None, None, 3),
             ("two_step", 4, 0.4, None, 4), ("separation", 2, 0.4, 64, None), ("deepjscc", None, None, 64, None))]]


@pytest.mark.parametrize("step, parameters", LEGAL, ids=[f"{step} {point}" for step, point in LEGAL])
def test_any_legal_point_of_any_stage_can_be_begun_by_hand(empty, monkeypatch, step, parameters):
    recorded(monkeypatch)
    begun = job.start(step, "tiny", **parameters)
    taken = {name: value for name, value in parameters.items() if value is not None}
    assert taken.items() <= begun.run.parameters.items()
    seeds = {re.search(r"[/-]s(\d+)(?:-|$)", name)[1] for name in (begun.run.name, *begun.run.upstream)}
    assert seeds == {str(parameters["seed"])}


# What a run starts from

def test_a_run_says_which_upstream_folder_it_starts_from_and_how_to_take_the_other(workspace, capsys):
    point = {"pool": 2, "ratio": 0.5, "seed": 0, "variant": "proposed"}
    job.start("prune", "tiny", **point)
    said = capsys.readouterr().out
    assert re.search(rf"starts from outputs/tiny/{PRETRAIN}, made \d{{4}}-\d\d-\d\d \d\d:\d\d\n", said)
    assert "not from" not in said
    ours = places.interactive_folder(study.load("tiny"), PRETRAIN)
    ours.mkdir(parents=True)
    for file in folder(PRETRAIN).iterdir():
        if file.is_file():
            (ours / file.name).write_bytes(file.read_bytes())
    other = {**result(PRETRAIN), "made_by": [["01_pretrain", "other", "other"]]}
    (ours / "result.json").write_text(json.dumps(other))
    study_begun = job.start("prune", "tiny", **point)
    assert f"not from outputs/interactive/tiny/{PRETRAIN}, made" in (said := capsys.readouterr().out)
    assert "jobs.start(…, interactive=True)" in said
    begun = job.start("prune", "tiny", interactive=True, **point)
    assert f"starts from outputs/interactive/tiny/{PRETRAIN}" in capsys.readouterr().out
    assert begun.find(PRETRAIN) == ours and study_begun.find(PRETRAIN) == folder(PRETRAIN)
    assert begun.made_by[0] == other["made_by"][0] != study_begun.made_by[0]


def test_of_a_large_study_the_command_that_makes_missing_weights_again_is_named_and_its_time(empty):
    place = places.folder_of(study.load("desk"), PRUNE)
    place.mkdir(parents=True)
    (place / "result.json").write_text(json.dumps({
        "name": PRUNE, "step": "prune", "study": "desk", "hash": "", "parameters": {}, "metrics": {}, "upstream": [],
        "evaluation": [], "made_by": [], "provenance": {
            "device": "another", "seconds": 1.0, "commit": None, "end": "2026-11-28T10:00:00+00:00"}}))
    listed = {item.name: item for item in study.runs(study.load("desk"))}
    with pytest.raises(InputError, match=f"The weights of {PRUNE} are not here: python -m lib.run desk {PRUNE} makes "
                                         r"it, in about [\d.]+ (min|hours) on this machine"):
        by_hand.provide(study.load("desk"), listed, [PRUNE])


def test_upstream_runs_are_counted(empty, monkeypatch, capsys):
    recorded(monkeypatch)
    job.start("end_to_end", "tiny", **POINT)
    said = [line for line in capsys.readouterr().out.splitlines() if "first" in line]
    assert [line.split("first ")[1] for line in said] == ["(1 of 3)", "(2 of 3)", "(3 of 3)"]


# Errors, injected parameters, progress, threads

def test_an_error_that_the_user_can_mend_shows_its_sentence_alone(lab):
    assert isinstance(lab.run("from lib import study\nstudy.load('nosuch')"), InputError)
    [shown] = [output for output in lab.shell.outputs if output.output_type == "error"]
    assert shown.traceback == [f"InputError: {shown.evalue}"] and shown.ename == "InputError"
    assert "'nosuch'" in shown.evalue and {"desk", "gpu"} <= set(shown.evalue.split("there are ")[1].split(", "))
    lab.run("1 / 0")
    assert len("".join(lab.shell.outputs[-1].traceback).splitlines()) > 2  # a fault of ours keeps its traceback


@pytest.mark.parametrize("injected, unknown", [("ratoi = 0.9", "ratoi"), ("ratio = 0.9\nstudy = 'tiny'", None),
                                               ("name = 'quick'\nnetwork = {'width': 0.25}", "name")])
def test_a_parameter_that_papermill_injects_and_the_notebook_does_not_have_is_refused(lab, injected, unknown):
    lab.open("02_prune")
    lab.run(f"# Parameters\n{injected}\n")
    error = lab.run("from lib import study as studies\nstudies.load('tiny')")
    assert error is None if unknown is None else str(error) == f"The notebook has no parameter {unknown}."


@pytest.mark.slow
@pytest.mark.parametrize("place, arguments, sentence", [
    ("", ["-p", "ratoi", "0.9"], "The notebook has no parameter ratoi."),
    ("notebooks", ["-f", "../params/tiny.yaml"], "The notebook has no parameter name."),
    ("far/elsewhere", [], "Run this notebook in the folder notebooks/.")])
def test_papermill_by_itself_ends_with_an_error_and_a_sentence(empty, place, arguments, sentence):
    (empty / "far" / "elsewhere" / "lib").mkdir(parents=True)  # another project's
    (empty / "far" / "elsewhere" / "lib" / "__init__.py").touch()
    done = subprocess.run([sys.executable, "-m", "papermill", empty / "notebooks" / "02_prune.ipynb",
                           empty / "out.ipynb", *arguments], cwd=empty / place, capture_output=True, text=True,
                          check=False)
    errors = [output for cell in json.loads((empty / "out.ipynb").read_text())["cells"]
              for output in cell.get("outputs", []) if output["output_type"] == "error"]
    assert done.returncode == 1 and [error["evalue"] for error in errors] == [sentence]
    assert sentence in done.stderr and not (empty / "outputs").exists()


def test_progress_is_one_bar_with_loss_rate_and_time_left_where_somebody_watches(monkeypatch, capsys):
    lines = ["resumed after epoch 1 of 3", "epoch 2/3: loss 0.5781, test_accuracy 0.7, lr 0.01, seconds 0.89, 715 "
             "images/s", "epoch 3/3: loss 0.5, lr 0.01, seconds 0.89, 720 images/s", "something else"]
    bar = by_hand.Bar("prune-3", 3)
    for line in lines:
        bar(line)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [lines[0], lines[3]]
    last = shown.err.replace("\r", "\n").strip().splitlines()[-1]
    assert "prune-3" in last and "3/3" in last and "loss 0.5, 720 images/s" in last


def test_a_line_an_epoch_is_printed_where_nobody_watches(monkeypatch):
    session = by_hand.Session()
    assert session.report("x", None) is by_hand.say
    monkeypatch.setattr(kernel, "live", lambda: True)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert not kernel.watched()  # papermill's and nbconvert's kernels
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/01_pretrain.ipynb")
    assert kernel.watched()


def test_threads_wait_alike_in_a_notebook_and_in_a_batch():
    code = "import sys, os, lib; print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])"
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run([sys.executable, "-c", code], cwd=study.ROOT, capture_output=True, text=True, check=True,
                          env=environment)
    from lib.execution import processes
    assert done.stdout.split() == ["False", "1000"] and processes.ENVIRONMENT["GOMP_SPINCOUNT"] == lib.SPINCOUNT


# Beside a study

def test_what_was_computed_by_hand_stands_beside_the_study_in_one_figure_and_one_table(lab_beside):
    lab = lab_beside
    lab.open("04_end_to_end", **{**POINT, "bandwidth": 128})
    lab.run_all()
    ours = stored("end_to_end/pool2-r0.50-b128-snr14.5-s0")["evaluation"]
    lab.open("12_figure5", by_hand=True)
    lab.run_all()
    axis, names = lab.shell.user_ns["axis"], ["B = 64, 14.5 dB", "B = 128, 14.5 dB, by hand"]
    assert [text.get_text() for text in axis.get_legend().texts][:2] == names
    for line, evaluation in zip(axis.lines[:2], (result(MODEL)["evaluation"], ours), strict=True):
        for snr_db, height in zip(line.get_xdata(), line.get_ydata(), strict=True):
            draws = [row["accuracy"] for row in evaluation if row["snr_db"] == snr_db]
            assert height == pytest.approx(100 * sum(draws) / len(draws))
    assert lab.run(lab.cell("over_snr.beside(")) is None
    shown = json.dumps(lab.shell.outputs)
    assert all(name in shown for name in names)
