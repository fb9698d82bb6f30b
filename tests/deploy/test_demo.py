"""The page for the browser, as far as it goes without one (tests/browser/demo.cjs tries it in Chromium)."""

import json
import re

import numpy as np
import pytest

from lib import InputError, deploy
from lib.deploy import demo
from lib.device.client import session


@pytest.fixture
def offline(monkeypatch):
    """Without the runtime, which npm fetches."""
    monkeypatch.setattr(demo, "_runtime", lambda folder: None)


def test_the_page_holds_both_models_and_images_of_all_classes(offline, make_pipeline, tmp_path):
    for number, bandwidth in enumerate((64, 128)):
        deploy.export(make_pipeline(2, bandwidth), tmp_path / f"graphs{number}")
        link = json.loads((tmp_path / f"graphs{number}" / "link.json").read_text()) | {"data": "mini"}
        (tmp_path / f"graphs{number}" / "link.json").write_text(json.dumps(link))
    demo.write(tmp_path / "demo", [tmp_path / "graphs0", tmp_path / "graphs1"])
    text = (tmp_path / "demo" / "index.html").read_text()
    about = json.loads(re.search(r"const about = (\{.*\});", text)[1])
    assert [link["bandwidth"] for link in about["links"]] == [64, 128]
    assert {image["label"] for image in about["images"]} == set(range(10))
    assert {file.name for file in (tmp_path / "demo").iterdir()} == {
        "index.html", "device0.onnx", "edge0.onnx", "device1.onnx", "edge1.onnx"}
    assert not re.findall(r"https?://", text)  # no other host


def test_models_of_two_data_sets_are_refused(offline, make_pipeline, exported, tmp_path):
    deploy.export(make_pipeline(), tmp_path / "graphs")
    link = json.loads((tmp_path / "graphs" / "link.json").read_text()) | {"data": "mini"}
    (tmp_path / "graphs" / "link.json").write_text(json.dumps(link))
    with pytest.raises(InputError, match="must be of one data set"):
        demo.write(tmp_path / "demo", [exported, tmp_path / "graphs"])
    assert not (tmp_path / "demo").exists()


def test_a_large_edge_half_is_halved_and_reads_nearly_the_same(exported, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "HALF_FROM", 0)
    demo._edge(exported / "edge.onnx", tmp_path / "edge.onnx")
    assert (tmp_path / "edge.onnx").stat().st_size < 0.6 * (exported / "edge.onnx").stat().st_size
    symbols = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    whole, half = (session(place / "edge.onnx").run(None, {"symbols": symbols})[0] for place in (exported, tmp_path))
    assert half.dtype == np.float32 and np.abs(whole - half).max() < 0.02 * np.abs(whole).max()
