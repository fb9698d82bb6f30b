"""The ladder as a command: rungs are computed once, kept with their parameters, and told in words."""

import copy
import json
import shutil
import sys

import matplotlib.pyplot as plt
import pytest
import torch

from helpers import TINY
from lib import InputError, __main__ as cli, study, training, vgg, weights
from lib.batch import places
from lib.evidence import manifest
from lib.ladder import __main__ as command, by_hand, nets, one_model, records
from lib.reading import rungs
from lib.recipe import nets as recipe_nets, training as recipe_training
from stored import store

NOTEBOOKS = study.ROOT / "notebooks"

LADDER = """
ladder:
  bandwidth: 4
  snr_db: 10.0
  views: {plain: {crops: false}, hard: {every: 3, hole: 8}}
  rungs:
    step3: {about: the paper's, expect: little, views: [plain], schedule: {epochs: 1, lr: 0.1, images_per_epoch: 200}}
    words: {about: words, expect: more, views: [plain, hard], loss: task, start: words, snr_db: 0.0, bandwidth: 6,
            schedule: {epochs: 1, lr: 0.001, optimizer: adam, images_per_epoch: 200}}
"""


@pytest.fixture
def tiny(root):
    """A study of one random network with a ladder of two rungs."""
    (root / "params" / "tiny.yaml").write_text(TINY + LADDER)
    network = vgg.vgg16_bn(10, 0.0625)
    store(root, "pretrain/s0", {}, study_name="tiny", seed=0)
    folder = root / "outputs" / "tiny" / "pretrain" / "s0"
    for name, part in weights.files(network.state_dict(), False).items():
        weights.save(folder / name, part)
    own = {"channels": vgg.channels(network), "weights": places.weight_files(folder)}
    (folder / "result.json").write_text(json.dumps(json.loads((folder / "result.json").read_text()) | own))
    return root


def test_a_rung_is_computed_once_and_again_when_its_parameters_change(tiny, monkeypatch):
    assert command.main(["tiny"]) == 0
    settings = study.load("tiny")
    files = {file.name: file.read_bytes() for file in records.folder(settings).glob("*.json")}
    assert set(files) == {"clean.json", "step3.json", "words.json"}
    stored = records.read(settings, "words")
    assert set(stored["over_snr"]) == {"0.0", "14.5"} and len(stored["history"]["loss"]) == 1
    assert stored["metrics"]["accuracy"] == stored["over_snr"]["0.0"]
    assert set(stored["metrics"]["right_on_views"]) == {"plain", "hard"}
    for score in (stored["metrics"], stored["metrics"]["reference"]):  # halves of as many images
        assert score["accuracy"] == pytest.approx((score["accuracy_selecting"] + score["accuracy_reporting"]) / 2)

    with monkeypatch.context() as elsewhere:  # another machine has another accuracy; what is stored stays
        elsewhere.setattr(command.evaluation, "right", lambda *rest, **options: torch.zeros(1000) > 0)
        (records.folder(settings) / "step3.json").unlink()
        assert command.main(["tiny"]) == 0
    assert (records.folder(settings) / "clean.json").read_bytes() == files["clean.json"]
    files["step3.json"] = (records.folder(settings) / "step3.json").read_bytes()

    monkeypatch.setattr(command, "Climb", None)  # nothing is left to compute
    assert command.main(["tiny"]) == 0
    assert {file.name: file.read_bytes() for file in records.folder(settings).glob("*.json")} == files
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("expect: more", "expect: much more"))
    assert records.read(study.load("tiny"), "words") == stored  # what is said of it decides nothing
    whole = file.read_text()
    file.write_text(whole.replace("bandwidth: 4", "bandwidth: 5"))
    assert records.read(study.load("tiny"), "step3") is None and records.read(study.load("tiny"), "words") == stored
    file.write_text(whole.replace("start: words,", "start: words, neighbours: true,"))
    assert records.read(study.load("tiny"), "words") is None
    file.write_text(whole.replace("hole: 8", "hole: 9"))
    assert records.read(study.load("tiny"), "words") is None and records.read(study.load("tiny"), "step3")


def test_an_option_that_was_added_since_and_is_not_taken_leaves_a_rung_as_it_is(tiny):
    settings = study.load("tiny")
    records.store(settings, "words", {})
    file = records.folder(settings) / "words.json"
    content = json.loads(file.read_text())
    del content["parameters"]["neighbours"]  # as if it had been stored before there was such an option
    file.write_text(json.dumps(content))
    assert records.read(settings, "words") == content
    del content["parameters"]["start"]  # which this rung takes
    file.write_text(json.dumps(content))
    assert records.read(settings, "words") is None


def test_a_rung_with_other_seeds_is_told_by_mean_and_deviation(tiny, monkeypatch):
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text() + "  repeats: {seeds: [3, 1], rungs: [words]}\n")
    settings = study.load("tiny")
    records.store(settings, "seed1-words", {"metrics": {"accuracy": 0.5}, "over_snr": {"0.0": 0.5, "14.5": 0.5}})
    assert rungs.summary(settings).of["words"]["accuracy"] is None  # of a rung that is not there itself
    assert command.main(["tiny", "words"]) == 0
    first, third = (records.read(settings, name) for name in ("words", "seed3-words"))
    assert first["parameters"] | {"seed": 3} == third["parameters"] and first["parameters"]["seed"] == 0
    assert first["history"]["loss"] != third["history"]["loss"]
    assert records.read(settings, "seed1-words")["metrics"]["accuracy"] == 0.5  # stored already
    told = rungs.summary(settings).of["words"]
    found = [100 * first["metrics"]["accuracy"], 100 * third["metrics"]["accuracy"], 50]
    assert (told["accuracy"], told["trainings"]) == (pytest.approx(sum(found) / 3), 3)
    assert told["deviation"] == pytest.approx(torch.tensor(found).std().item())
    assert told["over_snr"][0.0] == pytest.approx(told["accuracy"])
    assert records.missing(settings, ["step3", "words"]) == ["step3"]
    (records.folder(settings) / "seed3-words.json").unlink()
    by_hand.provide(settings, ["words"])
    assert records.read(settings, "seed3-words")["history"]["loss"] == third["history"]["loss"]

    monkeypatch.setattr(command, "Climb", None)  # nothing is left to compute, and at another point nothing is asked
    assert command.main(["tiny", "words"]) == 0
    assert records.ladder(by_hand.at(settings, 5, 10.0)).repeats is None
    assert [records.of_seed(name) for name in ("words", "net-half", "seed1-words", "seedy-a", "seed1")] == [
        None, None, ("words", 1), None, None]


def test_a_page_has_every_rung_whether_or_not_it_is_computed(tiny):
    settings = study.load("tiny")
    records.store(settings, "step3", {"metrics": {"accuracy": 0.25, "device_macs": 2_500_000, "seconds": 90.0,
                                                  "right_on_views": {"plain": 0.9}}, "over_snr": {"10.0": 0.25}})
    found = rungs.summary(settings)
    first, second = found.rungs
    assert (first["accuracy"], first["macs"], first["minutes"], first["snr_db"], first["bandwidth"]) == (
        25, 2.5, 1.5, 10.0, 4)
    assert (second["accuracy"], second["snr_db"], second["bandwidth"], second["over_snr"]) == (None, 0.0, 6, {})
    assert found.of["step3"] is first and first["over_snr"] == {10.0: 25}
    assert found.for_one_snr("step3", 10.0) == 25 and found.for_one_snr("step3", 0.0) is None
    assert found.for_one_snr("words", 0.0) is None  # not computed
    assert [view["right"] for view in found.views] == [90, None] and found.clean is None
    assert first["below"] == second["below"] == {}  # a record that does not say it, and none
    halves = {"accuracy_selecting": 0.2, "accuracy_reporting": 0.3}
    records.store(settings, "step3", {"metrics": {"accuracy": 0.25, **halves, "reference": {
        "accuracy": 0.5, "accuracy_selecting": 0.45, "accuracy_reporting": 0.5}}})
    assert rungs.summary(settings).of["step3"]["below"] == pytest.approx({"selecting": 25, "reporting": 20})


@pytest.mark.parametrize("arguments, message", [
    ([], "usage"), (["gpu"], "has no ladder"), (["tiny", "step4"], "no rung step4")])
def test_what_cannot_be_climbed_is_refused(tiny, arguments, message):
    with pytest.raises(InputError, match=message):
        command.main(arguments)


def test_a_ladder_of_a_network_that_is_not_here_is_refused(root):
    (root / "params" / "tiny.yaml").write_text(TINY + LADDER)
    with pytest.raises(InputError, match="pretrained network of tiny"):
        command.main(["tiny"])
    assert not places.folder_of(study.load("tiny"), "ladder").exists()


@pytest.mark.parametrize("old, new, message", [
    ("views: [plain]", "views: [plain], control: gone", "control: there is no net .gone"),
    ("views: [plain]", "views: [soft]", "no view 'soft'"), ("views: [plain]", "views: []", "no view 'none'"),
    ("expect: little", "expect: little, distil: 0.5", "no part in distillation"),
    ("loss: task", "loss: wrong, distil: 0.5", "nothing to distil"),
    ("start: words", "start: words, snr_range: [5.0, 5.0]", "least and the most"),
    ("start: words", "start: logits, snr_range: [0.0, 5.0]", "least and the most"),
    ("start: words", "whole: {schedule: {epochs: 1, lr: 0.1}}", "the edge half with it"),
    ("start: words", "start: logits, pool: 4", "are of pooling 5"), ("start: words", "pool: 4", "train_edge"),
    ("start: words", "pool: 2, train_edge: true", "then all on images"),
    ("loss: task, start: words", "pool: 2, start: perceptron", "then all on images"),
    ("start: words", "pool: 6", "pool"),
    ("bandwidth: 6", "bandwidth: 1", "bandwidth"),
    ("  rungs:", "  repeats: {seeds: [1], rungs: [step4]}\n  rungs:", "no rung 'step4'"),
    ("  rungs:", "  repeats: {seeds: [0], rungs: [words]}\n  rungs:", "the ladder's own"),
    ("  rungs:", "  repeats: {seeds: [1, 1], rungs: [words]}\n  rungs:", "there twice")])
def test_a_ladder_that_makes_no_sense_is_refused(root, old, new, message):
    assert old in LADDER
    (root / "params" / "tiny.yaml").write_text(TINY + LADDER.replace(old, new))
    with pytest.raises(InputError, match=message):
        study.load("tiny")


NETS = """
  nets:
    again: {about: again, expect: more, smoothing: 0.1, hole: 8, least: 0.8,
            schedule: {epochs: 2, lr: 0.01, images_per_epoch: 200}}
    half: {about: half, expect: less, of: again, distil: 0.75, schedule: {epochs: 1, lr: 0.01, images_per_epoch: 200},
           prune: {ratio: 0.5, filters_per_step: 60, score_images: 100,
                   between: {epochs: 1, lr: 0.01, images_per_epoch: 200}}}
  views"""


def test_a_net_is_pruned_and_taught_once_and_its_rungs_know_it(tiny, monkeypatch):
    file = tiny / "params" / "tiny.yaml"
    of_half = "step3: {net: half, control: again, "
    file.write_text(file.read_text().replace("\n  views", NETS).replace("step3: {", of_half))
    settings = study.load("tiny")
    assert command.main(["tiny", "step3"]) == 0
    again, half = (records.read(settings, f"net-{name}") for name in ("again", "half"))
    whole = vgg.channels(vgg.vgg16_bn(10, 0.0625))
    assert again["channels"] == whole and sum(half["channels"]) == sum(whole) - round(sum(whole) / 2)
    assert half["device_macs"]["5"] < again["device_macs"]["5"]
    assert {row["symbols"] for row in half["label"]} == {4, 5, 8, 16}
    told = rungs.summary(settings).of["half"]
    assert told["accuracy"] == 100 * half["metrics"]["accuracy"] and told["macs"][5] == half["device_macs"]["5"] / 1e6
    assert rungs.summary(settings).label("half", 5, 14.5) == pytest.approx(
        100 * next(row["accuracy"] for row in half["label"] if (row["symbols"], row["snr_db"]) == (5, 14.5)))
    rung = records.read(settings, "step3")
    assert rung["parameters"]["net"]["of"]["smoothing"] == 0.1
    assert half["device_macs"]["5"] < rung["metrics"]["device_macs"] < again["device_macs"]["5"]
    # That of `again`, which half comes from, and not of the network before it.
    assert rung["metrics"]["reference"]["accuracy"] == pytest.approx(again["metrics"]["accuracy"], abs=0.005)
    assert rung["metrics"]["control"] == rung["metrics"]["reference"]
    assert rung["parameters"]["control"]["smoothing"] == 0.1
    assert rung["net"] == half["weights"] | {f"{role}/{file}": of for file, of in again["weights"].items()
                                             for role in ("control", "reference")}
    assert half["net"] == {f"of/{file}": of for file, of in again["weights"].items()}
    assert not list(records.folder(settings).rglob("*.checkpoint"))

    file_of_weights = next(nets._folder(settings, "half").glob("model*"))
    kept = file_of_weights.read_bytes()
    file_of_weights.write_bytes(kept[:-4] + b"oops")
    with pytest.raises(InputError, match="does not hold the weights of half"):
        command.Climb(settings).on("half")
    file_of_weights.unlink()  # as in a fresh clone
    before = {path: path.read_bytes() for path in records.folder(settings).glob("*.json")}
    step3 = records.folder(settings) / "step3.json"
    step3.unlink()
    with pytest.raises(InputError, match="weights of half are not here.* tiny half trains it again, in about"):
        command.main(["tiny", "step3"])
    step3.write_bytes(before[step3])
    assert {path: path.read_bytes() for path in records.folder(settings).glob("*.json")} == before
    assert command.main(["tiny", "half"]) == 0 and file_of_weights.read_bytes() == kept
    assert records.missing(settings, ["half", "step3"]) == []  # it came out as before

    trained = []
    monkeypatch.setattr(nets.nets, "train", lambda *arguments: trained.append(arguments[0].about))
    assert command.main(["tiny", "again", "half", "step3"]) == 0 and trained == []
    file.write_text(file.read_text().replace("smoothing: 0.1", "smoothing: 0.2"))
    changed = study.load("tiny")
    assert all(records.read(changed, name) is None for name in ("net-again", "net-half", "step3"))
    assert records.read(changed, "words") is None and records.read(changed, "clean")  # those of the pretrained stay


def test_the_operations_that_a_filter_costs_are_its_own_and_those_of_its_reader():
    network = vgg.vgg16_bn(10, 0.125)
    saved = recipe_nets.operations_saved(network, 2, (3, 32, 32))
    assert saved == {"features.0": 32 * 32 * 9 * (3 + 8), "features.3": 32 * 32 * 9 * 8 + 16 * 16 * 9 * 16,
                     "features.7": 16 * 16 * 9 * (8 + 16), "features.10": 16 * 16 * 9 * 16}  # read by the edge


def test_scores_for_each_operation_leave_a_device_with_fewer(tiny):
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("\n  views", NETS.replace("of: again, distil: 0.75", "distil: 0.75")))
    assert command.main(["tiny", "half"]) == 0
    plain = records.read(study.load("tiny"), "net-half")
    file.write_text(file.read_text().replace("{ratio: 0.5,", "{ratio: 0.5, per_operation: 0.5,"))
    assert records.read(study.load("tiny"), "net-half") is None  # another net
    assert command.main(["tiny", "half"]) == 0
    saving = records.read(study.load("tiny"), "net-half")
    assert sum(saving["channels"]) == sum(plain["channels"])
    assert saving["device_macs"]["5"] < plain["device_macs"]["5"]


def test_a_net_from_scratch_begins_at_the_seeds_random_weights(tiny, monkeypatch):
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("\n  views", NETS.replace("about: again,", "about: again, of: scratch,")))
    settings, began = study.load("tiny"), []
    original = nets.nets.train
    monkeypatch.setattr(nets.nets, "train",
                        lambda net, before, *rest: began.append(before.state_dict()) or original(net, before, *rest))
    assert command.main(["tiny", "again"]) == 0
    torch.manual_seed(0)
    fresh = vgg.vgg16_bn(10, 0.0625).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in began[0].items())
    stored = records.read(settings, "net-again")
    assert stored["parameters"]["net"]["of"] == "scratch"
    shutil.rmtree(nets._folder(settings, "again"))  # as in a clone, which has no weights
    assert command.main(["tiny", "again", "half"]) == 0
    assert records.read(settings, "net-again")["weights"] == stored["weights"]


def test_a_net_learns_from_the_teacher_it_names_and_is_compared_with_what_was_not_pruned(tiny, monkeypatch):
    file, taught = tiny / "params" / "tiny.yaml", []
    longer = """    longer: {about: longer, expect: more, of: half, teacher: again, distil: 0.75,
             schedule: {epochs: 1, lr: 0.01, images_per_epoch: 200}}
  views"""
    file.write_text(file.read_text().replace("\n  views", NETS.replace("  views", longer)))
    settings, original = study.load("tiny"), nets.nets.train
    monkeypatch.setattr(nets.nets, "train", lambda net, before, teacher, *rest: taught.append(
        [sum(vgg.channels(before)), sum(vgg.channels(teacher))]) or original(net, before, teacher, *rest))
    assert command.main(["tiny", "longer"]) == 0
    whole = sum(vgg.channels(vgg.vgg16_bn(10, 0.0625)))
    left = whole - round(whole / 2)
    assert taught == [[whole, whole], [whole, whole], [left, whole]]  # again, half, longer
    climb = command.Climb(settings)
    teacher = nets.teacher(settings, climb.stage, "longer", climb.pretrained)
    assert sum(vgg.channels(teacher)) == whole
    assert records.read(settings, "net-longer")["parameters"]["net"]["teacher"]["smoothing"] == 0.1
    unpruned = [settings.ladder.unpruned(net) for net in (None, "again", "half", "longer")]
    assert unpruned == [None, "again", "again", "again"]
    file.write_text(file.read_text().replace("smoothing: 0.1", "smoothing: 0.2"))
    assert records.read(study.load("tiny"), "net-longer") is None


def test_a_net_that_is_broken_off_ends_with_the_same_weights(tiny, monkeypatch):
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("\n  views", NETS))
    settings = study.load("tiny")
    assert command.main(["tiny", "half"]) == 0
    unbroken = weights.load(nets._folder(settings, "half"))
    shutil.rmtree(records.folder(settings))

    class BrokenOff(Exception):
        pass

    original, trainings = training.fit, []

    def fit(*arguments, **options):
        found = original(*arguments, **options)
        trainings.append(1)
        if len(trainings) == 3:  # again, and two of the trainings of half
            raise BrokenOff
        return found

    monkeypatch.setattr(training, "fit", fit)
    with pytest.raises(BrokenOff):
        command.main(["tiny", "half"])
    assert command.main(["tiny", "half"]) == 0
    resumed = weights.load(nets._folder(settings, "half"))
    assert all(torch.equal(value, resumed[name]) for name, value in unbroken.items())


WHOLE = """loss: task, start: perceptron, train_edge: true,
            whole: {distil: 0.5, least: 0.8, schedule: {epochs: 2, lr: 0.01, link_lr: 0.05, images_per_epoch: 200}}"""


@pytest.fixture
def with_whole(tiny):
    """The study with a net that is there, and on it a rung of which all is trained together."""
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("\n  views", NETS)
                    .replace("loss: task, start: words", "net: half, " + WHOLE))
    assert command.main(["tiny", "half"]) == 0
    return study.load("tiny")


def test_the_whole_is_trained_from_what_was_found_on_features(with_whole, monkeypatch):
    climb, seen, original = command.Climb(with_whole).on("half"), [], recipe_nets.fit

    def fit(spec, student, teacher, *rest, **options):
        seen.extend([copy.deepcopy(student.state_dict()), student, teacher])
        return original(spec, student, teacher, *rest, **options)

    monkeypatch.setattr(recipe_nets, "fit", fit)
    device = copy.deepcopy(climb.device.state_dict())
    climb.rung("words")
    begun, student, teacher = seen
    assert all(torch.equal(value, begun[f"device_half.{name}"]) for name, value in device.items())
    assert all(torch.equal(value, climb.device.state_dict()[name]) for name, value in device.items())  # other rungs'
    changed = [name for name, value in student.state_dict().items() if not torch.equal(value, begun[name])]
    assert all(any(name.startswith(part) for name in changed)
               for part in ("device_half.0.", "on_features.link.encoder.", "on_features.edge."))
    again = weights.load(nets._folder(with_whole, "again"))
    assert all(torch.equal(value, again[name]) for name, value in teacher.state_dict().items())

    stored = records.read(with_whole, "words")
    assert len(stored["history"]["loss"]) == 2
    assert stored["metrics"]["device_macs"] == climb.device_macs + climb.test_features.shape[1] * 256 + 256 * 6
    images = climb.stage.data.normalise(climb.stage.data.test_images)
    with torch.no_grad():
        features = student.device_half(images).bfloat16()
    points = recipe_training.accuracy(student.on_features, features, climb.stage.data.test_labels, [0.0],
                                      with_whole.evaluation.draws, climb.ladder.batch_size)
    assert stored["over_snr"]["0.0"] == pytest.approx(points.accuracy.mean(), abs=0.005)


def test_a_whole_that_is_broken_off_ends_with_the_same_numbers(with_whole, monkeypatch):
    assert command.main(["tiny", "words"]) == 0
    unbroken = records.read(with_whole, "words")
    (records.folder(with_whole) / "words.json").unlink()

    class BrokenOff(Exception):
        pass

    def save(path, *rest):
        original(path, *rest)
        if path is not None:
            raise BrokenOff

    original = training.checkpoints.save
    with monkeypatch.context() as broken:
        broken.setattr(training.checkpoints, "save", save)
        with pytest.raises(BrokenOff):
            command.main(["tiny", "words"])
    assert [file.name for file in records.folder(with_whole).rglob("*.checkpoint")] == ["words.checkpoint"]
    assert command.main(["tiny", "words"]) == 0
    resumed = records.read(with_whole, "words")
    assert resumed["over_snr"] == unbroken["over_snr"] and resumed["history"]["loss"] == unbroken["history"]["loss"]
    assert not list(records.folder(with_whole).rglob("*.checkpoint"))


ONE_MODEL = """
  one_model: {about: one, expect: equal, net: NET, views: [plain], bandwidths: [2, 4], snr_range: [0.0, 10.0],
              snrs_db: [0.0, 10.0], fixed_db: 10.0, schedule: {epochs: 1, lr: 0.001, images_per_epoch: 200}}
  views"""


def test_one_model_is_compared_with_one_for_each_point(tiny):
    file = tiny / "params" / "tiny.yaml"
    whole = file.read_text()
    file.write_text(whole.replace("\n  views", ONE_MODEL.replace("NET", "null")))
    settings = study.load("tiny")
    assert one_model.compared(settings).empty
    assert command.main(["tiny", "one_model"]) == 0
    rows = records.read(settings, "one_model")["points"]
    # One tried at four points; four at their own, of which the two of 10 dB at 0 dB too.
    assert len(rows) == 4 + 4 + 2
    table = one_model.compared(settings)
    assert len(table) == 4 and not table.isna().any().any()
    at_fixed = table[table.snr_db == 10.0]
    assert at_fixed.own.tolist() == at_fixed.fixed.tolist()


def test_one_model_that_is_broken_off_goes_on_with_the_model_it_was_at(tiny, monkeypatch):
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("\n  views", ONE_MODEL.replace("NET", "null")))
    settings, original, trained = study.load("tiny"), one_model.train, []
    assert command.main(["tiny", "one_model"]) == 0
    whole = records.read(settings, "one_model")["points"]
    (records.folder(settings) / "one_model.json").unlink()

    def train(climb, features, targets, spec, bandwidths, snr_range):
        trained.append((*bandwidths, *snr_range))
        if len(trained) == 3:
            raise KeyboardInterrupt
        return original(climb, features, targets, spec, bandwidths, snr_range)

    monkeypatch.setattr(one_model, "train", train)
    with pytest.raises(KeyboardInterrupt):
        command.main(["tiny", "one_model"])
    assert records.read(settings, "one_model") is None
    assert command.main(["tiny", "one_model"]) == 0 and records.read(settings, "one_model")["points"] == whole
    assert trained == [(2, 4, 0, 10), (2, 0, 0), *[(2, 10, 10)] * 2, (4, 0, 0), (4, 10, 10)]
    assert not list(records.folder(settings).glob("*.checkpoint"))

    (records.folder(settings) / "one_model.json").unlink()  # what another recipe began is not taken
    trained.clear()
    with pytest.raises(KeyboardInterrupt):
        command.main(["tiny", "one_model"])
    file.write_text(file.read_text().replace("lr: 0.001", "lr: 0.002"))
    assert command.main(["tiny", "one_model"]) == 0 and len(trained) == 3 + 5


def test_a_variant_is_the_one_model_alone_and_another_column(tiny):
    file = tiny / "params" / "tiny.yaml"
    text = file.read_text().replace("\n  views", ONE_MODEL.replace("NET", "null"))
    variants = """images_per_epoch: 200},
              variants: {same: {about: same, expect: none, hidden: 256}, wide: {about: wide, expect: more, hidden: 300},
                         longer: {about: longer, expect: more, schedule: {epochs: 2, lr: 0.001}}}}
  views"""
    file.write_text(text)
    settings = study.load("tiny")
    assert command.main(["tiny", "one_model"]) == 0
    before = records.read(settings, "one_model")
    file.write_text(text.replace("images_per_epoch: 200}}\n  views", variants))
    settings = study.load("tiny")
    assert records.read(settings, "one_model") == before  # variants are no part of what it rests on
    assert command.main(["tiny", "same", "wide", "longer"]) == 0
    assert [row["model"] for row in records.read(settings, "wide")["points"]] == ["one"] * 4
    table = one_model.compared(settings)
    assert [*table][2:] == ["one", "own", "fixed", "same", "wide", "longer"] and not table.isna().any().any()
    assert table.same.tolist() == table.one.tolist()
    assert table.wide.tolist() != table.one.tolist() != table.longer.tolist()
    assert records.misfits(settings) == ([], [])


@pytest.mark.parametrize("name, message", [("words", "'words' is taken"), ("clean", "'clean' is taken")])
def test_a_variant_has_a_name_of_its_own(root, name, message):
    text = ONE_MODEL.replace("NET", "null").replace("images_per_epoch: 200}}", "images_per_epoch: 200}, variants: {"
                                                    + name + ": {about: '', expect: '', hidden: 8}}}")
    (root / "params" / "tiny.yaml").write_text(TINY + LADDER.replace("\n  views", text))
    with pytest.raises(InputError, match=message):
        study.load("tiny")


@pytest.mark.parametrize("old, new, message", [
    ("NET", "other", "no net 'other'"), ("fixed_db: 10.0", "fixed_db: 5.0", "must be one of snrs_db"),
    ("[0.0, 10.0],\n", "[10.0, 0.0],\n", "the least SNR"), ("[2, 4]", "[4, 4]", "twice"),
    ("[2, 4]", "[1, 4]", "bandwidths"), ("views: [plain]", "views: [soft]", "no view 'soft'")])
def test_one_model_that_makes_no_sense_is_refused(root, old, new, message):
    assert old in ONE_MODEL
    text = ONE_MODEL.replace(old, new).replace("NET", "null")
    (root / "params" / "tiny.yaml").write_text(TINY + LADDER.replace("\n  views", text))
    with pytest.raises(InputError, match=message):
        study.load("tiny")


@pytest.mark.parametrize("old, new, message", [
    ("of: again", "of: none", "no net 'none' before it"), ("    half:", "    words:", "a rung has this name"),
    ("ratio: 0.5", "ratio: 1.0", "ratio"), ("of: again", "of: scratch", "no teacher"),
    ("{epochs: 2, lr: 0.01,", "{epochs: 2, lr: 0.01, link_lr: 0.1,", "no link"),
    ("between: {epochs: 1,", "between: {epochs: 1, link_lr: 0.1,", "no link"),
    ("again:", "scratch:", "taken"), ("of: again", "of: again, teacher: half", "no net 'half' before it"),
    ("smoothing: 0.1", "teacher: again", "teaches nothing")])
def test_nets_that_make_no_sense_are_refused(root, old, new, message):
    assert old in NETS
    (root / "params" / "tiny.yaml").write_text(TINY + LADDER.replace("\n  views", NETS.replace(old, new)))
    with pytest.raises(InputError, match=message):
        study.load("tiny")


def test_after_pooling_4_the_last_block_is_trained_too(tiny):
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("start: words", "start: perceptron, pool: 4, train_edge: true"))
    assert command.main(["tiny", "words"]) == 0
    climb = command.Climb(study.load("tiny")).on(None, 4)
    assert climb.test_features.shape[1:] == (32, 2, 2)
    encoder = 32 * 4 * 256 + 256 * 6
    assert records.read(study.load("tiny"), "words")["metrics"]["device_macs"] == climb.device_macs + encoder


def test_after_an_early_pooling_a_codec_learns_features_and_then_all_are_trained_on_images(tiny, monkeypatch):
    file, trained, engines = tiny / "params" / "tiny.yaml", [], []
    file.write_text(file.read_text().replace(
        "loss: task, start: words, snr_db: 0.0, bandwidth: 6", """pool: 2, bandwidth: 64,
      whole: {schedule: {epochs: 1, lr: 0.01, link_lr: 0.1, images_per_epoch: 200}}"""))
    fit, accuracy = command.recipe.fit, recipe_training.accuracy

    def watched(spec, student, *rest, **options):
        before = {name: value.clone() for name, value in student.state_dict().items()}
        curve = fit(spec, student, *rest, **options)
        trained.extend(name for name, value in student.named_parameters() if not torch.equal(value, before[name]))
        return curve

    monkeypatch.setattr(command.recipe, "fit", watched)
    monkeypatch.setattr(recipe_training, "accuracy", lambda *rest: engines.append(rest[-1]) or accuracy(*rest))
    assert command.main(["tiny", "words"]) == 0
    climb = command.Climb(study.load("tiny")).on(None, 2)
    for part in ("device_half.", "on_features.link.", "on_features.edge."):
        assert any(name.startswith(part) for name in trained)
    assert engines == [climb.engine]
    stored = records.read(study.load("tiny"), "words")
    assert len(stored["history"]["epoch"]) == 1 and stored["metrics"]["device_macs"] > climb.device_macs


def test_a_record_that_is_altered_or_missing_is_named(tiny):
    settings = study.load("tiny")
    records.store(settings, "step3", {"metrics": {"accuracy": 0.25}, "over_snr": {10.0: 0.25}})
    records.store(settings, "words", {"metrics": {"accuracy": 0.5}})
    assert manifest.altered(settings, []) == []
    step3, words = (records.folder(settings) / f"{name}.json" for name in ("step3", "words"))
    step3.write_text(json.dumps(json.loads(step3.read_text())))  # another layout is the same record
    assert manifest.altered(settings, []) == []
    step3.write_text(step3.read_text().replace("0.25", "0.26"))
    words.rename(words.with_name("other.json"))
    assert manifest.altered(settings, []) == [
        "ladder/other.json: not listed", "ladder/step3.json: not what was stored",
        "ladder/words.json: listed, and not there"]
    step3.write_text("{")
    assert "ladder/step3.json: not what was stored" in manifest.altered(settings, [])


def test_verify_names_the_records_of_a_ladder_that_are_stale_or_of_no_rung(tiny, capsys):
    settings = study.load("tiny")
    records.store(settings, "step3", {"metrics": {"accuracy": 0.25}})
    records.store(settings, "clean", {"metrics": {"accuracy": 0.5}})
    assert records.misfits(settings) == ([], [])
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("lr: 0.1,", "lr: 0.2,"))
    step3 = records.folder(settings) / "step3.json"
    step3.with_name("step4.json").write_text(step3.read_text())
    assert cli.main(["verify", "tiny"]) == 1
    said = capsys.readouterr().out
    assert "  stale: ladder/step3\n" in said and "  not in the study: ladder/step4\n" in said
    assert "clean" not in said and "3 records of a ladder" in said

    step3.write_text("{")  # damaged: altered, and no traceback
    assert cli.main(["verify", "tiny"]) == 1
    said = capsys.readouterr().out
    assert "altered: ladder/step3.json: not what was stored" in said and "stale: ladder" not in said
    file.write_text(file.read_text().partition("ladder:")[0])
    assert records.misfits(study.load("tiny")) == ([], ["ladder/clean", "ladder/step3", "ladder/step4"])


def test_what_rests_on_weights_that_were_trained_anew_is_stale(tiny):
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("\n  views", NETS).replace("step3: {", "step3: {net: half, "))
    settings = study.load("tiny")
    records.store(settings, "net-again", {"weights": {"model": "a"}})
    records.store(settings, "net-half", {"weights": {"model": "b"}})
    for name in ("step3", "words"):
        records.store(settings, name, {"metrics": {"accuracy": 0.25}})
    assert records.read(settings, "step3")["net"] == {"model": "b", "reference/model": "a"}
    assert records.read(settings, "net-half")["net"] == {"of/model": "a"}
    assert set(records.read(settings, "words")["net"]) == {"model.safetensors", "reference/model.safetensors"}
    records.store(settings, "net-half", {"weights": {"model": "c"}})
    assert records.read(settings, "step3") is None and records.misfits(settings) == (["ladder/step3"], [])
    assert records.missing(settings, ["step3", "words"]) == ["step3"]
    records.store(settings, "net-again", {"weights": {"model": "d"}})
    assert records.misfits(settings) == (["ladder/net-half", "ladder/step3"], [])
    result = places.folder_of(settings, "pretrain/s0") / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "weights": {"model": "e"}}))
    assert "ladder/words" in records.misfits(settings)[0]


@pytest.mark.parametrize("old, new", [("draws: 2", "draws: 3"), ("snr_db: [0.0, 14.5]", "snr_db: [0.0, 20.0]"),
                                      ("  bandwidth: 4", "  seed: 1\n  bandwidth: 4")])
def test_another_evaluation_or_seed_makes_a_rung_stale(tiny, old, new):
    file, settings = tiny / "params" / "tiny.yaml", study.load("tiny")
    records.store(settings, "step3", {"metrics": {"accuracy": 0.25}})
    file.write_text(file.read_text().replace(old, new))
    assert study.load("tiny") != settings and records.misfits(study.load("tiny")) == (["ladder/step3"], [])


def test_another_seed_makes_a_net_another(tiny):
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text().replace("\n  views", NETS))
    settings = study.load("tiny")
    records.store(settings, "net-again", {"weights": {"model": "a"}})
    file.write_text(file.read_text().replace("  bandwidth: 4", "  seed: 1\n  bandwidth: 4"))
    assert records.missing(study.load("tiny"), ["again"]) == ["again"]
    assert nets.key(study.load("tiny"), "again") != nets.key(settings, "again")


# By hand

LESSON = """
  rungs:
""" + "".join(f"""
    {name}: {{about: {name}, expect: 10 %, views: [plain], {options},
              schedule: {{epochs: 1, lr: 0.01, images_per_epoch: 100}}}}
""" for name, options in {
    "step3": "loss: features", "adam": "loss: task", "perceptron": "loss: task, start: perceptron",
    "logits": "loss: task, start: logits", "label": "loss: wrong, start: words", "words": "loss: wrong, start: words",
    "words_0db": "loss: wrong, start: words, snr_db: 0.0",
    "any_snr": "loss: wrong, start: words, snr_range: [0.0, 10.0]"}.items())


def test_at_another_point_a_ladder_lies_where_nothing_is_shipped(tiny):
    settings = study.load("tiny")
    assert by_hand.at(settings, 4, 10) is settings
    moved = by_hand.at(settings, 5, 0.0)
    assert records.folder(moved) == tiny / "outputs" / "interactive" / "tiny" / "ladder"
    assert (moved.ladder.bandwidth, moved.ladder.snr_db) == (5, 0) and moved.ladder.rungs == settings.ladder.rungs
    assert places.find(moved, "pretrain/s0") == places.find(settings, "pretrain/s0")
    with pytest.raises(InputError, match="at least 2 symbols, not 1"):
        by_hand.at(settings, 1, 10.0)


def test_by_hand_only_the_rungs_of_a_small_study_are_computed(tiny, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(by_hand, "climb", lambda settings, names: asked.append((settings.name, names)))
    records.store(study.load("tiny"), "step3", {})
    by_hand.provide(study.load("tiny"))
    assert asked == [("tiny", ["step3", "words"])]
    by_hand.provide(study.load("channels"))
    said = capsys.readouterr().out
    assert len(asked) == 1 and said.startswith("Not computed yet: recipe, ")
    assert "python -m lib.ladder channels NAME" in said


def test_the_lesson_climbs_a_small_ladder_at_another_point(tiny, monkeypatch):
    file = tiny / "params" / "tiny.yaml"
    file.write_text(TINY + LADDER.partition("  rungs")[0] + LESSON)
    book = json.loads((NOTEBOOKS / "43_best.ipynb").read_text())
    monkeypatch.chdir(NOTEBOOKS)
    monkeypatch.setattr(sys, "path", list(sys.path))
    plt.switch_backend("Agg")
    plt.close("all")  # what tests before this one drew
    namespace = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), namespace)
            if "parameters" in cell["metadata"].get("tags", []):
                namespace.update(study="tiny", bandwidth=6)
    folder = tiny / "outputs" / "interactive" / "tiny" / "ladder"
    assert {file.stem for file in folder.glob("*.json")} == {*namespace["settings"].ladder.rungs, "clean"}
    assert not (tiny / "outputs" / "tiny" / "ladder").exists()
    # All but the one of another SNR have a bar, as high as their record says.
    [axis] = [axis for axis in plt.figure(plt.get_fignums()[0]).axes if axis.patches]
    expected = [100 * json.loads((folder / f"{name}.json").read_text())["metrics"]["accuracy"]
                for name in namespace["settings"].ladder.rungs if name != "words_0db"]
    assert [bar.get_width() for bar in axis.patches] == expected
    plt.close("all")


def test_quicks_ladder_is_shipped_whole():
    settings = study.load("quick")
    names = [*settings.ladder.rungs, *(records.NET + name for name in settings.ladder.nets), "one_model", "clean"]
    assert [name for name in names if records.read(settings, name) is None] == []
    of = rungs.summary(settings).of
    assert of["step3"]["accuracy"] + 10 < of["adam"]["accuracy"] < of["half"]["accuracy"] + 5
    assert abs(of["label"]["accuracy"] - rungs.summary(settings).clean) < 1
