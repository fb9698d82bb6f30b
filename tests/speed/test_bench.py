"""The benchmark measures what it says, at sizes that take a moment."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from lib import data, training, vgg
from lib.speed import bench, bench_training
from lib.speed.bench_device import fold_batch_norm, layer_seconds
from lib.speed.bench_training import Row, Scale

TINY = Scale(width=0.125, matrix=64, batch=8, steps=1, images=8, rounds=1, gpu_images=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    assert bench.main(TINY, folder) == 0
    return folder


@pytest.fixture(scope="module")
def table(folder):
    return pd.read_csv(next(file for file in folder.glob("*.csv") if not file.name.endswith("-layers.csv")))


def test_every_comparison_has_its_rows(table):
    assert table.what.is_unique
    for part in ("training step", "matrix convolutions", "bfloat16", "loading", "device half", "GPU", "CUDA graphs"):
        assert table.what.str.contains(part).any(), part


def test_every_row_is_measured_and_judged_or_says_that_it_is_not(table):
    measured = table[table.reached != "not measured here"]
    assert (measured["median"] > 0).all()
    assert ((measured.least <= measured["median"]) & (measured["median"] <= measured.most)).all()
    assert set(measured.reached.dropna()) <= {"yes", "no"} and (measured.target.isna() == measured.reached.isna()).all()


def test_the_page_shows_what_the_tables_hold(table, folder):
    layers, page = next(folder.glob("*-layers.csv")), next(folder.glob("*.md")).read_text()
    assert list(pd.read_csv(layers).layer) == [1, 2, 3, 4] and all(what in page for what in table.what)
    assert len(list(folder.iterdir())) == 3  # nothing half-written


@pytest.mark.parametrize("row, reached", [
    (Row("a", "", 5.0, "×", at_least=5), "yes"), (Row("a", "", 4.9, "×", at_least=5), "no"),
    (Row("a", "", 1.9, "%", below=2), "yes"), (Row("a", "", 2.0, "%", below=2), "no"),
    (Row("a", "", 7.0, "images/s"), ""), (Row("a", "", math.nan, "×", at_least=5), "not measured here"),
    (Row("a", "", 90.0, "%", at_least=85, of_product=True, product=100.0), "yes"),
    (Row("a", "", 90.0, "%", at_least=85, of_product=True, product=110.0), "no")])
def test_a_target_is_judged_by_its_own_bound(row, reached):
    assert bench.table([row]).reached.item() == reached


def test_a_row_is_the_median_and_the_range_of_its_rounds():
    line = bench.table([Row("a", "b", value, "×") for value in (3.0, 1.0, 9.0)]).iloc[0]
    assert (line["median"], line.least, line.most, line.repeats) == (3, 1, 9, 3)


def test_a_layer_loses_what_its_macs_promise_and_time_does_not_give():
    measured = {"layer": 1, "filters": 8, "left": 4, "macs": 100, "macs_left": 25, "seconds": 0.4, "seconds_left": 0.2}
    line = bench.layer_table([measured]).iloc[0]
    assert line.macs_saved_percent == 75 and line.time_saved_percent == 50
    assert line.lost_ms == pytest.approx(100)


def test_folding_batch_norm_changes_nothing_but_the_layers():
    network = vgg.vgg16_bn(10, 0.125)
    network(torch.randn(16, 3, 32, 32))  # running statistics that are not the initial ones
    half, images = vgg.split(network.eval(), 2)[0], torch.randn(2, 3, 32, 32)
    expected = half(images)
    for module, output in ((fold_batch_norm(half), expected), (fold_batch_norm(network), network(images))):
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())
        assert torch.allclose(module(images), output, atol=1e-5)
    assert torch.equal(half(images), expected)
    assert len(layer_seconds(fold_batch_norm(half), images)) == 4


def test_the_gpus_rate_is_measured_on_any_device():
    assert bench_training.gpu_rate(TINY, data.dataset("mini"), training.CPU) > 0


def test_the_comparison_has_pytorchs_own_convolutions(monkeypatch):
    used = []
    monkeypatch.setattr(bench_training.convolutions, "weight_gradient", lambda x, outputs: used.append(1))
    monkeypatch.setattr(bench_training.convolutions, "GRADIENT_MAP", 16)
    images = data.dataset("mini")
    for engine, expected in ((bench_training.OneDNN(), False), (training.CPU, True)):
        bench_training.fit(1.0, images, 1, 2, 2, engine)
        assert bool(used) == expected


@pytest.mark.parametrize("numbers, ending", [
    ("cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n" * 2, ", family 25, model 17"),
    ("cpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\n" * 2, ", family 25, model 1"),
    ("processor\t: 0\nCPU part\t: 0xd0c\n", "")])
def test_a_table_names_the_processors_generation(tmp_path, monkeypatch, numbers, ending):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "cpuinfo").write_text(numbers)
    assert bench.machine(tmp_path / "cpuinfo") == bench.provenance.device() + ending
