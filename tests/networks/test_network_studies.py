"""Another network, or other images, in a study's file: what fits is listed, what does not is refused in a sentence."""

import pytest

from helpers import quick_with, refusal
from lib import study
from lib.batch import checks

EXAMPLES = ("resnet18", "mobilenet_v2")


def another(tmp_path, **changes):
    """Quick's study of another network, without the other schemes that it cannot have."""
    return quick_with(tmp_path, **{"network": {"name": "resnet18", "width": 0.25}, "baselines": None,
                                   "figure3__ladders": [], **changes})


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_studies(name):
    settings = study.load(study.ROOT / "params" / "examples" / f"{name}.yaml")
    assert settings.network.name == name and len(study.runs(settings)) > 5


def test_the_network_is_among_a_runs_parameters_and_not_in_its_name(tmp_path):
    settings = study.load(another(tmp_path))
    run = next(run for run in study.runs(settings) if run.step == "end_to_end")
    assert study.resolved(settings, run)["network"]["name"] == "resnet18"
    assert "resnet" not in run.name
    quick = study.load("quick")
    run = study.runs(quick)[0]
    assert "name" not in study.resolved(quick, run, defaults=False)["network"]  # what is shipped is of VGG16


@pytest.mark.parametrize(("changes", "words"), [
    ({"figure5__pool": 5}, ["after stage 1 to 4, not 5"]),
    ({"figure5__bandwidths": [72]}, ["After stage 2", "multiple of 64", "not 72"]),
    ({"network__name": "alexnet"}, ["network.name", "alexnet"]),
    ({"network__bias": False}, ["bias", "resnet18"]),
    ({"figure5__ratio": 0.999}, ["ratio of 0.999", "stage 2"])])
def test_what_does_not_fit_is_refused(tmp_path, changes, words):
    message = refusal(another(tmp_path, **changes))
    assert all(word in message for word in words), message


def test_schemes_made_for_the_paper_network_are_refused_and_those_that_ask_for_little_are_not(tmp_path):
    label = {"scheme": "label", "pool": 4, "ratio": 0.0, "bandwidth": 8}
    separation = {"scheme": "separation", "pool": 2, "ratio": 0.5, "bandwidth": 512}
    baselines = {**study.load("quick").baselines.model_dump(), "runs": [{"scheme": "png"}, label, separation]}
    settings = study.load(another(tmp_path, baselines=baselines))
    listed = [run for run in study.runs(settings) if run.step == "baselines"]
    assert [run.parameters["scheme"] for run in listed] == ["png", "label", "separation"]
    assert listed[2].upstream == ["prune/pool2-r0.50-s0"]
    for network in ("resnet18", "mobilenet_v2"):
        baselines["runs"] = [{"scheme": "jalad", "pool": 4, "level": 4}]
        message = refusal(another(tmp_path, network={"name": network}, baselines=baselines))
        assert "'jalad' is for vgg16_bn" in message and "png, jpeg, webp, label" in message
        assert ("separation are left" in message) == (network == "resnet18")
    baselines["runs"] = [separation]
    message = refusal(another(tmp_path, network={"name": "mobilenet_v2"}, baselines=baselines))
    assert "'separation' quantises features that are not negative" in message
    baselines["runs"] = [{**label, "pool": 3}]
    assert "behind the whole network, stage 4, not 3" in refusal(another(tmp_path, baselines=baselines))


def test_a_batch_of_one_image_at_a_map_of_one_pixel_is_refused(tmp_path):
    message = refusal(quick_with(tmp_path, autoencoder={"epochs": 1, "lr": 0.1, "batch_size": 64,
                                                        "images_per_epoch": 65}))
    assert "autoencoder: 65 images" in message and "the link" in message


def test_cifar10_is_known_by_its_counts(tmp_path):
    settings = study.load(quick_with(tmp_path, data={"name": "cifar10"}))
    assert (settings.classes, checks.train_images(settings)) == (10, 50_000)
