"""The graphs of another network, and of larger images, compute what its pipeline does; a run's network is rebuilt."""

import numpy as np
import pytest
import torch

from lib import codec, deploy, networks, pruning
from lib.deploy import stored
from lib.device.client import session
from lib.networks import structure


def pruned_network(name):
    """Half of the filters of the first two stages gone, at random."""
    torch.manual_seed(0)
    network = networks.build(name, 10, 0.25).eval()
    scores = pruning.random_scores(network, 2, torch.Generator().manual_seed(0))
    return pruning.remove_filters(network, pruning.select(scores, sum(map(len, scores.values())) // 2))


@pytest.mark.parametrize(("name", "side"), [("resnet18", 32), ("mobilenet_v2", 32), ("vgg16_bn", 64)])
def test_the_graphs_agree_with_the_pipeline(tmp_path, name, side):
    network = pruned_network(name)
    maps, _, size = structure.feature_shape(structure.split(network, 2)[0], (3, side, side))
    pipeline = codec.Pipeline(network, 2, codec.link(2, maps, 256, 10.0, size=size)).eval()
    link = deploy.export(pipeline, tmp_path, [120] * 3, [60] * 3, side)
    images = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    symbols = session(tmp_path / "device.onnx").run(None, {"image": images.numpy()})[0]
    logits = session(tmp_path / "edge.onnx").run(None, {"symbols": symbols})[0]
    with torch.inference_mode():
        sent = pipeline.transmit((images.float() - 120) / 60)
        expected = pipeline.edge_half(pipeline.link.decoder(sent)).numpy()
    assert np.abs(symbols - sent.flatten(1).numpy()).max() < 1e-4
    assert np.abs(logits - expected).max() < 1e-3 * max(1, np.abs(expected).max())
    assert (link["side"], link["bandwidth"]) == (side, 256)


@pytest.mark.parametrize("name", ["vgg16_bn", "resnet18", "mobilenet_v2"])
def test_a_runs_network_is_rebuilt_by_its_name_and_channels(name):
    network = pruned_network(name)
    result = {"channels": structure.channels(network), "parameters": {"network": {"name": name, "width": 0.25}}}
    rebuilt = stored.network(network.state_dict(), result)
    images = torch.randn(2, 3, 32, 32)
    assert type(rebuilt) is type(network) and torch.equal(rebuilt(images), network(images))
    old = {"channels": result["channels"], "parameters": {"network": {"width": 0.25}}}
    if name == "vgg16_bn":  # as results say it that are older than the choice
        assert torch.equal(stored.network(network.state_dict(), old)(images), network(images))
