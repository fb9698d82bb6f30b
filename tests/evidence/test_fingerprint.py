"""The hash over definitions: what leaves it as it is, what changes it, and that what it covers makes the numbers."""

import ast
import json
import re
import shutil

import pandas as pd
import pytest

from helpers import AUTOENCODER, MODEL, NAMES, PLUS, PNG, PRETRAIN, PRUNE, change_study, folder, result, runs
from lib import job, results, study
from lib.batch import places
from lib.evidence import fingerprint, provenance
from lib.evidence.definitions import Tree

NOTEBOOKS = ("01_pretrain", "02_prune", "03_autoencoder", "04_end_to_end", "05_baselines")


@pytest.fixture
def tree(tmp_path):
    """A copy of the code, to change: tree.edit(file, old, new), tree.hashes()."""
    for part in ("lib", "notebooks"):
        shutil.copytree(study.ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))

    class Copy:
        root = tmp_path

        def edit(self, file, old, new):
            path = self.root / file
            assert old in path.read_text(), (file, old)
            path.write_text(path.read_text().replace(old, new))

        def add_cell(self, notebook, source, position):
            path = self.root / "notebooks" / f"{notebook}.ipynb"
            content = json.loads(path.read_text())
            content["cells"].insert(position, {"cell_type": "code", "metadata": {}, "source": source, "outputs": []})
            path.write_text(json.dumps(content))

        def hashes(self):
            return {name: fingerprint.code(name, Tree(self.root, fingerprint.AROUND))[0] for name in NOTEBOOKS}

    return Copy()


def find(pattern):
    """The file of lib, relative to the project, that holds this line."""
    return next(str(path.relative_to(study.ROOT)) for path in sorted((study.ROOT / "lib").rglob("*.py"))
                if re.search(pattern, path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("pattern, old, new", [
    (r"^def capacity", "def capacity(", "# a comment\ndef capacity("),
    (r"^def capacity", "in bits per real symbol (Sec. II-A).", "another docstring"),
    (r"^class AWGN", "class AWGN", "\n\nclass AWGN"),
    (r"^def learning_curve", "def learning_curve(", "ANOTHER = 1\n\n\ndef learning_curve("),
    (r"^def capacity", "def capacity(", "def unused():\n    return 1\n\n\ndef capacity("),
    (r"^class Job", "result.json{ending}", "result.json{ending}" + " " * 0),
    (r"^def say", "Print at once", "Print soon"),
    (r"^PAPER_HALF", "156e6", "157e6")])
def test_what_makes_no_number_leaves_every_hash(tree, pattern, old, new):
    before = tree.hashes()
    tree.edit(find(pattern), old, new)
    assert tree.hashes() == before


@pytest.mark.parametrize("source", [
    "figures.learning_curve(history, 'again')", "print(history)", "assert len(history) > 0",
    "other = 2 * len(history)", "import torch\nlost = [torch.zeros(2) for _ in range(3)]",
    "def looked_at(image):\n    return image.mean()"])
@pytest.mark.parametrize("notebook", ["01_pretrain", "04_end_to_end"])
def test_a_cell_that_draws_prints_or_checks_leaves_every_hash(tree, notebook, source):
    before = tree.hashes()
    tree.add_cell(notebook, source, 6)
    assert tree.hashes() == before


def test_prose_and_the_parameters_cell_leave_every_hash(tree):
    before = tree.hashes()
    tree.edit("notebooks/04_end_to_end.ipynb", "# Step 4", "# The fourth step")
    tree.edit("notebooks/04_end_to_end.ipynb", "images = job.data", "images = job.data  # all of them")
    tree.edit("notebooks/04_end_to_end.ipynb", "seed: int = 0", "seed: int = 7")
    assert tree.hashes() == before


@pytest.mark.parametrize("source", [
    "torch.manual_seed(3)", "network.eval()", "images.train_images = images.train_images[:10]",
    "job.study.prune.training.lr = 0.5", "total = total + 1", "network, _ = vgg.split(network, 1)"])
def test_a_cell_that_changes_what_is_trained_changes_its_notebooks_hash_alone(tree, source):
    before = tree.hashes()
    tree.add_cell("02_prune", source, 3)
    after = tree.hashes()
    assert {name for name in NOTEBOOKS if before[name] != after[name]} == {"02_prune"}


def test_moving_and_renaming_a_definition_leaves_every_hash(tree):
    before = tree.hashes()
    file = tree.root / "lib" / "channels" / "awgn.py"
    text = file.read_text()
    start = text.index("class AWGN")
    end = text.index("\n\n\n", start)
    (tree.root / "lib" / "noise.py").write_text("import torch\nfrom torch import nn\n\n\n"
                                               + text[start:end].replace("class AWGN", "class Noisy") + "\n")
    file.write_text(text[:start] + "from lib.noise import Noisy\n\n\n" + text[end:].lstrip())
    tree.edit("lib/codec.py", "from lib.channel import AWGN, normalize_power",
              "from lib.channel import normalize_power\nfrom lib.noise import Noisy")
    tree.edit("lib/schemes/label.py", "from lib.channel import AWGN", "from lib.noise import Noisy")
    tree.edit("lib/channels/build.py", "from lib.channels.awgn import AWGN", "from lib.noise import Noisy")
    tree.edit("lib/channels/losses.py", "from lib.channels.awgn import AWGN, normalize_power",
              "from lib.channels.awgn import normalize_power\nfrom lib.noise import Noisy")
    for user in ("lib/codec.py", "lib/schemes/label.py", "lib/channels/build.py"):
        tree.edit(user, "AWGN(snr_db)", "Noisy(snr_db)")
    tree.edit("lib/channels/losses.py", "AWGN(self.snr_db)", "Noisy(self.snr_db)")
    assert tree.hashes() == before


@pytest.mark.parametrize("pattern, old, new, changed", [
    (r"^class AWGN", "-self.snr_db / 20", "-self.snr_db / 10", {"03_autoencoder", "04_end_to_end", "05_baselines"}),
    (r"^FLOOR = ", "FLOOR = 2", "FLOOR = 3", {"02_prune", "05_baselines"}),
    (r"^def taylor_scores", "effects.pop(name).abs()", "effects.pop(name)", {"02_prune", "05_baselines"}),
    (r"^def magnitude_scores", ".norm(dim=1)", ".norm(1, dim=1)", {"02_prune"}),
    (r"^def jpeg_header_bytes", "position = 2 ", "position = 3 ", {"05_baselines"}),
    (r"^class Stage", "zlib.crc32", "zlib.adler32", set(NOTEBOOKS)),
    (r"^def rounded", "value.half()", "value.bfloat16()", set(NOTEBOOKS)),
    (r"^MANY_WEIGHTS_BFLOAT16", "2**17", "2**16", set(NOTEBOOKS))])
def test_an_edited_definition_changes_the_hashes_that_reach_it(tree, pattern, old, new, changed):
    before = tree.hashes()
    tree.edit(find(pattern), old, new)
    after = tree.hashes()
    assert {name for name in NOTEBOOKS if before[name] != after[name]} == changed


def test_the_hash_does_not_depend_on_pythons_version(monkeypatch):
    """Python 3.12 gave functions and classes a further, empty field, and 3.13 leaves empty fields out."""
    before = fingerprint.code("04_end_to_end")
    for node in (ast.FunctionDef, ast.ClassDef):
        monkeypatch.setattr(node, "_fields", (*node._fields, "type_params"))
        monkeypatch.setattr(node, "type_params", [], raising=False)
    assert fingerprint.code("04_end_to_end") == before


@pytest.mark.parametrize("name", [PRETRAIN, PRUNE, AUTOENCODER, MODEL, PLUS])
def test_the_statements_that_are_hashed_make_the_numbers_by_themselves(workspace, monkeypatch, name):
    """The oracle of what is left out: without it, the run ends with the same weights, curve and metrics."""
    item, place = runs()[name], workspace / "alone" / name
    before = result(name)
    module, statements = fingerprint.notebook_code(item.notebook, Tree(study.ROOT, fingerprint.AROUND))
    begun = job.start(item.step, "tiny", **item.parameters)
    begun.folder = place
    place.mkdir(parents=True)
    imports = "\n".join(f"from {path.rpartition('.')[0]} import {path.rpartition('.')[2]} as {local}"
                        if "." in path else f"import {path} as {local}" for local, path in module.imports.items())
    names = {"job": begun, "study": "tiny", **item.parameters}
    monkeypatch.setenv(places.OUTPUT, str(place))
    exec(imports + "\n" + "\n".join(map(ast.unparse, statements)), names)
    places.put_in_place(place)
    alone = places.read_result(place)
    for part in ("metrics", "evaluation", "channels", "weights"):
        assert alone.get(part) == before.get(part), part
    if name != PNG:
        curves = [pd.read_csv(where / "history.csv").drop(columns="seconds") for where in (place, folder(name))]
        pd.testing.assert_frame_equal(*curves)


def test_science_imports_nothing_from_the_rooms_around_it():
    for notebook in NOTEBOOKS:
        for definition in fingerprint.code(notebook)[1]:
            assert not definition.startswith(fingerprint.AROUND)
    science = [path for path in (study.ROOT / "lib").rglob("*.py") if not any(
        f"lib.{'.'.join(path.relative_to(study.ROOT / 'lib').with_suffix('').parts)}.".startswith(f"{around}.")
        for around in (*fingerprint.AROUND, "lib.speed.bench", "lib.speed.bench_training", "lib.speed.bench_device"))]
    assert len(science) > 20
    imports = {line for path in science
               for line in re.findall(r"^ *(?:from|import) (lib\S*)", path.read_text(), re.MULTILINE)}
    assert not {name for name in imports if name.startswith(fingerprint.AROUND)}


def test_a_job_adds_nothing_that_makes_numbers():
    """What a Job does beyond its Stage is not hashed, so it must not touch tensors, seeds or precision."""
    source = (study.ROOT / "lib" / "job.py").read_text()
    assert not re.search(r"manual_seed|autocast|\.half\(|\.float\(|bfloat16\(|no_grad|\.train\(", source, re.MULTILINE)


# Results and their origin

def test_a_result_says_what_it_was_made_by(project):
    for name in NAMES:
        made_by, item = result(name)["made_by"], runs()[name]
        assert made_by[-1][0] == item.notebook
        assert [step[0] for step in made_by[:-1]] == [
            step[0] for upstream in item.upstream for step in result(upstream)["made_by"]]
        assert made_by == fingerprint.expected(study.load("tiny"), runs().values())[name]


@pytest.mark.parametrize("old, new, stale, spared", [
    ("autoencoder: {epochs: 2", "autoencoder: {epochs: 3", {AUTOENCODER, MODEL}, {PRETRAIN, PRUNE, PNG, PLUS}),
    ("for tests", "for other tests", set(), set(NAMES))])
def test_other_parameters_make_a_result_stale_and_what_rests_on_it(workspace, old, new, stale, spared):
    change_study(workspace, old, new)
    found = set(results.stale("tiny")[0])
    assert found == stale and not spared & found


def test_it_is_named_what_a_result_was_made_by_and_would_not_be_today(project):
    today = fingerprint.expected(study.load("tiny"), runs().values())[MODEL]
    assert fingerprint.differences(result(MODEL), today) == []
    other = [list(step) for step in today]
    other[1][1], other[3][2] = "0" * 16, "1" * 16
    assert fingerprint.differences(result(MODEL), other) == ["parameters of 02_prune", "code of 04_end_to_end"]
    assert fingerprint.differences(result(MODEL), today[1:]) == ["the steps before it"]


def test_code_that_was_proven_equal_makes_nothing_stale(workspace, monkeypatch, tmp_path):
    file = workspace / "lib" / "channels" / "awgn.py"
    before = fingerprint.code("04_end_to_end")[0]
    file.write_text(file.read_text().replace("-self.snr_db / 20", "self.snr_db / -20"))
    after = {name: fingerprint.code(name)[0] for name in NOTEBOOKS}
    assert after["04_end_to_end"] != before and set(results.stale("tiny")[0]) == {AUTOENCODER, MODEL, PNG, PLUS}
    equal = {after[name]: step[2] for made in (result(MODEL)["made_by"], result(PLUS)["made_by"])
             for step in made for name in NOTEBOOKS if name == step[0] and after[name] != step[2]}
    proven = tmp_path / "proven.json"
    proven.write_text(json.dumps({"records": [{"equal": equal}]}))
    monkeypatch.setattr(fingerprint, "PROVEN", proven)
    assert results.stale("tiny") == ([], [])


def test_a_migrated_hash_counts_only_for_the_result_that_carried_it(monkeypatch, tmp_path):
    migrated = tmp_path / "migrated.json"
    migrated.write_text(json.dumps({"gpu": {"pretrain/s0": {"hash": "old", "made_by": [["01_pretrain", "p", "c"]]}}}))
    monkeypatch.setattr(fingerprint, "MIGRATED", migrated)
    stored = {"study": "gpu", "name": "pretrain/s0", "hash": "old"}
    assert fingerprint.stored(stored) == [["01_pretrain", "p", "c"]]
    assert fingerprint.stored(stored | {"hash": "other"}) == fingerprint.stored(stored | {"name": "pretrain/s1"}) == []


def test_all_shipped_results_name_the_code_that_is_here():
    for profile in ("gpu", "quick"):
        settings = study.load(profile)
        for name, today in fingerprint.expected(settings, study.runs(settings)).items():
            place = places.folder_of(settings, name)
            if places.finished(place):
                assert fingerprint.differences(places.read_result(place), today) == [], name


def test_the_record_of_a_proof_names_commits_that_are_in_the_history():
    for record in json.loads(fingerprint.PROVEN.read_text())["records"]:
        assert provenance._git("cat-file", "-t", record["older"]) in ("commit", None)
        assert record["equal"] and record["runs"] and record["precisions"] and record["device"]
