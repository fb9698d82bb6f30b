"""One thread, so that the suite's time does not depend on what else the machine does; what several files need."""

import shutil
import subprocess
import sys

import hypothesis
import pytest
import torch
from torch import nn

from helpers import copy_project, work_in
from lib import data, study, vgg
from lib.batch import places

torch.set_num_threads(1)
# A busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """What waits for the computed tiny study is slow too, so that the fast loop never computes it.

    Where several processes share the tests (pytest-xdist), one has all of these, so that the study is computed once;
    they are the longest part and go first. The other tests stay together by file, for the fixtures of a module.
    """
    for item in items:
        needs_study = "computed" in item.fixturenames
        item.add_marker(pytest.mark.xdist_group("computed" if needs_study else item.path.name))
        if needs_study:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: "computed" not in item.fixturenames)


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same numbers, alone or among others."""
    torch.manual_seed(0)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with the profiles and without results, in which the project's are looked for."""
    shutil.copytree(study.ROOT / "params", tmp_path / "params")
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.delenv(places.OUTPUT, raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def make_network():
    """Narrow VGGs whose batch norms do something, in evaluation mode: make_network(seed, width)."""
    def make(seed=0, width=0.125):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = vgg.vgg16_bn(10, width)
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    nn.init.normal_(module.running_mean)
                    nn.init.uniform_(module.running_var, 0.5, 2)
                    nn.init.uniform_(module.weight, 0.5, 1.5)
                    nn.init.normal_(module.bias)
        return network.eval()
    return make


@pytest.fixture(scope="session")
def pictures():
    """40 images of the shipped subset, uint8, and their labels: 4 of each class, classes in turn."""
    images, labels = data.load("mini", split="test")
    chosen = torch.arange(1000).view(10, 100)[:, :4].T.flatten()
    return images[chosen], labels[chosen]


@pytest.fixture(scope="session")
def computed(tmp_path_factory):
    """A copy of the project, under git, in which the tiny study has been computed once, by its command."""
    root = copy_project(tmp_path_factory.mktemp("it's {the} project (ü)"))  # any path is legal
    (root / ".gitignore").write_text("__pycache__/\n")  # compiled files are no change of the code
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "lib", "notebooks", "params"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    done = subprocess.run([sys.executable, "-m", "lib", "tiny"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture
def project(computed, monkeypatch):
    """The computed project, to read."""
    work_in(computed, monkeypatch)
    return computed


@pytest.fixture
def workspace(computed, tmp_path, monkeypatch):
    """A copy of the computed project, to change."""
    root = shutil.copytree(computed, tmp_path / "project", symlinks=True)
    work_in(root, monkeypatch)
    return root


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """The project without any result, to change."""
    root = copy_project(tmp_path)
    work_in(root, monkeypatch)
    return root
