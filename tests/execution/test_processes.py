"""Runs as forked processes: none leaves anything to the next or outlives its command, which goes on where it was."""

import json
import shutil
import signal
import subprocess
import sys

import pandas as pd
import psutil
import pytest

from helpers import (
    MODEL,
    PRETRAIN,
    change_study,
    command,
    copy_project,
    edit,
    folder,
    made,
    result,
    wait_for,
    write_notebook,
)
from lib import InputError, study, workers
from lib.batch import places
from lib.execution import processes

pytestmark = pytest.mark.slow

# Two functions, each called in a process of its own, print what they find.
PROBE = '''
import ast, json, os, sys, threading
from pathlib import Path
from lib import study
from lib.execution import processes

def spoil(settings):
    import numpy, torch, matplotlib, lib.vgg
    lib.vgg.spoiled = torch.manual_seed(7) and True
    numpy.random.seed(7), torch.set_num_threads(2)
    matplotlib.rcParams["lines.linewidth"] = 7
    os.environ["SPOILED"] = "7"
    os.chdir("/")

def look(settings):
    import numpy, torch, matplotlib, lib.vgg
    from lib import data
    data.dataset(settings.data.name, settings.data.root, settings.data.side)
    print(json.dumps({
        "seeds": [float(numpy.random.random()), float(torch.rand(1))],
        "width": matplotlib.rcParams["lines.linewidth"], "spoiled": hasattr(lib.vgg, "spoiled"),
        "environment": os.environ.get("SPOILED"), "cwd": os.getcwd(), "spin": os.environ["GOMP_SPINCOUNT"],
        "torch threads": torch.get_num_threads(), "names": [thread.name for thread in threading.enumerate()],
        "data": data.dataset.cache_info()[:2], "threads": len(os.listdir("/proc/self/task")),
        "imported": sorted(sys.modules), "imported by notebooks": late()}), flush=True)

def late():
    """Modules that a batch's notebook imports and that are not here yet; from 30 on they are for readers."""
    named = set()
    for path in Path("notebooks").glob("[012]*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        for node in ast.walk(ast.parse("\\n".join("".join(cell["source"]) for cell in cells))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named.add(node.module)
    return sorted(named - {*sys.modules})

if __name__ == "__main__":
    settings = study.load("tiny")
    for function in (look, spoil, look):
        assert processes.run(settings, "a probe", function) == 0
'''


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    root = copy_project(tmp_path_factory.mktemp("probe"))
    (root / "probe.py").write_text(PROBE)
    done = subprocess.run([sys.executable, "probe.py"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_run_leaves_nothing_to_the_next(probed):
    before, after = probed
    assert after == before and not after["spoiled"] and after["environment"] is None


def test_before_a_run_begins_there_is_one_thread_beside_the_one_that_watches(probed):
    assert probed[0]["torch threads"] == 1 and probed[0]["threads"] == len(probed[0]["names"]) == 2


def test_all_that_a_run_needs_is_imported_before_the_fork(probed):
    assert {"torch", "pandas", "papermill", "IPython", "lib.job", "lib.training"} <= set(probed[0]["imported"])
    assert probed[0]["imported by notebooks"] == []
    assert probed[0]["data"] == [1, 1]  # one miss, before the fork, and one hit
    assert probed[0]["spin"] == "1000"


def test_nothing_asks_for_a_gpu_before_the_fork():
    code = ("import os, torch\ndef fail(*_): raise SystemExit('CUDA would not survive the fork')\n"
            "torch.cuda.is_available = torch.cuda._lazy_init = torch.cuda.device_count = fail\n"
            "os.environ['STUDY_DATA'] = '[\"mini\", \"data\"]'\nimport lib.execution.preload")
    done = command(study.ROOT, "timeit", "-n1", "-r1", code)
    assert done.returncode == 0, done.stderr


# What fails

@pytest.mark.parametrize("cell, code, sentence", [
    ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", 1, f"{PRETRAIN} failed: it was ended by SIGKILL\n"),
    ("raise RuntimeError('planned\\nfor two lines')", 1, f"{PRETRAIN} failed: RuntimeError: planned for two lines (the "
     "notebook so far is notebook.partial.ipynb in its folder)\n"),
    ("from lib import InputError\nraise InputError('One sentence.')", 2, "One sentence.\n")])
def test_an_error_in_a_notebook_is_one_sentence(empty, cell, code, sentence):
    write_notebook(empty, "01_pretrain", "study = None\nseed = None", cell)
    done = command(empty, "lib.run", "tiny", PRETRAIN)
    assert (done.returncode, done.stderr) == (code, sentence) and not places.finished(folder(PRETRAIN))
    book = json.loads((folder(PRETRAIN) / "notebook.partial.ipynb").read_text())
    assert "SIGKILL" in cell or book["cells"][-1]["outputs"][-1]["output_type"] == "error"


def test_a_notebook_whose_process_dies_leaves_no_result_and_the_next_attempt_works(empty):
    write_notebook(empty, "01_pretrain", "study = None\nseed = None", (
        "import os, pathlib\n"
        f"folder = pathlib.Path(os.environ['{places.OUTPUT}'])\n"
        "first = not (folder / 'tried').exists()\n"
        "(folder / 'tried').touch()\n"
        "(folder / 'result.json.unfinished').write_text(\n"
        f"    {made('MADE')!r}.replace('MADE', 'first' if first else 'again'))\n"
        "if first:\n    os._exit(9)"))
    assert command(empty, "lib.run", "tiny", PRETRAIN).returncode == 9
    assert (folder(PRETRAIN) / "tried").exists() and not places.finished(folder(PRETRAIN))
    assert not (folder(PRETRAIN) / "notebook.ipynb").exists()
    command(empty, "lib.run", "tiny", PRETRAIN)
    assert result(PRETRAIN)["made"] == "again" and not list(folder(PRETRAIN).glob("*.unfinished"))


def test_where_papermill_is_missing_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="papermill is missing here"):
        processes.serve(study.load("quick"))


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_server_that_is_killed_while_a_run_starts_is_replaced_once(monkeypatch, deaths):
    attempts = []

    class Process:
        def __init__(self, **options):
            self.name = options["name"]

        def start(self):
            attempts.append(self)
            if len(attempts) <= deaths:
                raise EOFError("unexpected EOF")  # what multiprocessing makes of it

    monkeypatch.setattr(processes, "serve", lambda settings, with_data: None)
    monkeypatch.setattr(processes.CONTEXT, "Process", Process)
    monkeypatch.setattr(processes, "RUNNING", set())
    if deaths == 1:
        assert processes.start(study.load("quick"), "a run", print) is attempts[-1] and len(attempts) == 2
    else:
        with pytest.raises(InputError, match="a run cannot start.*ended twice"):
            processes.start(study.load("quick"), "a run", print)
        assert not processes.RUNNING


def test_no_run_starts_once_lib_has_been_edited(empty, monkeypatch):
    monkeypatch.setattr(processes, "VERSION", processes.version())
    edit(empty, "lib/channels/awgn.py", "def capacity", "# a comment\ndef capacity")
    with pytest.raises(InputError, match="lib has been edited since this command began"):
        workers.work(study.load("tiny"), study.runs(study.load("tiny")), jobs=2)


@pytest.mark.parametrize("module", ["lib", "lib.workers"])
def test_the_runs_under_way_when_lib_is_edited_end_well(empty, module):
    with begin(empty, module, "tiny") as process:
        wait_for((folder(PRETRAIN) / "checkpoint.pt").exists)
        edit(empty, "lib/channels/awgn.py", "def capacity", "# a comment\ndef capacity")
        errors = process.communicate()[1]
    assert process.returncode in (1, 2) and errors.count("lib has been edited") == 1
    assert places.finished(folder(PRETRAIN)) and not places.finished(folder(MODEL))


@pytest.mark.parametrize("error, code, sentence", [
    (OSError(28, "No space left on device", "a file"), 1, "OSError: [Errno 28] No space left on device: 'a file'; what "
     "was finished is kept.\n"),
    (InputError("One sentence."), 2, "One sentence.\n"),
    (KeyboardInterrupt(), 130, "Interrupted; the same command goes on from the last checkpoints.\n")])
def test_a_command_that_cannot_go_on_ends_with_a_sentence(monkeypatch, capsys, error, code, sentence):
    def main(arguments):
        raise error

    monkeypatch.setattr(processes, "stop_on_signals", lambda: None)
    with pytest.raises(SystemExit) as end:
        processes.command_line(main)
    assert (end.value.code, capsys.readouterr()) == (code, ("", sentence))


# What is stopped

def begin(root, *arguments):
    return psutil.Popen([sys.executable, "-m", *arguments], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        text=True)


@pytest.fixture(scope="module")
def long_project(computed, tmp_path_factory):
    """The computed project with a model that trains long enough to be stopped, and its result unbroken."""
    root = shutil.copytree(computed, tmp_path_factory.mktemp("long") / "project", symlinks=True)
    change_study(root, "end_to_end: {epochs: 3", "end_to_end: {epochs: 12")
    place = root / "outputs" / "tiny" / MODEL
    (place / "result.json").unlink()
    done = command(root, "lib.run", "tiny", MODEL)
    assert done.returncode == 0, done.stderr
    unbroken = json.loads((place / "result.json").read_text()), pd.read_csv(place / "history.csv")
    shutil.rmtree(place)
    return root, place, unbroken


@pytest.mark.parametrize("arguments, number", [
    (("lib.run", "tiny", MODEL), signal.SIGKILL), (("lib", "tiny"), signal.SIGKILL), (("lib", "tiny"), signal.SIGTERM),
    (("lib.workers", "tiny"), signal.SIGKILL), (("lib.workers", "tiny"), signal.SIGINT)],
    ids=lambda value: getattr(value, "name", value))
def test_a_command_that_is_stopped_leaves_no_process_and_goes_on_to_the_numbers_of_an_unbroken_run(
        long_project, arguments, number):
    root, place, (unbroken, curve) = long_project
    shutil.rmtree(place, ignore_errors=True)
    with begin(root, *arguments) as process:
        wait_for((place / "checkpoint.pt").exists)
        family = [process, *process.children(recursive=True)]
        process.send_signal(number)  # to this process alone, as Ctrl-C in a terminal would not be
        _, orphans = psutil.wait_procs(family, timeout=20)
        for orphan in orphans:
            orphan.kill()
    assert len(family) >= 3 and orphans == []
    assert (place / "checkpoint.pt").exists() and not places.finished(place)
    if arguments[0] != "lib.run":
        return
    done = command(root, *arguments)
    assert "epoch 12/12" in done.stdout and "epoch 1/12" not in done.stdout
    resumed = json.loads((place / "result.json").read_text())
    assert all(resumed[part] == unbroken[part] for part in ("metrics", "evaluation", "channels", "weights", "hash"))
    assert pd.read_csv(place / "history.csv").drop(columns="seconds").equals(curve.drop(columns="seconds"))
    assert not list(place.glob("checkpoint*"))
