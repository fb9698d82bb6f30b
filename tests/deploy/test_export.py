"""The two graphs compute what the pipeline does."""

import json

import numpy as np
import pytest
import torch

from helpers import MODEL, PRUNE, folder
from lib import InputError, codec, data, deploy, flops, pruning, vgg
from lib.deploy import graphs
from lib.device.client import read_link, session


def logits(folder, images):
    """Through both graphs, without noise."""
    symbols = session(folder / "device.onnx").run(None, {"image": images.numpy()})[0]
    return symbols, session(folder / "edge.onnx").run(None, {"symbols": symbols})[0]


@pytest.mark.parametrize(("pool", "bandwidth"), [(1, 128), (2, 64), (3, 12), (4, 5), (5, 8)])
def test_the_graphs_agree_with_the_pipeline(make_pipeline, pictures, tmp_path, pool, bandwidth):
    pipeline, (images, _) = make_pipeline(pool, bandwidth), pictures
    link = deploy.export(pipeline, tmp_path, mean=[100, 110, 120], std=[60, 70, 80])
    symbols, found = logits(tmp_path, images)
    shape = (1, 3, 1, 1)
    pixels = (images - torch.tensor([100.0, 110, 120]).view(shape)) / torch.tensor([60.0, 70, 80]).view(shape)
    with torch.inference_mode():
        sent = pipeline.transmit(pixels)
        expected = pipeline.edge_half(pipeline.link.decoder(sent))
    assert symbols.shape == (len(images), bandwidth) and symbols.dtype == np.float32
    assert np.square(symbols).mean(1) == pytest.approx(1, abs=1e-5)
    assert np.abs(symbols - sent.flatten(1).numpy()).max() < 1e-4
    assert np.abs(found - expected.numpy()).max() < 1e-4
    assert (found.argmax(1) == expected.argmax(1).numpy()).all()
    assert (link["bandwidth"], link["classes"]) == (bandwidth, 10)
    assert link["device_macs"] == flops.count_macs(pipeline.device_half, (3, 32, 32)) + flops.count_macs(
        pipeline.link.encoder, pipeline.feature_shape())


@pytest.mark.parametrize("pool", [1, 2, 5])
def test_widths_that_are_filled_up_change_no_function(make_network, pictures, pool):
    """Pruned to odd widths, so that every layer is filled up."""
    network = make_network()
    removed = {name: range(1 + number % 3) for number, name in enumerate(vgg.convolutions(network, pool))}
    pruned = pruning.remove_filters(network, removed).eval()
    link = codec.link(pool, vgg.channels_at(pruned, pool), 64, 14.5).eval()
    pipeline, statistics = codec.Pipeline(pruned, pool, link), torch.ones(1, 3, 1, 1)
    graph = graphs.DeviceGraph(pipeline, 100 * statistics, 60 * statistics)
    widths = [layer.out_channels for layer in graph.device_half if isinstance(layer, torch.nn.Conv2d)]
    assert all(width % graphs.MULTIPLE == 0 for width in widths)
    with torch.inference_mode():
        sent = graph(pictures[0])
        assert torch.allclose(sent, pipeline.transmit((pictures[0].float() - 100) / 60).flatten(1), atol=1e-4)
    assert vgg.channels(pruned)[0] == vgg.channels(network)[0] - 1  # nothing is filled up in the network itself


def test_without_statistics_those_of_cifar100_are_meant(make_pipeline, tmp_path):
    link = deploy.export(make_pipeline(), tmp_path)
    assert link["mean"] == list(graphs.CIFAR100_MEAN) and link["std"] == list(graphs.CIFAR100_STD)


def test_the_statistics_of_cifar100_are_those_of_its_training_images():
    try:
        loaded = data.dataset("cifar100")
    except InputError:
        pytest.skip("CIFAR-100 is not here")
    assert loaded.mean.flatten().tolist() == pytest.approx(graphs.CIFAR100_MEAN)
    assert loaded.std.flatten().tolist() == pytest.approx(graphs.CIFAR100_STD)


def test_batch_norm_is_gone(exported):
    import onnx

    for name in ("device.onnx", "edge.onnx"):
        assert "BatchNormalization" not in {node.op_type for node in onnx.load(exported / name).graph.node}


def test_exporting_leaves_the_pipeline_as_it_was(make_pipeline, pictures, tmp_path):
    pipeline = make_pipeline()
    before = {name: value.clone() for name, value in pipeline.state_dict().items()}
    deploy.export(pipeline, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in pipeline.state_dict().items())


def test_a_finished_run_is_exported_with_its_own_images_statistics(project, tmp_path, pictures):
    link = deploy.export(folder(MODEL), tmp_path)
    result = json.loads((folder(MODEL) / "result.json").read_text())
    assert link["run"] == MODEL and link["device_macs"] == result["metrics"]["device_macs"]
    assert link["mean"] == pytest.approx(data.dataset("mini").mean.flatten().tolist())
    assert link["names"] == list(data.MINI_CLASSES)
    pipeline, _, _ = graphs.load(folder(MODEL))
    with torch.inference_mode():
        sent = pipeline.transmit(data.dataset("mini").normalise(pictures[0]))
        expected = pipeline.edge_half(pipeline.link.decoder(sent))
    assert np.abs(logits(tmp_path, pictures[0])[1] - expected.numpy()).max() < 1e-4
    assert read_link(tmp_path) == link


def test_what_is_no_finished_step_4_is_refused_in_a_sentence(project, tmp_path):
    with pytest.raises(InputError, match="holds no finished run"):
        deploy.export(tmp_path / "nothing", tmp_path / "graphs")
    with pytest.raises(InputError, match="step prune"):
        deploy.export(folder(PRUNE), tmp_path / "graphs")
    assert not (tmp_path / "graphs").exists()


def test_missing_weights_are_refused_with_the_command_that_makes_them(workspace, tmp_path):
    for file in folder(MODEL).glob("*.safetensors"):
        file.unlink()
    with pytest.raises(InputError, match=f"python -m lib.run tiny {MODEL}"):
        deploy.export(folder(MODEL), tmp_path / "graphs")


def test_an_altered_graph_is_refused(make_pipeline, tmp_path):
    deploy.export(make_pipeline(), tmp_path)
    with open(tmp_path / "edge.onnx", "ab") as stream:
        stream.write(b"\0")
    with pytest.raises(InputError, match="not the file that was exported"):
        read_link(tmp_path)
    for text in ("{}", "[]", "no JSON", '{"sha256": {"gone.onnx": ""}}'):
        (tmp_path / "link.json").write_text(text)
        with pytest.raises(InputError, match="holds no exported graphs"):
            read_link(tmp_path)


def test_too_many_symbols_for_a_datagram_are_refused(make_pipeline, tmp_path):
    with pytest.raises(InputError, match="do not fit into one datagram"):
        deploy.export(make_pipeline(1, 64 * 300), tmp_path / "graphs")


def test_power_is_that_of_the_paper_after_export(exported, pictures):
    symbols, _ = logits(exported, torch.zeros_like(pictures[0]))  # black images, all alike
    assert np.square(symbols).mean(1) == pytest.approx(1, abs=1e-5)
