"""One thread, so that the suite's time does not depend on what else the machine does; what several files need."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from lib import data, vgg

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same numbers, alone or among others."""
    torch.manual_seed(0)


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
    from test_run import copy_project

    root = copy_project(tmp_path_factory.mktemp("project"))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "lib", "notebooks", "params"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    done = subprocess.run([sys.executable, "-m", "lib", "tiny"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return root
