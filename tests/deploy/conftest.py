"""One exported pipeline for all tests of the link."""

import pytest
import torch

from lib import codec, vgg
from lib.deploy import graphs


@pytest.fixture(scope="session")
def make_pipeline(make_network):
    """A narrow network for 10 classes with a link whose batch norm has seen something: make_pipeline(pool, B)."""
    def make(pool=2, bandwidth=64, snr_db=14.5):
        network = make_network()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            link = codec.link(pool, vgg.channels_at(network, pool), bandwidth, snr_db)
            for module in link.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    torch.nn.init.normal_(module.running_mean)
                    torch.nn.init.uniform_(module.running_var, 0.5, 2)
        return codec.Pipeline(network, pool, link).eval()
    return make


@pytest.fixture(scope="session")
def exported(make_pipeline, tmp_path_factory):
    """The folder of an exported pipeline."""
    folder = tmp_path_factory.mktemp("exported")
    graphs.export(make_pipeline(), folder)
    return folder
