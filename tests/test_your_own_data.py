"""docs/your-own-data.md: its thirty pictures are of mixed sizes and modes, and its study is theirs."""

import re
from collections import Counter

import yaml
from PIL import Image

from lib import data, study
from lib.datasets import folder

PAGE = (study.ROOT / "docs" / "your-own-data.md").read_text()
EXAMPLE = study.ROOT / "params" / "examples" / "folder.yaml"


def code(language):
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)[1]


def test_the_thirty_pictures_are_read_by_the_examples_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(code("python"), {})
    files = list((tmp_path / "data" / "pictures").glob("*/*"))
    with_modes = Counter(Image.open(file).mode for file in files)
    assert len(files) == 30 and set(with_modes) == {"RGB", "L", "P", "RGBA", "CMYK"}
    assert len({Image.open(file).size for file in files}) == 10

    monkeypatch.setattr(folder, "ROOT", tmp_path)
    settings = study.load(EXAMPLE)
    assert settings.data.counts == (3, 24, 6) and len(study.runs(settings)) == 12
    images, labels = data.load("folder", settings.data.root, "test", settings.data.side)
    assert images.shape == (6, 3, 64, 64) and labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.class_names("folder", settings.data.root) == ["apple", "rocket", "wardrobe"]


def test_the_pages_line_is_the_examples():
    line = yaml.safe_load(code("yaml"))["data"]
    assert line == yaml.safe_load(EXAMPLE.read_text())["data"]
    commands = re.findall(r"^\./run_all\.sh (\S+)", PAGE, re.M)
    assert {study.ROOT / command for command in commands} == {EXAMPLE}
