"""The tiny study, copies of the project to compute it in, and what several test files do with its runs.

Fixtures are in conftest.py: `project` (the computed study, to read), `workspace` (a copy of it, to change) and
`empty` (the project without results).
"""

import json
import re
import shutil
import subprocess
import sys
import time

import pytest
import yaml

from lib import InputError, study
from lib.batch import places
from lib.evidence import fingerprint, provenance
from lib.execution import atomic, processes

TINY = """
name: tiny
about: for tests
data: {name: mini}
network: {width: 0.0625}
seeds: [0]
threads: {pretrain: 1, others: 1}
evaluation: {snr_db: [0.0, 14.5], draws: 2, curve_images: 50}
pretrain: {epochs: 2, lr: 0.05, batch_size: 50, images_per_epoch: 1000}
prune: {filters_per_step: 8, score_images: 50, training: {epochs: 1, lr: 0.01, batch_size: 50, images_per_epoch: 50}}
autoencoder: {epochs: 2, lr: 0.1, batch_size: 50, images_per_epoch: 200}
end_to_end: {epochs: 3, lr: 0.01, batch_size: 50, images_per_epoch: 500}
figure3: {}
figure4: {panels: {a: {pool: 2, bandwidth: 64}}, ratios: [0.5]}
figure5: {pool: 2, ratio: 0.5, bandwidths: [64]}
baselines:
  image: {epochs: 1, lr: 0.002, optimizer: adam, batch_size: 50, images_per_epoch: 50}
  frozen: {epochs: 1, lr: 0.002, optimizer: adam, batch_size: 50, images_per_epoch: 50}
  everything: {epochs: 1, lr: 0.002, optimizer: adam, batch_size: 50, images_per_epoch: 50}
  runs:
    - {scheme: png}
    - {scheme: bottlenet_plus, pool: 2, bandwidth: 64}
"""
PRETRAIN, PRUNE, AUTOENCODER, MODEL, PNG, PLUS = NAMES = (
    "pretrain/s0", "prune/pool2-r0.50-s0", "autoencoder/pool2-r0.50-b64-snr14.5-s0",
    "end_to_end/pool2-r0.50-b64-snr14.5-s0", "baselines/png-snr14.5-s0",
    "baselines/bottlenet_plus-pool2-b64-snr14.5-s0")


def copy_project(root):
    """Everything that runs, without results, in `root`; the images are linked."""
    for name in ("lib", "notebooks", "params"):
        shutil.copytree(study.ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(study.ROOT / "Snakefile", root)
    (root / "data").mkdir()
    (root / "data" / "mini").symlink_to(study.ROOT / "data" / "mini")
    (root / "params" / "tiny.yaml").write_text(TINY)
    return root


def work_in(root, patch):
    """Let runs read and write below `root`."""
    for module in (study, provenance, fingerprint):
        patch.setattr(module, "ROOT", root)
    for name in (places.OUTPUT, "PYTHONPATH"):
        patch.delenv(name, raising=False)


def runs():
    return {item.name: item for item in study.runs(study.load("tiny"))}


def folder(name):
    return places.folder_of(study.load("tiny"), name)


def result(name):
    return places.read_result(folder(name))


def execute(name, **changes):
    item = runs()[name]
    for key, value in changes.items():
        setattr(item, key, value)
    atomic.execute(study.load("tiny"), item)


def change_study(root, old, new):
    path = root / "params" / "tiny.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def write_notebook(root, name, *cells):
    """A notebook of these code cells, the first one tagged `parameters`."""
    cells = [{"cell_type": "code", "metadata": {"tags": ["parameters"]} if not number else {}, "source": source,
              "outputs": [], "execution_count": None, "id": f"cell{number}"} for number, source in enumerate(cells)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (root / "notebooks" / f"{name}.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))


def in_process(item, folder, monkeypatch):
    """Run the cells of a run's notebook here, without IPython; the result stays partial."""
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    monkeypatch.setenv(places.OUTPUT, str(folder))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(study.ROOT / "notebooks")
    namespace = {}
    for cell in json.loads(places.notebook_file(item.notebook).read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), namespace)
            if "parameters" in cell["metadata"].get("tags", []):
                namespace.update(study="tiny", **item.parameters)
    plt.close("all")
    monkeypatch.delenv(places.OUTPUT)


def edit(root, file, old, new):
    path = root / file
    assert old in path.read_text(), f"{file} has changed: choose another line for this test"
    path.write_text(path.read_text().replace(old, new, 1))


def command(root, *arguments):
    """`python -m ARGUMENTS` in a copy of the project, with its exit code and what it said."""
    return subprocess.run([sys.executable, "-m", *arguments], cwd=root, capture_output=True, text=True, check=False)


def made(when):
    """A result that says little."""
    return json.dumps({"made": when, "made_by": [], "parameters": {}, "metrics": {}, "evaluation": [],
                       "provenance": {}})


NOW = made("now")


def pretend(monkeypatch, notebook="{}", partial=NOW):
    """In the place of IPython: leave an executed notebook and a partial result; returns a list of calls."""
    calls = []

    def execute_notebook(source, output, folder, parameters):
        calls.append(folder)
        output.write_text(notebook)
        if partial is not None:
            (folder / "result.json.unfinished").write_text(partial)

    monkeypatch.setattr(atomic, "execute_notebook", execute_notebook)
    return calls


def recorded(monkeypatch):
    """In the place of starting runs: the list of their names and folders, where each leaves an empty result."""
    calls = []

    def note(settings, name, function, item, folder):
        calls.append((name, folder))
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(made("now"))
        (folder / "model.safetensors").touch()
        return 0

    monkeypatch.setattr(processes, "run", note)
    return calls


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


QUICK = {**yaml.safe_load((study.ROOT / "params" / "quick.yaml").read_text()), "name": "changed"}


def written(tmp_path, content):
    path = tmp_path / "changed.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def quick_with(tmp_path, **changes):
    """Quick's parameters with those at some dotted places changed: `quick_with(p, network__width=0.5)`."""
    content = yaml.safe_load(yaml.safe_dump(QUICK))
    for place, value in changes.items():
        *sections, last = place.split("__")
        section = content
        for part in sections:
            section = section[part]
        section[last] = value
    return written(tmp_path, content)


def refusal(path):
    """The message of a study that is refused: one sentence."""
    with pytest.raises(InputError) as error:
        study.load(path)
    message = str(error.value)
    assert "\n" not in message and message.endswith(".") and not re.search(r"[.!?] [A-Z]", message), message
    return message
