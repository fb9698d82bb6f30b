"""The notebooks as they are in git, and those of the report on a study without results.

Notebooks 01 to 05 run in test_run.py.
"""

import ast
import functools
import json
import pkgutil
import re
import shutil
import subprocess
import sys

import nbformat
import nbstripout
import pytest

from helpers import command, copy_project
from lib import study
from lib.evidence import provenance

PATHS = sorted((study.ROOT / "notebooks").glob("*.ipynb"))
EXTRA_KEYS = "metadata.papermill cell.metadata.papermill cell.metadata.execution"


def cells(path, kind="code"):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(path):
    return "\n".join("".join(cell["source"]) for cell in cells(path))


def tagged(path):
    return [number for number, cell in enumerate(cells(path)) if "parameters" in cell["metadata"].get("tags", [])]


def assigned(node):
    """The name that an assignment sets, with a type beside it or without one."""
    return (node.target if isinstance(node, ast.AnnAssign) else node.targets[0]).id


every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


# In git

def test_the_notebooks_are_those_of_the_design():
    assert [path.stem for path in PATHS] == [
        "00_data", "01_pretrain", "02_prune", "03_autoencoder", "04_end_to_end", "05_baselines", "10_figure3",
        "11_figure4", "12_figure5", "20_claims", "30_choose_split", "31_transmission",
        "40_channels", "41_one_model", "42_device", "43_best"]
    # These store no result.
    beside = {"00_data", "30_choose_split", "31_transmission", "40_channels", "41_one_model", "42_device", "43_best"}
    assert {*study.NOTEBOOKS.values(), *study.REPORT} == {path.stem for path in PATHS} - beside


@functools.cache
def has_filter():
    return subprocess.run(["git", "config", "filter.nbstripout.clean"], cwd=study.ROOT, capture_output=True,
                          check=False).returncode == 0


def in_git(path):
    """A notebook as git would store it: stripped where set-up has installed the filter, as it is elsewhere.

    In this process, since the filter takes a second a notebook; the filter itself has a test below.
    """
    if not has_filter():
        return path.read_text()
    book = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    return nbformat.writes(nbstripout.strip_output(book, False, False, False, EXTRA_KEYS.split()))


def strips(paths):
    """Whether nbstripout would take anything out of these notebooks."""
    command = [sys.executable, "-m", "nbstripout", "--verify", "--extra-keys", EXTRA_KEYS, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode != 0, done.stdout


def test_nothing_is_left_to_strip(tmp_path):
    stored = []
    for path in PATHS:
        stored.append(tmp_path / path.name)
        stored[-1].write_text(in_git(path))
    assert strips(stored) == (False, ""), "./run_all.sh setup lets git leave out the outputs that JupyterLab saves"
    book = json.loads(PATHS[0].read_text())
    book["metadata"]["papermill"] = {"duration": 1.0}
    (tmp_path / "run.ipynb").write_text(json.dumps(book))
    assert strips([tmp_path / "run.ipynb"])[0]


def test_saved_outputs_alone_are_no_change_to_git(tmp_path, monkeypatch):
    """In a clone whose set-up has run: neither `git status` nor a result's origin sees them."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    for name in ("run_all.sh", "requirements.txt", "requirements.lock", ".gitattributes"):
        shutil.copy(study.ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    subprocess.run("cat requirements.txt requirements.lock | cksum >.venv/device-edge-inference.stamp", cwd=tmp_path,
                   shell=True, check=True)
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "02_prune.ipynb"
    shutil.copy(study.ROOT / "notebooks" / path.name, path)
    (tmp_path / "lib").mkdir()
    shutil.copy(study.ROOT / "lib" / "__init__.py", tmp_path / "lib")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for step in (["git", "init", "-q"], ["./run_all.sh", "setup"], ["git", "add", "lib", "notebooks"],
                 [*git, "commit", "-qm", "all"]):
        subprocess.run(step, cwd=tmp_path, check=True)
    book = json.loads(path.read_text())
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell.update(execution_count=7, outputs=[{"output_type": "stream", "name": "stdout", "text": ["said\n"]}])
    path.write_text(json.dumps(book, indent=1))
    assert provenance.origin()["uncommitted_changes"] is False
    book["cells"][0]["source"] = ["# Another title\n"]
    path.write_text(json.dumps(book, indent=1))
    assert provenance.origin()["uncommitted_changes"] is True


@every_notebook
def test_no_outputs_counts_or_papermill_metadata(path):
    book = json.loads(in_git(path))
    assert "papermill" not in book["metadata"]
    assert not any({"papermill", "execution"} & set(cell["metadata"]) for cell in book["cells"])
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@every_notebook
def test_one_parameters_cell_and_it_comes_first(path):
    assert tagged(path) == [0]


@every_notebook
def test_the_parameters_are_plain_values(path):
    tree = ast.parse("".join(cells(path)[0]["source"]))
    values = {assigned(node): ast.literal_eval(node.value) for node in tree.body}
    # Only params/channels.yaml has been sent over channels, and its results are shipped.
    assert values["study"] == ("channels" if path.stem == "40_channels" else "quick")
    assert all(value is None or isinstance(value, str | int | float) for value in values.values())


@pytest.mark.parametrize("step, notebook", study.NOTEBOOKS.items())
def test_the_parameters_are_those_that_a_run_gives(step, notebook):
    path = study.ROOT / "notebooks" / f"{notebook}.ipynb"
    tree = ast.parse("".join(cells(path)[0]["source"]))
    names = {assigned(node) for node in tree.body} - {"study"}
    for item in study.runs(study.load("paper")):
        if item.step == step:
            assert set(item.parameters) == names, f"papermill would only warn about {item.name}"


@every_notebook
def test_a_notebook_is_thin(path):
    lines = [line for line in source(path).splitlines() if line.strip()]
    assert len(lines) <= 120
    assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(ast.parse(source(path))))


@every_notebook
def test_a_notebook_opens_with_a_title_and_says_what_it_does(path):
    first = json.loads(path.read_text())["cells"][0]
    text = "".join(first["source"])
    assert first["cell_type"] == "markdown" and text.startswith("# ") and len(text) > 150


def lib_names(tree):
    """{name in the notebook: module} of what it imports from lib."""
    return {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "lib" for alias in node.names}


@every_notebook
def test_every_name_that_it_takes_from_lib_exists(path):
    tree = ast.parse(source(path))
    names = lib_names(tree)
    modules = {name: pkgutil.resolve_name(module) for name, module in names.items()}
    assigned = {target.id for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in ast.walk(node)
                if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)}
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            and node.value.id in set(modules) - assigned]
    assert used
    assert [f"{node.value.id}.{node.attr}" for node in used if not hasattr(modules[node.value.id], node.attr)] == []


@every_notebook
def test_every_module_that_it_takes_from_lib_is_used(path):
    tree = ast.parse(source(path))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert set(lib_names(tree)) <= used


@every_notebook
def test_lib_is_imported_before_torch_which_reads_how_its_threads_wait(path):
    imported = re.findall(r"^(?:from|import) (lib|torch)\b", source(path), re.M)
    assert imported and imported[0] == "lib"


@every_notebook
def test_outside_the_project_a_notebook_says_where_it_belongs(path, tmp_path, monkeypatch):
    [setup] = [cell for cell in map(lambda cell: "".join(cell["source"]), cells(path)) if "sys.path" in cell]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="Run this notebook in the folder notebooks/"):
        exec(setup, {})


# On a study without results

@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project without results, whose report has been written."""
    root = copy_project(tmp_path_factory.mktemp("empty"))
    done = command(root, "lib", "report", "tiny")
    assert done.returncode == 0, done.stderr
    return root


def said(path):
    """All text that an executed notebook shows."""
    outputs = [output for cell in cells(path) for output in cell["outputs"]]
    texts = [output.get("text") or output.get("data", {}).get("text/html") or output.get("data", {}).get("text/plain")
             for output in outputs]
    return "".join("".join(text) for text in texts if text)


@pytest.mark.parametrize("notebook, says", [
    ("10_figure3", ["not measured"]),
    ("11_figure4", ["figure4a: not measured", "tiny has no Figure 4b"]),
    ("12_figure5", ["figure5: not measured"]),
    ("20_claims", ["not measured at this profile", "C9", "figure5 has not been drawn", "tiny has no Figure 4b",
                   "SNR of training"])])
def test_the_report_says_where_nothing_is_measured(root, notebook, says):
    text = said(root / "outputs" / "tiny" / "report" / f"{notebook}.ipynb")
    assert all(part in text for part in says), text
    if notebook == "20_claims":
        assert "not measured at this profile" in (root / "outputs/tiny/report/index.html").read_text()


def test_the_data_notebook_shows_what_a_png_costs(root):
    output = root / "00.ipynb"
    done = subprocess.run([sys.executable, "-c", "from pathlib import Path; from lib.execution import notebook; "
                           "notebook.execute(Path('notebooks/00_data.ipynb').absolute(), '00.ipynb', {})"],
                          cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = said(output)
    assert "5000 training and 1000 test images, 10 classes" in text and "symbols an image" in text
    pictures = [output for cell in cells(output) for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3
