"""What is refused of a study's parameters, in one sentence that names the culprit, and what is accepted."""


import pytest
import torch

from helpers import quick_with, refusal
from lib import InputError, study
from lib.batch import checks
from lib.schemes import bottlenet, deepjscc

# What is refused, in one sentence that names the culprit

BAD = {
    "unknown name at the top": ({"epochs": 3}, "epochs"),
    "unknown name inside": ({"network__depth": 2}, "network.depth"),
    "unknown name two levels down": ({"prune__training__shuffle": 2}, "prune.training.shuffle"),
    "1e-3 is text": ({"autoencoder__lr": "1e-3"}, "autoencoder.lr", "1.0e-3"),
    "ratio over 1": ({"figure5__ratio": 1.2}, "1.2"),
    "ratio of 1": ({"figure5__ratio": 1.0}, "1.0"),
    "negative ratio": ({"figure4__ratios": [0.0, -0.1]}, "-0.1"),
    "ratio that is not a number": ({"figure5__ratio": float("nan")}, "nan"),
    "ratio forbidden by the floor": ({"figure4__ratios": [0.0, 0.99]}, "0.99", "fewer than 2"),
    "impossible bandwidth": ({"figure5__bandwidths": [256, 100]}, "100", "multiple of 16"),
    "impossible bandwidth in a panel": ({"figure4__panels__a__bandwidth": 2047}, "2047", "multiple of 16"),
    "bandwidth of zero": ({"figure5__bandwidths": [0]}, "figure5.bandwidths", "(given: 0)"),
    "bandwidth beyond any map": ({"figure5__bandwidths": [16 * 10**29]}, "figure5.bandwidths", "65536"),
    "no end of noise": ({"figure4__fixed_snr_db": -400.0}, "figure4.fixed_snr_db", "-60", "-400.0"),
    "no noise to speak of": ({"ablations__snr_db": 4000.0}, "ablations.0.snr_db", "4000.0"),
    "evaluation at no signal": ({"evaluation__snr_db": [0.0, -1e9]}, "evaluation.snr_db.1", "-60"),
    "nesterov without momentum": ({"pretrain__momentum": 0.0}, "pretrain", "nesterov", "momentum"),
    "nesterov of adam": ({"end_to_end__optimizer": "adam"}, "end_to_end", "nesterov", "sgd"),
    "milestones of another decay": ({"pretrain__milestones": [2]}, "pretrain", "'step'", "'one_cycle'"),
    "all of the epochs to warm up": ({"autoencoder__warm_up": 3.0}, "autoencoder", "warm_up", "3 epochs"),
    "negative tolerance": ({"figure3__tolerance": -0.01}, "figure3.tolerance", "-0.01"),
    "a million threads": ({"threads__pretrain": 10**6}, "threads.pretrain", "256"),
    "more digits than a name has": ({"figure5__matched_snr_db": [0.1234561, 0.1234562]}, "name", "snr0.123456"),
    "one image in the last batch": (
        {"baselines__frozen__images_per_epoch": 1921,
         "baselines__runs": [{"scheme": "bottlenet", "pool": 5, "level": 4}]},
        "baselines.frozen", "1921", "batches of 64", "bottlenet"),
    "step 1 of the study itself": ({"pretrain_from": "changed"}, "'changed'"),
    "step 1 of something outside": ({"pretrain_from": "../../x"}, "pretrain_from"),
    "a folder that no system has": ({"data__root": "a\0b"}, "data.root"),
    "bandwidth that is not whole": ({"figure5__bandwidths": [256.0]}, "figure5.bandwidths", "256.0"),
    "bandwidth as text": ({"figure4__panels__b__bandwidth": "128"}, "figure4.panels.b.bandwidth", "128"),
    "pool 6": ({"figure5__pool": 6}, "figure5.pool", "6"),
    "pool as text": ({"figure4__panels__a__pool": "2"}, "figure4.panels.a.pool"),
    "a third panel": ({"figure4__panels__c": {"pool": 2, "bandwidth": 64}}, "panels.c"),
    "no noise draw": ({"evaluation__draws": 0}, "evaluation.draws"),
    "no SNR": ({"evaluation__snr_db": []}, "evaluation.snr_db"),
    "SNR that is not a number": ({"evaluation__snr_db": [float("nan")]}, "evaluation.snr_db", "nan"),
    "negative rate": ({"pretrain__lr": -0.1}, "pretrain.lr", "-0.1"),
    "unbounded rate": ({"pretrain__lr": float("inf")}, "pretrain.lr", "inf"),
    "no epoch": ({"autoencoder__epochs": 0}, "autoencoder", "autoencoder.epochs", "(given: 0)"),
    "no epoch of another scheme": ({"baselines__frozen__epochs": 0}, "baselines.frozen.epochs"),
    "negative seed": ({"seeds": [-1]}, "seeds.0", "-1"),
    "seed that no generator takes": ({"seeds": [2**31]}, "seeds.0", "2147483648"),
    "ratio that removes nothing": ({"figure4__ratios": [0.0, 0.0001]}, "0.0001", "as 0"),
    "two ratios that remove the same": ({"figure4__ratios": [0.5, 0.5001]}, "0.5001", "as 0.5"),
    "truth for a number": ({"pretrain__epochs": True}, "pretrain.epochs"),
    "unknown data": ({"data__name": "imagenet"}, "data.name", "imagenet"),
    "unknown variant": ({"ablations__variants": ["no_step4"]}, "no_step4"),
    "longer step without its schedule": ({"ablations__variants": ["longer_step4"]}, "ablations", "longer_step4"),
    "ablations that are none": ({"ablations": False}, "ablations", "False"),
    "ablations of one point twice": (
        {"ablations": [{"pool": 2, "ratio": 0.5, "bandwidth": 64, "snr_db": 0.0, "variants": [variant]}
                       for variant in ("no_gdn", "no_step3")]}, "twice", "'bandwidth': 64"),
    "JPEG quality over 95": ({"baselines__jpeg_quality": 96}, "baselines.jpeg_quality", "96"),
    "name with a slash": ({"name": "../paper"}, "name", "../paper"),
    "section left empty": ({"pretrain": None}, "pretrain"),
    "unknown scheme": ({"baselines__runs": [{"scheme": "bottlnet", "pool": 2, "level": 4}]}, "bottlnet"),
    "scheme without its level": ({"baselines__runs": [{"scheme": "jpeg"}]}, "level"),
    "scheme without its split": ({"baselines__runs": [{"scheme": "jalad", "level": 4}]}, "pool"),
    "scheme's impossible bandwidth": (
        {"baselines__runs": [{"scheme": "bottlenet_plus", "pool": 2, "bandwidth": 100}]}, "100"),
    **{f"{scheme} of {values}": ({"baselines__runs": [{"scheme": scheme, **values}]}, *culprits)
       for scheme, values, *culprits in [
           ("jpeg", {"level": 101}, "1 to 100", "101"), ("webp", {"level": 101}, "1 to 100"),
           ("jpeg", {"level": 0}, "level", "0"), ("jalad", {"pool": 2, "level": 9}, "1 to 8", "9"),
           ("two_step", {"pool": 2, "ratio": 0.5, "level": 9}, "1 to 8"),
           ("bottlenet", {"pool": 2, "level": 33}, "32 channels", "33"),
           ("bottlenet", {"pool": 2, "level": 0}, "level", "0"),
           ("bottlenet_plus", {"pool": 2, "bandwidth": 2048 + 16}, "16 up to 512", "64 up to 2048", "2064"),
           ("bottlenet_plus", {"pool": 5, "bandwidth": 129}, "1 up to 128", "129"),
           ("deepjscc", {"bandwidth": 100}, "64", "100"), ("deepjscc", {"bandwidth": -64}, "bandwidth", "-64"),
           ("separation", {"pool": 2, "ratio": 0.5, "bandwidth": 0}, "bandwidth", "0"),
           ("label", {"pool": 4, "ratio": 0.0, "bandwidth": 8}, "pooling 5", "not 4"),
           ("label", {"pool": 5, "ratio": 0.0, "bandwidth": 1}, "2 symbols", "not 1"),
           ("label", {"pool": 5, "bandwidth": 8}, "'label'", "ratio"),
           ("png", {"bandwidth": 100}, "'png'", "no bandwidth"), ("png", {"ratio": 0.5}, "no ratio"),
           ("bottlenet", {"pool": 2, "level": 4, "ratio": 0.5, "bandwidth": 64}, "no ratio and no bandwidth")]},
    "pool that is not whole": ({"figure5__pool": 2.0}, "figure5.pool", "2.0"),
    "truth for a pool": ({"figure5__pool": True}, "figure5.pool"),
    "scheme's impossible ratio": (
        {"baselines__runs": [{"scheme": "two_step", "pool": 2, "ratio": 1.2, "level": 4}]}, "1.2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused_in_one_sentence(tmp_path, case):
    changes, *culprits = BAD[case]
    message = refusal(quick_with(tmp_path, **changes))
    assert "changed.yaml" in message and all(culprit in message for culprit in culprits), message


def test_the_ends_of_ranges_are_accepted(tmp_path):
    path = quick_with(tmp_path, evaluation__snr_db=[-60.0, 60.0], figure3__tolerance=0.0, autoencoder__warm_up=2.9,
                      baselines__frozen__images_per_epoch=1921)  # whose bottlenets are after pooling 2
    assert study.load(path).evaluation.snr_db == [-60.0, 60.0]


@pytest.mark.parametrize("scheme", [{"scheme": "bottlenet", "level": 4}, {"scheme": "bottlenet_plus", "bandwidth": 4}])
@pytest.mark.parametrize("pool", [3, 4, 5])
def test_a_last_batch_of_one_image_is_refused_where_it_cannot_be_trained_on(tmp_path, scheme, pool):
    """Against the schemes themselves: a single image through what step 3's phases train."""
    link = (bottlenet.BottleNet(pool, 16, 4) if scheme["scheme"] == "bottlenet"
            else bottlenet.bottlenet_plus(pool, 16, 4, 10.0))
    size = 32 // 2**pool
    path = quick_with(tmp_path, baselines__everything__images_per_epoch=129,
                      baselines__runs=[{**scheme, "pool": pool}])
    try:
        link.train()(torch.rand(1, 16, size, size))
    except ValueError as error:
        assert "more than 1 value per channel" in str(error)
        assert "one image" in refusal(path)
    else:
        assert accepted(study.load, path)


def test_minus_zero_is_zero(tmp_path):
    settings = study.load(quick_with(tmp_path, figure5__matched_snr_db=[0.0, -0.0], figure4__ratios=[-0.0, 0.5]))
    names = [item.name for item in study.runs(settings)]
    assert not any("-0" in name.split("snr")[-1].split("-s")[0] or "r-0" in name for name in names)
    assert len(names) == len(set(names))


def test_the_data_may_lie_below_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/of/somebody")
    assert study.load(quick_with(tmp_path, data__root="~/images")).data.root == "/home/of/somebody/images"


def accepted(build, *arguments, **options):
    try:
        build(*arguments, **options)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("pool, channels", enumerate((16, 32, 64, 128, 128), 1))
def test_the_bottlenets_that_are_accepted_are_those_that_can_be_built(pool, channels):
    settings = study.load("quick")

    def check(**parameters):
        checks.check_point(settings, {"pool": pool, **parameters})

    for level in (1, channels, channels + 1):
        assert accepted(check, scheme="bottlenet", level=level) == (
            accepted(bottlenet.BottleNet, pool, channels, level)), level
    for bandwidth in (1, 8, 16, 20, 64, 100, 128, 129, 512, 516, 528, 1024, 2048, 2064, 4096, 4160, 8192):
        assert accepted(check, scheme="bottlenet_plus", bandwidth=bandwidth) == (
            accepted(bottlenet.bottlenet_plus, pool, channels, bandwidth, 10.0)), bandwidth


@pytest.mark.parametrize("bandwidth", [1, 64, 100, 128])
def test_the_image_links_that_are_accepted_are_those_that_can_be_built(tmp_path, bandwidth):
    path = quick_with(tmp_path, baselines__runs=[{"scheme": "deepjscc", "bandwidth": bandwidth}])
    assert accepted(study.load, path) == accepted(deepjscc.image_link, bandwidth, 10.0)


@pytest.mark.parametrize("greatest", [
    {"scheme": "jpeg", "level": 100}, {"scheme": "webp", "level": 100}, {"scheme": "jalad", "pool": 2, "level": 8}])
def test_the_greatest_levels_are_accepted(tmp_path, greatest):
    study.load(quick_with(tmp_path, baselines__runs=[greatest]))


def test_a_highest_possible_ratio_is_accepted(tmp_path):
    total, least = 16 + 16 + 32 + 32, 4 * 2  # quarter width, 2 filters in each of 4 layers
    loaded = study.load(quick_with(tmp_path, figure5__ratio=1 - least / total))
    assert any(item.parameters.get("ratio") == 1 - least / total for item in study.runs(loaded))
    refusal(quick_with(tmp_path, figure5__ratio=1 - (least - 1) / total))


