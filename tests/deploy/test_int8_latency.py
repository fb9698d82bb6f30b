"""The device half in eight bits, and how long it takes."""

import functools
import json
import shutil

import numpy as np
import pytest
import torch

from lib import InputError, flops
from lib.deploy import int8, latency
from lib.device import timing
from lib.device.client import read_link


@pytest.fixture(scope="module")
def quantised(exported, pictures, tmp_path_factory):
    folder = shutil.copytree(exported, tmp_path_factory.mktemp("int8") / "graphs")
    int8.quantise(folder, pictures[0].numpy())
    return folder


def test_eight_bits_send_nearly_the_same_symbols(quantised, pictures):
    sent = [int8.symbols(quantised, graph, pictures[0].numpy()) for graph in ("device.onnx", "device-int8.onnx")]
    assert np.square(sent[1]).mean(1) == pytest.approx(1, abs=1e-4)
    # A mean error 20 dB below the signal: more than any noise of the study at 14.5 dB hides.
    assert np.square(sent[0] - sent[1]).mean() < 0.01 and not np.array_equal(*sent)


def test_its_weights_are_in_eight_bits_and_listed_with_a_checksum(quantised, exported):
    import onnx

    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(quantised / "device-int8.onnx").graph.initializer}
    assert onnx.TensorProto.INT8 in kinds.values()
    assert set(read_link(quantised)["sha256"]) == {"device.onnx", "edge.onnx", "device-int8.onnx"}
    assert set(read_link(exported)["sha256"]) == {"device.onnx", "edge.onnx"}


def test_without_noise_accuracy_is_that_of_the_logits(exported, pictures):
    images, labels = pictures[0].numpy(), pictures[1].numpy()
    sent = int8.symbols(exported, "device.onnx", images)
    logits = int8.session(exported / "edge.onnx").run(None, {"symbols": sent})[0]
    assert int8.accuracy(exported, sent, labels, 200.0) == np.mean(logits.argmax(1) == labels)


def test_what_was_not_quantised_is_not_compared(exported):
    with pytest.raises(InputError, match="has no device-int8.onnx"):
        int8.compare(exported, None, [14.5])


def test_times_are_taken_by_turns():
    order = []
    calls = [lambda: order.append("a"), lambda: order.append("b")]
    assert timing.times(calls, rounds=3, images=2).shape == (2, 6)
    assert "".join(order[2 * timing.WARM_UP:]) == "aabb" * 3


def test_a_table_tells_the_promise_beside_what_was_found(make_network, tmp_path, pictures):
    from lib import data

    dataset = data.dataset("mini")
    made = latency.export_all(make_network(), dataset, tmp_path, pools=[2], ratios=[0.0, 0.5])
    table = latency.table(made, pictures[0][0].numpy(), rounds=2, images=3).set_index("ratio")
    assert table.fewer_macs[0.5] == pytest.approx(made[0]["macs"] / made[1]["macs"]) and table.fewer_macs[0.5] > 1.5
    assert table.share[0.0] == table.faster[0.0] == 1
    assert (table.p95_ms >= table.p50_ms).all() and table.share[0.5] == pytest.approx(
        table.p50_ms[0.0] / table.p50_ms[0.5] / table.fewer_macs[0.5])
    narrow = latency.pruned(make_network(), dataset, 2, 0.5)
    assert json.loads((made[1]["folder"] / "link.json").read_text())["device_macs"] > flops.count_macs(
        torch.nn.Sequential(*narrow.features[:14]), (3, 32, 32))  # the encoder is in it


def test_where_the_aim_is_missed_the_slowest_nodes_are_named():
    import pandas as pd

    rows = pd.DataFrame({"pool": [2, 2, 2], "ratio": [0.0, 0.5, 0.9], "share": [1.0, 0.81, 0.5]})
    layers = pd.DataFrame({"node": list("abab"), "operation": ["Conv", "Relu"] * 2, "ms": [4.0, 1.0, 0.5, 1.5],
                           "pool": 2, "ratio": [0.0, 0.0, 0.9, 0.9]})
    named = latency.slowest(rows, layers)
    assert named[["node", "ratio", "ms", "unpruned_ms", "share_of_time"]].values.tolist() == [
        ["b", 0.9, 1.5, 1.0, 0.75], ["a", 0.9, 0.5, 4.0, 0.25]]
    assert latency.slowest(rows[:2], layers).empty


@pytest.mark.slow
def test_the_section_of_bench_is_written(make_network, monkeypatch, tmp_path):
    monkeypatch.setattr(latency, "pretrained", make_network)
    monkeypatch.setattr(latency, "export_all", functools.partial(latency.export_all, ratios=(0.0, 0.5)))
    assert latency.main(tmp_path, pools=[2]) == 0
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".csv", ".csv", ".md"]
    [text] = [file.read_text() for file in tmp_path.glob("*.md")]
    assert "one thread, one image" in text and "| 2 | 0.5 |" in text


def test_the_layers_of_a_graph_are_told_apart(exported, pictures):
    layers = latency.by_layer(exported, pictures[0][0].numpy(), images=5)
    assert (layers.operation.str.contains("Conv")).sum() >= 5 and (layers.ms >= 0).all()


@pytest.mark.slow
def test_the_devices_process_holds_neither_torch_nor_pandas(exported):
    assert 20 < latency.peak_memory_mib(exported, 2) < 400


def test_air_time_is_symbols_over_rate():
    assert latency.air_time_ms(2048, 1e6) == pytest.approx(2.048)
