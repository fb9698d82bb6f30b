"""The one training loop: what it feeds, which rates it uses, and that a broken run ends like an unbroken one."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from lib import checkpoint, codec, data, vgg
from lib.schedule import Schedule
from lib.training import fit

QUIET = {"seed": 3, "report": lambda line: None}


class Weight(nn.Module):
    """One weight w, given out for every input: with the loss `mean(output)` its gradient is 1 at every step."""

    def __init__(self, value=0.0):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([value]))

    def forward(self, x):
        return self.w.expand(len(x))


def rates(schedule, images=40):
    """The learning rate of every step, from how far a weight with gradient 1 moves (no momentum, no decay)."""
    model, seen = Weight(), []

    def loss(output, target):
        seen.append(model.w.item())
        return output.mean()

    fit(model, torch.zeros(images, 1), torch.zeros(images), loss, schedule, **QUIET)
    return -np.diff([*seen, model.w.item()])


def plain(**settings):
    return Schedule(**{"batch_size": 10, "momentum": 0.0, "weight_decay": 0.0, "lr": 0.1, **settings})


# Learning rates

def test_a_constant_rate_stays():
    np.testing.assert_allclose(rates(plain(epochs=3)), [0.1] * 12, rtol=1e-4)


def test_steps_cut_the_rate_after_their_epochs():
    found = rates(plain(epochs=5, decay="step", milestones=[2, 4]))
    np.testing.assert_allclose(found, [0.1] * 8 + [0.01] * 8 + [0.001] * 4, rtol=1e-3)


def test_steps_cut_by_gamma_also_with_a_short_last_batch():
    found = rates(plain(epochs=3, decay="step", milestones=[1], gamma=0.5), images=25)
    np.testing.assert_allclose(found, [0.1] * 3 + [0.05] * 6, rtol=1e-4)


def test_milestones_without_step_are_refused():
    with pytest.raises(ValueError, match="milestones are of the decay 'step'"):
        plain(epochs=2, milestones=[1])


@pytest.mark.parametrize("epochs", [1, 5])
def test_one_cycle_rises_to_its_peak_and_falls_to_nothing(epochs):
    steps = 4 * epochs
    found = rates(plain(epochs=epochs, decay="one_cycle"))
    # cosine from peak/25 up over the first 30 %, then down to peak/25e4, as Smith & Topin's cycle in torch
    top = 0.3 * (steps + 1) - 1
    def cosine(start, end, share):
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
    expected = [cosine(0.004, 0.1, k / top) if k <= top else cosine(0.1, 4e-7, (k - top) / (steps - top))
                for k in range(steps)]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)
    assert found.max() == pytest.approx(0.1, rel=0.1) and found[-1] < found.max()


def test_the_curve_tells_the_rate():
    curve = fit(Weight(), torch.zeros(40, 1), torch.zeros(40), lambda o, t: o.mean(),
                plain(epochs=4, decay="step", milestones=[1, 3]), **QUIET)
    assert curve.lr.tolist() == pytest.approx([0.01, 0.01, 0.001, 0.001])  # the one that the next epoch takes


def test_momentum_adds_up_past_gradients():
    expected = np.cumsum(0.9 ** np.arange(8)) * 0.1
    np.testing.assert_allclose(rates(plain(epochs=2, momentum=0.9)), expected, rtol=1e-4)


def test_nesterov_looks_ahead():
    velocity = np.cumsum(0.9 ** np.arange(8))
    found = rates(plain(epochs=2, momentum=0.9, nesterov=True))
    np.testing.assert_allclose(found, 0.1 * (1 + 0.9 * velocity), rtol=1e-4)


def test_adam_moves_by_its_rate_under_a_constant_gradient():
    np.testing.assert_allclose(rates(plain(epochs=2, optimizer="adam")), [0.1] * 8, rtol=1e-4)


def test_a_warm_up_rises_from_a_hundredth_and_then_the_usual_rate_holds():
    np.testing.assert_allclose(rates(plain(epochs=3, warm_up=1)), [0.001, 0.02575, 0.0505, 0.07525] + [0.1] * 8,
                               rtol=1e-4)


def test_milestones_count_from_the_first_epoch_with_a_warm_up_too():
    found = rates(plain(epochs=3, warm_up=1, decay="step", milestones=[2]))
    np.testing.assert_allclose(found[4:], [0.1] * 4 + [0.01] * 4, rtol=1e-4)


def test_the_link_can_have_a_rate_of_its_own():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.network, self.link = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)

        def forward(self, x):
            return self.network(x) + self.link(x)

    model = Pair()
    before = [model.network.weight.item(), model.link.weight.item()]
    fit(model, torch.ones(40, 1), None, lambda output, target: output.mean(), plain(epochs=1, link_lr=0.5), **QUIET)
    after = [model.network.weight.item(), model.link.weight.item()]
    moved = [old - new for old, new in zip(before, after, strict=True)]
    assert moved == pytest.approx([4 * 0.1, 4 * 0.5], rel=1e-4)


def test_a_gradients_norm_is_cut_over_all_parameters():
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    inputs = torch.tensor([[3.0, 4.0]]).repeat(10, 1)
    fit(model, inputs, None, lambda output, target: output.mean(), plain(epochs=1, clip_norm=1.0), **QUIET)
    torch.testing.assert_close(before - model.weight.detach(), 0.1 * torch.tensor([[0.6, 0.8]]))  # one batch, |g| = 5


@pytest.mark.parametrize("wrong", [{"lr": 0}, {"lr": "1e-3"}, {"epochs": -1}, {"batch_size": 1}, {"momentum": 1.0},
                                   {"decay": "cosine"}, {"optimizer": "rmsprop"}, {"warmup": 3},
                                   {"images_per_epoch": 0}])
def test_a_schedule_refuses_what_makes_no_sense(wrong):
    with pytest.raises(ValidationError):
        plain(**{"epochs": 1, **wrong})


# Weight decay

def decayed(module, **settings):
    """The share of its norm that each parameter keeps after four steps without any gradient but the decay's."""
    for parameter in module.parameters():
        parameter.data += 1.0
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    fit(module, torch.randn(8, 6, 4, 4), None, lambda output, target: 0 * output.sum(),
        plain(epochs=2, batch_size=4, weight_decay=0.5, **settings), **QUIET)
    return {name: (parameter.detach() / before[name]) for name, parameter in module.named_parameters()}


def test_weight_decay_reaches_everything_but_gdns_parameters():
    kept = decayed(codec.link(3, 6, 16, 20.0))
    spared = {name for name in kept if name.endswith(("beta_root", "gamma_root"))}
    assert len(spared) == 4
    for name, share in kept.items():
        expected = 1.0 if name in spared else (1 - 0.1 * 0.5) ** 4
        assert torch.allclose(share, torch.full_like(share, expected), rtol=1e-5), name


def test_weight_decay_spares_gdn_under_adam_too():
    for name, share in decayed(codec.link(3, 6, 16, 20.0), optimizer="adam").items():
        assert (share == 1).all() if "_root" in name else (share < 1).all(), name


def test_a_model_of_gdn_alone_trains():
    gdn = codec.GDN(6)
    fit(gdn, torch.randn(8, 6, 4, 4), None, F.l1_loss, plain(epochs=1, weight_decay=0.5), **QUIET)
    assert not torch.equal(gdn.beta_root, codec.GDN(6).beta_root)


def test_frozen_parameters_stay_even_under_decay():
    link = codec.link(3, 6, 16, 20.0)
    link.encoder.requires_grad_(False)
    kept = decayed(link)
    assert all((share == 1).all() for name, share in kept.items() if name.startswith("encoder"))
    assert any((share != 1).any() for name, share in kept.items() if name.startswith("decoder"))


# What is fed

class Watcher(Weight):
    """Keeps what it is given in training."""

    def __init__(self):
        super().__init__()
        self.batches, self.modes = [], []

    def forward(self, x):
        self.batches.append(x.detach().clone())
        self.modes.append(self.training)
        return super().forward(x)


def watch(inputs, targets=None, loss=lambda o, t: o.mean(), **settings):
    options = {key: settings.pop(key) for key in ("augmented", "prepare", "seed", "evaluate") if key in settings}
    model = Watcher()
    curve = fit(model, inputs, targets, loss, plain(**{"epochs": 1, **settings}), **{**QUIET, **options})
    return model, curve


def numbered(count):
    return torch.arange(count).view(-1, 1)


def test_an_epoch_shows_every_image_once_in_a_new_order():
    model, _ = watch(numbered(25), epochs=3)
    assert [len(batch) for batch in model.batches] == [10, 10, 5] * 3
    epochs = [torch.cat(model.batches[3 * e:3 * e + 3]).flatten().int().tolist() for e in range(3)]
    assert all(sorted(epoch) == list(range(25)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != list(range(25))


def test_images_per_epoch_takes_a_new_part_each_epoch():
    model, _ = watch(numbered(50), epochs=8, images_per_epoch=15)
    assert [len(batch) for batch in model.batches] == [10, 5] * 8
    epochs = [torch.cat(model.batches[2 * e:2 * e + 2]).flatten().int().tolist() for e in range(8)]
    assert all(len(set(epoch)) == 15 for epoch in epochs) and len({frozenset(epoch) for epoch in epochs}) == 8
    assert max(Counter(sum(epochs, [])).values()) < 8


def test_images_per_epoch_beyond_the_set_is_the_set():
    model, _ = watch(numbered(12), images_per_epoch=100)
    assert sorted(torch.cat(model.batches).flatten().int().tolist()) == list(range(12))


def test_images_per_epoch_sets_the_length_of_the_schedule():
    found = rates(plain(epochs=3, images_per_epoch=20, decay="step", milestones=[1]))
    np.testing.assert_allclose(found, [0.1] * 2 + [0.01] * 4, rtol=1e-3)


def test_each_input_comes_with_its_own_target():
    pairs = []
    model = Watcher()
    fit(model, numbered(25), 7 * torch.arange(25), lambda o, t: pairs.append((model.batches[-1], t)) or o.mean(),
        plain(epochs=2), **QUIET)
    assert pairs and all(torch.equal(7 * x.flatten().long(), target) for x, target in pairs)


def test_without_targets_the_prepared_inputs_are_the_targets():
    seen = []
    model, _ = watch(numbered(12), None, lambda o, t: seen.append(t) or o.mean(), prepare=lambda x: x.float() / 3)
    assert all(torch.equal(target, batch) for target, batch in zip(seen, model.batches, strict=True))
    assert torch.cat(seen).max().item() == pytest.approx(11 / 3)


def test_the_loss_of_an_epoch_is_the_mean_over_images_not_over_batches():
    values = torch.arange(25.0)
    _, curve = watch(numbered(25), values, lambda o, t: 0 * o.mean() + t.square().mean())
    assert curve.loss[0] == pytest.approx(values.square().mean().item())


def test_augmented_images_are_crops_and_flips_of_the_originals(pictures):
    images = pictures[0][:4]
    model, _ = watch(images, augmented=True, epochs=5)
    every = torch.tensor([(r, c, f) for r in range(9) for c in range(9) for f in (0, 1)])
    variants = {v.numpy().tobytes(): number for number, image in enumerate(images)
                for v in data.augment(image.expand(len(every), 3, 32, 32), every)}
    shown = [[variants[x.byte().numpy().tobytes()] for x in batch] for batch in model.batches]
    assert all(sorted(numbers) == [0, 1, 2, 3] for numbers in shown)
    originals = {image.numpy().tobytes() for image in images}
    changed = [x.byte().numpy().tobytes() not in originals for batch in model.batches for x in batch]
    assert sum(changed) >= 15


def test_images_are_not_augmented_unless_asked(pictures):
    images = pictures[0][:4]
    model, _ = watch(images)
    assert {x.byte().numpy().tobytes() for x in model.batches[0]} == {image.numpy().tobytes() for image in images}


def test_steps_are_in_training_mode_and_the_end_is_in_evaluation_mode():
    model = Watcher().eval()
    fit(model, numbered(20), None, lambda o, t: o.mean(), plain(epochs=3),
        evaluate=lambda: model.eval() and {}, **QUIET)  # an evaluation must not leave the next epoch in its mode
    assert model.modes == [True] * 6 and not model.training


def test_the_curve_has_a_row_an_epoch_with_what_evaluate_adds():
    lines, values = [], iter([0.5, 0.75])
    curve = fit(Weight(), numbered(20), None, lambda o, t: o.mean(), plain(epochs=2), seed=0, report=lines.append,
                evaluate=lambda: {"accuracy": next(values)})
    assert curve.epoch.tolist() == [1, 2] and curve.accuracy.tolist() == [0.5, 0.75]
    assert {"loss", "lr", "seconds"} < set(curve) and len(lines) == 2
    assert lines[1].startswith("epoch 2/2") and "accuracy 0.75" in lines[1]


def test_the_curve_tells_each_epochs_seconds_without_its_evaluation(monkeypatch):
    times = iter([10.0, 11.25, 50.0, 52.5])  # the start and the end of both epochs' training
    monkeypatch.setattr("lib.training.time.perf_counter", lambda: next(times))
    curve = fit(Weight(), torch.zeros(40, 1), torch.zeros(40), lambda output, target: output.mean(), plain(epochs=2),
                evaluate=dict, **QUIET)
    assert curve.seconds.tolist() == [1.25, 2.5]


def test_no_epochs_change_nothing():
    model = Weight(2.0)
    curve = fit(model, numbered(20), None, lambda o, t: o.mean(), plain(epochs=0), **QUIET)
    assert len(curve) == 0 and model.w.item() == 2.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_training(tmp_path, bad):
    calls = []

    def loss(output, target):
        calls.append(1)
        return output.mean() + (bad if len(calls) == 5 else 0)  # the first batch of the second epoch

    with pytest.raises(FloatingPointError, match="epoch 2"):
        fit(Weight(), numbered(40), None, loss, plain(epochs=4), checkpoint=tmp_path / "c.pt", key="k", **QUIET)
    kept = checkpoint.load(tmp_path / "c.pt", "k", torch.device("cpu"))
    assert len(kept["history"]) == 1  # a diverged epoch is not kept


def test_divergence_itself_is_found():
    with pytest.raises(FloatingPointError, match="diverged"):
        fit(nn.Linear(1, 1), numbered(40), None, F.mse_loss, plain(epochs=20, lr=100.0), **QUIET)


# Reproducing and resuming

SCHEDULES = {
    "step, Nesterov": {"decay": "step", "milestones": [1, 3], "nesterov": True, "momentum": 0.9},
    "one cycle": {"decay": "one_cycle", "momentum": 0.9},
    "Adam": {"optimizer": "adam", "lr": 1e-3},
    "a part an epoch": {"images_per_epoch": 20, "momentum": 0.9},
}


class Interrupted(Exception):
    pass


def train(pictures, tmp_path=None, schedule="one cycle", stop=None, key="k", seed=3, epochs=4):
    """A narrow pipeline with noise, on augmented images; `stop` = (epoch, batch) of an interruption."""
    torch.manual_seed(0)
    model = codec.Pipeline(vgg.vgg16_bn(10, 0.0625), 3, codec.link(3, 16, 16, 10.0))
    (images, labels), calls = pictures, []
    settings = Schedule(**{"epochs": epochs, "lr": 0.01, "batch_size": 16, **SCHEDULES[schedule]})
    batches = -(-min(settings.images_per_epoch or 40, 40) // 16)

    def loss(output, target):
        calls.append(1)
        if stop and len(calls) == stop[0] * batches + stop[1] + 1:
            raise Interrupted
        return F.cross_entropy(output, target)

    curve = fit(model, images, labels, loss, settings, seed=seed, augmented=True, key=key, report=lambda line: None,
                prepare=lambda batch: (batch.float() - 120) / 65, checkpoint=tmp_path and tmp_path / "checkpoint.pt")
    return model.state_dict(), curve.drop(columns="seconds"), len(calls) // batches


@pytest.fixture(scope="module")
def unbroken(pictures):
    return {name: train(pictures, schedule=name)[:2] for name in SCHEDULES}


def assert_same(result, expected):
    assert result[1].equals(expected[1])
    assert list(result[0]) == list(expected[0])
    different = [name for name, tensor in result[0].items() if not torch.equal(tensor, expected[0][name])]
    assert not different


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stop", [(1, 0), (3, 1)])
def test_a_resumed_training_equals_an_unbroken_one_bit_for_bit(pictures, unbroken, tmp_path, schedule, stop):
    with pytest.raises(Interrupted):
        train(pictures, tmp_path, schedule, stop)
    resumed = train(pictures, tmp_path, schedule)
    assert resumed[2] == 4 - stop[0]  # the epochs before the interruption are not trained again
    assert_same(resumed, unbroken[schedule])


def test_a_training_interrupted_twice_equals_an_unbroken_one(pictures, unbroken, tmp_path):
    for stop in ((1, 1), (1, 2)):  # epochs are counted anew after each start
        with pytest.raises(Interrupted):
            train(pictures, tmp_path, stop=stop)
    resumed = train(pictures, tmp_path)
    assert resumed[2] == 2
    assert_same(resumed, unbroken["one cycle"])


def test_a_checkpoint_of_another_key_is_ignored(pictures, unbroken, tmp_path):
    train(pictures, tmp_path, key="other", epochs=1)
    again = train(pictures, tmp_path, key="k")
    assert again[2] == 4
    assert_same(again, unbroken["one cycle"])


def test_a_finished_training_is_not_trained_again(pictures, unbroken, tmp_path):
    train(pictures, tmp_path)
    again = train(pictures, tmp_path)
    assert again[2] == 0
    assert_same(again, unbroken["one cycle"])


def test_a_half_written_checkpoint_is_never_read(pictures, unbroken, tmp_path):
    with pytest.raises(Interrupted):
        train(pictures, tmp_path, stop=(2, 0))
    (tmp_path / "checkpoint.pt.partial").write_bytes(b"half")
    resumed = train(pictures, tmp_path)
    assert resumed[2] == 2
    assert_same(resumed, unbroken["one cycle"])


@pytest.mark.parametrize("harm", ["one bit", "cut", "empty"])
def test_a_damaged_checkpoint_is_named_and_the_training_starts_anew(pictures, unbroken, tmp_path, capsys, harm):
    with pytest.raises(Interrupted):
        train(pictures, tmp_path, stop=(2, 0))
    path = tmp_path / "checkpoint.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"one bit": content, "cut": content[:1000], "empty": b""}[harm])
    said = []
    assert checkpoint.load(path, "k", torch.device("cpu"), said.append) is None
    assert len(said) == 1 and str(path) in said[0]
    again = train(pictures, tmp_path)
    assert again[2] == 4
    assert_same(again, unbroken["one cycle"])


def test_the_last_checkpoint_holds_no_optimizer(pictures, tmp_path):
    with pytest.raises(Interrupted):
        train(pictures, tmp_path, stop=(2, 0))
    before = (tmp_path / "checkpoint.pt").stat().st_size
    train(pictures, tmp_path)
    assert (tmp_path / "checkpoint.pt").stat().st_size < 0.6 * before


def test_writing_a_checkpoint_changes_no_number(pictures, unbroken, tmp_path):
    assert_same(train(pictures, tmp_path), unbroken["one cycle"])
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_another_seed_gives_other_numbers(pictures, unbroken):
    _, curve, _ = train(pictures, seed=4)
    assert curve.loss.tolist() != unbroken["one cycle"][1].loss.tolist()


def test_noise_is_new_in_every_epoch_and_with_every_seed():
    class Noise(Weight):
        def forward(self, x):
            noises.append(torch.rand(()).item())
            return super().forward(x)

    noises = []
    for seed in (3, 4, 100_003):
        fit(Noise(), torch.zeros(10, 1), torch.zeros(10), lambda output, target: output.mean(), plain(epochs=3),
            seed=seed, report=lambda line: None)
    assert len(set(noises)) == 9


def test_what_was_drawn_before_does_not_matter(pictures):
    curves = []
    for disturbance in (1, 2):
        torch.manual_seed(0)
        link = codec.link(3, 6, 16, 0.0)
        torch.manual_seed(disturbance)
        features = torch.ones(20, 6, 4, 4) * torch.arange(20.0).view(-1, 1, 1, 1)
        curves.append(fit(link, features, None, F.l1_loss, plain(epochs=2, lr=0.01), **QUIET).loss.tolist())
    assert curves[0] == curves[1]


def test_training_learns(pictures):
    torch.manual_seed(0)
    network, (images, labels) = vgg.vgg16_bn(10, 0.125), pictures
    curve = fit(network, images, labels, F.cross_entropy, Schedule(epochs=20, lr=0.01, batch_size=20),
                prepare=lambda batch: (batch.float() - 120) / 65, **QUIET)
    assert curve.loss.iloc[0] > 2 and curve.loss.iloc[-1] < 1  # chance is log 10 = 2.3
