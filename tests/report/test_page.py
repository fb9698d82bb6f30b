"""The reviewer's page of the shipped study `quick`, read back as a browser would."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from html.parser import HTMLParser
from statistics import mean

import pytest

from lib import results, study
from lib.batch import places
from lib.claims import judge
from lib.evidence import fingerprint, manifest
from lib.report import page


class Reader(HTMLParser):
    """All tags with their attributes, the words of each element of interest, and the embedded data."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.inside = [], defaultdict(list), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "br", "input", "path", "circle"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if self.inside:
            self.texts[self.inside[-1]].append(data)

    def all(self, tag, name):
        return [attributes[name] for found, attributes in self.tags if found == tag and name in attributes]


@pytest.fixture(scope="module")
def text():
    return page.render("quick")


@pytest.fixture(scope="module")
def read(text):
    return Reader(text)


@pytest.fixture(scope="module")
def data(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_every_finished_run_has_a_card(data):
    loaded = study.load("quick")
    finished = [item.name for item in study.runs(loaded) if places.finished(places.folder_of(loaded, item.name))]
    assert finished and [card["name"] for card in data["runs"]] == finished


def test_a_card_says_what_its_result_says(data):
    for card in data["runs"]:
        result = json.loads((study.ROOT / "outputs" / "quick" / card["name"] / "result.json").read_text())
        assert card["parameters"] == result["parameters"] and card["metrics"] == result["metrics"]
        assert [card["hash"], card["upstream"]] == [result["hash"], result["upstream"]]
        assert card["code"] == fingerprint.stored(result)[-1][2]
        origin = ("seed", "device", "threads", "commit", "seconds")
        assert [card["provenance"][key] for key in origin] == [result["provenance"][key] for key in origin]


def test_upstream_runs_are_on_the_page(data):
    names = {card["name"] for card in data["runs"]}
    assert all(set(card["upstream"]) <= names for card in data["runs"])


def test_verdicts_are_those_of_the_claims(text):
    judged = judge.judge(results.load("quick"), study.load("quick"))
    line = r'<details class="verdict" id="(C\d)">\s*<summary>.*?<span class="mark [\w-]+">. (.*?)</span>'
    found = re.findall(line, text)
    assert found == list(zip(judged.claim, judged.verdict, strict=True)) and len(found) == 9


def test_each_dated_criterion_stands_with_its_verdict(text):
    table = text[text.index("When each criterion was written"):text.index('<section id="figure3"')]
    written = judge.criteria_table(judge.judge(results.load("quick"), study.load("quick")))
    assert table.count("<tr>") == len(written)
    assert set(written.date) == set(re.findall(r"<td>(2026-\d\d-\d\d(?: \d\d:\d\d)?)</td>", table))


def test_a_study_of_ones_own_is_named_as_its_commands_need_it(tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()
    file = tmp_path / "mine.yaml"
    file.write_text((study.ROOT / "params" / "quick.yaml").read_text().replace("name: quick", "name: mine"))
    monkeypatch.setattr(study, "ROOT", tmp_path)
    shown = page.render(str(file))
    assert json.loads(re.search(r'id="data">(.*?)</script>', shown, re.S)[1])["profile"] == "mine.yaml"


def test_every_link_leads_somewhere(read, data):
    folder = study.ROOT / "outputs" / "quick" / "report"
    places = {*read.all("section", "id"), *read.all("details", "id"), *(card["name"] for card in data["runs"])}
    links = set(read.all("a", "href"))
    links |= {f"{card['folder']}/result.json" for card in data["runs"]}
    links |= {f"{card['folder']}/history.csv" for card in data["runs"] if card["history"]}
    assert len(links) > 90
    for link in links:
        assert link[1:] in places if link.startswith("#") else (folder / link).is_file(), link


def test_nothing_is_asked_of_any_host(read):
    fetching = ("src", "srcset", "data", "action", "poster", "xlink:href")
    loaded = [value for tag, attributes in read.tags for key, value in attributes.items()
              if key in fetching or tag == "link" and key == "href"]
    assert loaded == ["data:,"]  # the icon, without which a browser asks for one
    assert not any("//" in link for link in read.all("a", "href"))
    policy = next(attributes["content"] for tag, attributes in read.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none';")
    assert "url(" not in page.HERE.joinpath("page.css").read_text()


def test_a_point_is_the_mean_of_the_runs_behind_it(read, data):
    """Against the figure's CSV, read without pandas."""
    points = defaultdict(list)
    with open(study.ROOT / "outputs" / "quick" / "figures" / "figure5.csv") as file:
        for row in csv.DictReader(file):
            if row["reading"] == "fixed" and row["scheme"] == "JSCC + pruning":
                points[row["label"], float(row["snr_db"])].append((row["run"], float(row["accuracy"])))
    assert len(points) > 20
    titles = read.texts["title"]
    shown = [attributes for tag, attributes in read.tags if tag == "a" and "point" in attributes.get("class", "")]
    numbers = dict(zip(titles[1:], shown, strict=True))  # the first title is the page's own
    for (label, snr), rows in points.items():
        start = f"{label} at {snr:g} dB: {100 * mean(accuracy for _, accuracy in rows):.1f} % ("
        behind = [attributes for title, attributes in numbers.items() if title.startswith(start)]
        runs = [[data["runs"][int(number)]["name"] for number in each["data-runs"].split(",")] for each in behind]
        assert list(dict.fromkeys(name for name, _ in rows)) in runs, start


def figure_rows(stem):
    with open(study.ROOT / "outputs" / "quick" / "figures" / f"{stem}.csv") as file:
        return list(csv.DictReader(file))


def test_a_point_of_figure_3_says_how_far_below_the_baseline_it_is(read):
    rows = figure_rows("figure3")
    for row in rows:
        words = f"{100 * float(row['accuracy_reporting']):.1f} %, {100 * float(row['loss']):.1f} points below"
        both = "within the tolerance on both halves" if row["holds"] == "True" else "the tolerance on the half that"
        assert any(title.startswith(row["scheme"]) and words in title and both in title
                   for title in read.texts["title"]), row
    assert len(rows) > 10


def test_a_card_names_every_figure_that_its_run_stands_in(data):
    named = {card["name"]: set(card["figures"]) for card in data["runs"]}
    for stem in ("figure3", "figure4a", "figure4b", "figure5"):
        assert all(stem in named[row["run"]] for row in figure_rows(stem))
    assert {"figure3", "figure5"} <= named["baselines/label-pool5-r0.00-b16-snr14.5-s0"]


def test_a_caption_says_of_what_a_point_is_the_mean_and_at_which_snr_a_fixed_model_was_trained(text):
    caption = text[text.index('<section id="figure5"'):text.index('<section id="label-code"')]
    assert "A point is one model, of seed 0" in caption  # quick has one seed
    assert f"one model, trained at {study.load('quick').figure5.fixed_snr_db:g} dB" in caption


def test_a_negative_number_has_a_minus_and_no_hyphen(text):
    tables = re.sub(r"<script.*", "", text, flags=re.S)
    assert ">−" in tables and not re.search(r">-\d", tables)


def test_the_same_results_make_the_same_bytes(text):
    script = ("import hashlib; from lib.report import page; "
              "print(hashlib.sha256(page.render('quick').encode()).hexdigest())")
    other = subprocess.run([sys.executable, "-c", script], cwd=study.ROOT, capture_output=True, text=True, check=True,
                           env={**os.environ, "PYTHONHASHSEED": "7"})
    assert other.stdout.strip() == hashlib.sha256(text.encode()).hexdigest()


def test_a_result_cannot_end_the_script_that_holds_it(monkeypatch):
    loaded = study.load("quick")
    stored = places.read_result

    def hostile(folder, *ending):
        result = stored(folder, *ending)
        result["provenance"]["device"] = "</script><script>alert(1)</script>"
        return result

    monkeypatch.setattr(places, "read_result", hostile)
    assert "<script>alert" not in page.render(loaded.name)


def test_nothing_is_judged_from_an_altered_result(tmp_path, monkeypatch):
    shutil.copytree(study.ROOT / "params", tmp_path / "params")
    shutil.copytree(study.ROOT / "outputs" / "quick", tmp_path / "outputs" / "quick",
                    ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setattr(study, "ROOT", tmp_path)
    settings, name = study.load("quick"), "end_to_end/pool2-r0.50-b512-snr14.5-s0"
    for item in study.runs(settings):
        manifest.enter_run(settings, item)
    assert ">– not judged<" not in page.render("quick")
    file = tmp_path / "outputs" / "quick" / name / "history.csv"
    file.write_text(file.read_text().replace("1,", "1,1", 1))
    text = page.render("quick")
    assert text.count(">– not judged<") == 9 and f"<li>{name}: not what was stored</li>" in text


def test_a_study_without_results_has_a_page(tmp_path, monkeypatch):
    shutil.copytree(study.ROOT / "params", tmp_path / "params")
    monkeypatch.setattr(study, "ROOT", tmp_path)
    path = page.write("quick")
    assert path == tmp_path / "outputs" / "quick" / "report" / "index.html"
    assert "0 of 50 runs are finished" in " ".join(path.read_text().split())
