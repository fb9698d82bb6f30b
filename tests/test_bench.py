"""The benchmark measures what it says, at sizes that take a moment."""

import pandas as pd
import torch

from lib import bench, vgg


def test_the_benchmark_writes_every_row(tmp_path, monkeypatch):
    monkeypatch.setattr(bench.study, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "shared_work", lambda: [])
    monkeypatch.setattr(bench, "ROUNDS", 1)
    assert bench.main(width=0.125, matrix=64, batch=8, images=16, single=2) == 0
    table = pd.read_csv(next((tmp_path / "outputs" / "bench").glob("*.csv")))
    assert {"yes", "no"} >= set(table.reached) - {"not measured here"} and len(table) >= 11
    measured = table[table.reached != "not measured here"]
    assert (measured["least"] <= measured["median"]).all() and (measured["median"] <= measured["most"]).all()
    assert measured["median"].iloc[1] > 0  # images/s


def test_folding_batch_norm_changes_nothing():
    network = vgg.vgg16_bn(10, 0.125)
    network(torch.randn(16, 3, 32, 32))  # running statistics that are not the initial ones
    half, images = vgg.split(network.eval(), 2)[0], torch.randn(2, 3, 32, 32)
    assert torch.allclose(bench.fold_batch_norm(half)(images), half(images), atol=1e-5)


def test_sharing_saves_at_least_threefold_in_the_desk_study():
    rows = {row["what"]: row for row in bench.shared_work()}
    assert rows["image passes of the study desk, counted"]["median"] >= 3
