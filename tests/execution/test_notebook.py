"""A notebook executed in this process keeps what a Jupyter kernel would have sent, and prints at once."""

import json
import os
import re
import subprocess
import sys
import time

import papermill
import pytest

from helpers import PRUNE, folder, result, runs, write_notebook
from lib import InputError, study
from lib.batch import places
from lib.execution import notebook

pytestmark = pytest.mark.slow
EXECUTE = ("import json, sys; from pathlib import Path; from lib.execution import notebook; "
           "notebook.execute(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))")


def begin(path, output, parameters=None):
    """A process that executes a notebook: one may do so once."""
    return subprocess.Popen([sys.executable, "-c", EXECUTE, path, output, json.dumps(parameters or {})],
                            cwd=study.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outputs(path):
    """The outputs of each code cell, texts and images as one string each."""
    def plain(output):
        data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
        return {**output, "data": data, "text": "".join(output.get("text", ""))}

    return [[plain(output) for output in cell["outputs"]]
            for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The outputs of a notebook's cells, and what the process said."""
    root = tmp_path_factory.mktemp("book")
    (root / "notebooks").mkdir()
    write_notebook(
        root, "all", "number = 1\ntext = 'a'",
        "import sys\nprint(number, text)\nprint('more')\nprint('bad', file=sys.stderr)\nprint('end', end='')",
        "import pandas as pd\npd.DataFrame({'x': [number]})",
        "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])",
        "from IPython.display import display\nhandle = display('before', display_id=True)\nhandle.update('after')",
        "number;",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "ThreadPoolExecutor().submit(print, 'from a thread').result()",
        "def fails():\n    raise KeyError('lost')\n\nfails()",
        "print('never')")
    process = begin(root / "notebooks" / "all.ipynb", root / "out.ipynb", {"number": 7})
    said, errors = process.communicate()
    return outputs(root / "out.ipynb"), said, errors, process.returncode


def test_prints_are_kept_in_their_order_and_go_on_to_the_log(executed):
    cells, said, errors, _ = executed
    kept = [(output["name"], output["text"]) for output in cells[2]]
    assert kept == [("stdout", "7 a\nmore\n"), ("stderr", "bad\n"), ("stdout", "end")]
    assert said.startswith("7 a\nmore\nend") and errors.startswith("bad\n")


def test_tables_figures_and_what_is_shown_are_kept(executed):
    table, figure, shown, quiet, thread = executed[0][3:8]
    assert [output["output_type"] for output in table] == ["execute_result"]
    assert "<table" in table[0]["data"]["text/html"]
    assert [output["output_type"] for output in figure] == ["display_data"]
    assert figure[0]["data"]["image/png"].startswith("iVBORw0KGgo")  # PNG's first bytes in base 64
    assert [output["data"]["text/plain"] for output in shown] == ["'after'"] and quiet == []
    assert thread[0]["text"] == "from a thread\n"


def test_an_error_is_kept_with_its_traceback_and_ends_the_notebook(executed):
    cells, said, errors, code = executed
    (error,), never = cells[8:10]
    assert (error["output_type"], error["ename"], error["evalue"]) == ("error", "KeyError", "'lost'")
    assert "fails()" in re.sub(r"\x1b\[[0-9;]*m", "", "".join(error["traceback"]))  # without its colours
    assert never == [] and "never" not in said and code == 1 and "KeyError" in errors


def test_what_is_printed_shows_while_the_cell_runs(tmp_path):
    (tmp_path / "notebooks").mkdir()
    write_notebook(tmp_path, "waits", "study = 0", (
        "import pathlib, time\nprint('epoch 1')\n"
        f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists():\n    time.sleep(0.01)\nprint('epoch 2')"))
    with begin(tmp_path / "notebooks" / "waits.ipynb", tmp_path / "out.ipynb") as process:
        first = process.stdout.readline()
        (tmp_path / "go").touch()
        assert (first, process.communicate()[0], process.returncode) == ("epoch 1\n", "epoch 2\n", 0)


def test_braces_in_a_path_are_no_parameters(tmp_path):
    root = tmp_path / "{x} {{}}"
    (root / "notebooks").mkdir(parents=True)
    write_notebook(root, "one", "pool = 2", "print(pool)")
    notebook.execute(root / "notebooks" / "one.ipynb", root / "out.ipynb", {"pool": 3})
    assert outputs(root / "out.ipynb")[-1][0]["text"] == "3\n"


def test_an_unknown_parameter_fails_before_a_cell_runs(tmp_path):
    (tmp_path / "notebooks").mkdir()
    write_notebook(tmp_path, "one", "pool = 2", "raise SystemExit")
    with pytest.raises(InputError, match="notebook one has no parameter poll"):
        notebook.execute(tmp_path / "notebooks" / "one.ipynb", tmp_path / "out.ipynb", {"poll": 3})
    assert not (tmp_path / "out.ipynb").exists()


def test_a_jupyter_kernel_gives_the_same_numbers_weights_and_figures(workspace, monkeypatch):
    """The usual engine of papermill, on the run's notebook."""
    before, place = result(PRUNE), workspace / "kernel" / PRUNE
    ours = outputs(folder(PRUNE) / "notebook.ipynb")
    place.mkdir(parents=True)
    monkeypatch.setenv(places.OUTPUT, str(place))
    item = runs()[PRUNE]
    began = time.monotonic()
    papermill.execute_notebook(places.notebook_file(item.notebook), place / "out.ipynb",
                               {"study": "tiny", **item.parameters}, cwd=workspace / "notebooks", progress_bar=False)
    print(f"by a kernel: {time.monotonic() - began:.1f} s")
    (place / "result.json.unfinished").rename(place / "result.json")
    after = places.read_result(place)
    for part in ("hash", "metrics", "evaluation", "channels", "weights", "upstream_weights"):
        assert after[part] == before[part], part

    def shown(cells):
        return [[(output["output_type"], output["data"]) for output in cell if output["output_type"] != "stream"]
                for cell in cells]

    theirs = outputs(place / "out.ipynb")
    assert [len(cell) for cell in shown(ours)] == [len(cell) for cell in shown(theirs)]
    assert {output["data"].get("image/png") for cell in ours for output in cell} == {
        output["data"].get("image/png") for cell in theirs for output in cell}
    assert os.environ[places.OUTPUT] == str(place)
