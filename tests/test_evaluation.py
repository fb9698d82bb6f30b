"""Accuracy, without noise and over SNR and noise draws."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from lib import codec, evaluation, training
from lib.channel import AWGN
from lib.data import balanced_halves

POINTS = ["snr_db", "draw"]


def prepare(images):
    return (images.float() - 120) / 65


@pytest.fixture
def pipeline(make_network, pictures):
    """An untrained system, its mean logits taken out so that its answers depend on the image and the noise."""
    torch.manual_seed(0)
    pipeline = codec.Pipeline(make_network(), 4, codec.link(4, 64, 4, math.inf)).eval()
    with torch.no_grad():
        pipeline.edge_half[-1][-1].bias.sub_(pipeline(prepare(pictures[0])).mean(0))
    pipeline.link.channel.snr_db = 10.0
    return pipeline


@pytest.fixture
def recorded(pipeline, pictures):
    """The points of 40 images in batches of 16, and [(SNR, noise)] of every use of the channel, in order."""
    noises = []
    handle = pipeline.link.channel.register_forward_hook(
        lambda channel, inputs, output: noises.append((channel.snr_db, output - inputs[0])))
    points = evaluation.over_snr(pipeline.transmit, pipeline.receive, pipeline.link.channel, *pictures, prepare,
                                 [-5.0, 0.0, math.inf], 2, batch_size=16)
    handle.remove()
    return points, noises


# Without noise over SNR

def test_forward_gives_all_outputs_in_order(make_network, pictures):
    network, images = make_network(), pictures[0]
    outputs = evaluation.forward(network, images, prepare, batch_size=16)
    with torch.no_grad():
        expected = torch.cat([network(prepare(image[None])) for image in images])
    assert torch.allclose(outputs, expected, rtol=1e-4, atol=1e-4) and not outputs.requires_grad


def test_forward_is_in_evaluation_mode_and_leaves_the_statistics_alone(make_network, pictures):
    network, images = make_network(), pictures[0]
    expected = evaluation.forward(network, images, prepare)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert torch.equal(evaluation.forward(network.train(), images, prepare), expected)
    assert network.training and all(torch.equal(t, state[name]) for name, t in network.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
def test_forward_leaves_the_mode_of_every_part_as_it_was(make_network, pictures, training):
    network = make_network().train(training)
    network.features[1].train(not training)  # a part in another mode, as when a backbone is frozen
    modes = [module.training for module in network.modules()]
    evaluation.forward(network, pictures[0][:4], prepare)
    assert modes == [module.training for module in network.modules()]


def constant_answers(answers):
    """A module that gives the wanted answer for image i, whose pixels are all i."""
    class Answers(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(torch.tensor(answers)[x[:, 0, 0, 0].long()], 4).float()
    return Answers()


NUMBERED = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1).expand(8, 3, 2, 2)
TRUTH = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
ANSWERS = [0, 2, 0, 2, 1, 1, 1, 2]  # right: images 0, 2, 4, 5, 6; those that select are 0, 2, 4, 6


def test_accuracy_is_the_share_of_right_answers():
    model = constant_answers(ANSWERS)
    assert evaluation.accuracy(model, NUMBERED, TRUTH, torch.Tensor.float) == 0.625
    assert evaluation.accuracy(model, NUMBERED, TRUTH, torch.Tensor.float, batch_size=3) == 0.625


def test_accuracy_by_half_counts_each_half_alone():
    assert balanced_halves(TRUTH).nonzero().flatten().tolist() == [0, 2, 4, 6]
    right = evaluation.right(constant_answers(ANSWERS), NUMBERED, TRUTH, torch.Tensor.float)
    assert evaluation.score(right, TRUTH) == {
        "accuracy": 0.625, "accuracy_selecting": 1.0, "accuracy_reporting": 0.25}


@pytest.mark.parametrize("function", [evaluation.right, evaluation.accuracy])
def test_batches_are_as_large_as_the_engine_says(function):
    model, sizes = constant_answers(ANSWERS), []
    model.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    function(model, NUMBERED, TRUTH, torch.Tensor.float, engine=training.Engine(batch_size=3))
    assert sizes == [3, 3, 2]


@pytest.mark.parametrize("count", [1, 7, 8, 1000])
def test_which_images_were_right_comes_back_from_its_text(count):
    right = torch.rand(count) < 0.6
    text = evaluation.pack(right)
    assert torch.equal(evaluation.unpack(text, count), right) and len(text) <= 4 * -(-count // 24)


def test_the_images_that_were_right_are_those_without_noise_and_of_the_first_draw_at_the_snr():
    texts = {(snr, draw): f"{snr:g}, draw {draw}" for snr in (0.0, 10.0) for draw in (0, 1)}
    texts[float("inf"), 0] = "none"
    points = pd.DataFrame([{"snr_db": snr, "draw": draw, "right": text} for (snr, draw), text in texts.items()])
    assert evaluation.right_images(points, 10.0) == {"clean": "none", "at_snr": "10, draw 0"}
    assert evaluation.right_images(points[points.snr_db < 1], 10.0) == {}


# Over SNR

def test_points_of_known_answers_are_counted_by_half_and_by_class():
    channel, answers = AWGN(10.0), constant_answers(ANSWERS)
    points = evaluation.over_snr(torch.Tensor.float, lambda s: answers(channel(s).round()), channel, NUMBERED, TRUTH,
                                 torch.Tensor.float, [200.0], 1, batch_size=3)
    assert len(points) == 1
    row = points.iloc[0]
    assert (row.accuracy, row.accuracy_selecting, row.accuracy_reporting) == (0.625, 1.0, 0.25)
    assert row.right_by_class == "2 3"


def test_there_is_a_row_for_each_snr_and_draw_and_one_without_noise(recorded):
    points, _ = recorded
    assert points[POINTS].values.tolist() == [[-5, 0], [-5, 1], [0, 0], [0, 1], [math.inf, 0]]


def test_the_device_half_runs_once_for_all_points(pipeline, pictures):
    calls = []

    def transmit(batch):
        calls.append(batch)
        return pipeline.transmit(batch)

    evaluation.over_snr(transmit, pipeline.receive, pipeline.link.channel, *pictures, prepare,
                        [-5.0, 0.0, 5.0, 20.0], 3, batch_size=16)
    assert [len(batch) for batch in calls] == [16, 16, 8]
    assert torch.equal(torch.cat(calls), prepare(pictures[0]))


def test_accuracy_is_that_of_a_plain_forward_with_the_same_noise(pipeline, pictures, recorded):
    points, noises = recorded
    images, labels = pictures
    accuracies = []
    for snr, draw in points[POINTS].values.tolist():
        mine = [noise for strength, noise in noises if strength == snr]  # for each batch, the draws in turn
        draws = 1 if snr == math.inf else 2
        noise = torch.cat(mine[int(draw)::draws])
        with torch.no_grad():
            symbols = pipeline.link.encode(pipeline.device_half(prepare(images)))
            answers = pipeline.edge_half(pipeline.link.decoder(symbols + noise)).argmax(1)
        right = answers == labels
        accuracies.append(right.float().mean().item())
        row = points[(points.snr_db == snr) & (points.draw == draw)].iloc[0]
        assert row.accuracy == pytest.approx(accuracies[-1])
        assert row.right_by_class == " ".join(str(right[labels == label].sum().item()) for label in range(10))
        selects = balanced_halves(labels)
        assert row.accuracy_selecting == pytest.approx(right[selects].float().mean().item())
        assert row.accuracy_reporting == pytest.approx(right[~selects].float().mean().item())
    assert len(set(accuracies)) > 1  # the noise matters, so ignoring it would not pass


def test_noise_is_the_same_at_every_snr_up_to_its_strength(recorded):
    _, noises = recorded
    by_snr = {snr: [noise for strength, noise in noises if strength == snr] for snr in (-5.0, 0.0)}
    assert len(by_snr[0.0]) == 6
    for weak, strong in zip(by_snr[0.0], by_snr[-5.0], strict=True):
        assert torch.allclose(10 ** (5 / 20) * weak, strong, atol=1e-4)


def test_noise_differs_between_draws_and_between_batches(recorded):
    _, noises = recorded
    firsts = [noise[0] for snr, noise in noises if snr == 0.0]
    assert not any(torch.allclose(a, b, atol=1e-2) for i, a in enumerate(firsts) for b in firsts[:i])
    every = torch.cat([noise.flatten() for snr, noise in noises if snr == 0.0])
    assert every.var().item() == pytest.approx(1, abs=0.4)
    assert not any(noise.any() for snr, noise in noises if snr == math.inf)


def test_two_models_see_the_same_noise(pipeline, pictures, recorded):
    seen, channel = [], AWGN(3.0)
    channel.register_forward_hook(lambda module, inputs, output: seen.append(output - inputs[0]))
    evaluation.over_snr(lambda images: torch.zeros(len(images), 4, 1, 1), lambda s: channel(s).flatten(1), channel,
                        *pictures, prepare, [0.0], 2, batch_size=16)
    others = [noise for snr, noise in recorded[1] if snr == 0.0]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(seen, others, strict=True))


def test_measuring_twice_gives_the_same_whatever_was_drawn_between(pipeline, pictures):
    def measure():
        return evaluation.over_snr(pipeline.transmit, pipeline.receive, pipeline.link.channel, *pictures, prepare,
                                   [0.0], 2, batch_size=16)
    first = measure()
    torch.randn(5)
    assert measure().equals(first)


def test_random_numbers_and_the_snr_are_as_before(pipeline, pictures):
    torch.manual_seed(9)
    state = torch.random.get_rng_state()
    evaluation.over_snr(pipeline.transmit, pipeline.receive, pipeline.link.channel, *pictures, prepare, [-5.0, 20.0], 2)
    assert torch.equal(state, torch.random.get_rng_state()) and pipeline.link.channel.snr_db == 10.0


def test_the_model_is_not_changed_by_measuring(pipeline, pictures):
    state = {name: tensor.clone() for name, tensor in pipeline.state_dict().items()}
    evaluation.over_snr(pipeline.transmit, pipeline.receive, pipeline.link.channel, *pictures, prepare, [0.0], 1)
    assert all(torch.equal(tensor, state[name]) for name, tensor in pipeline.state_dict().items())
    assert not any(module.training for module in pipeline.modules())


@pytest.mark.parametrize("part", ["all", "one batch norm"])
def test_measuring_in_training_mode_is_refused(pipeline, pictures, part):
    (pipeline if part == "all" else pipeline.link.decoder[5]).train()
    with pytest.raises(ValueError, match="evaluation mode"):
        evaluation.over_snr(pipeline.transmit, pipeline.receive, pipeline.link.channel, *pictures, prepare, [0.0], 1)


# Images that noise turns wrong

def test_images_turned_wrong_are_right_without_noise_and_wrong_with_it():
    class Stub(nn.Module):
        def __init__(self):
            super().__init__()
            self.link = nn.Module()
            self.link.channel = AWGN(12.0)

        def forward(self, x):
            answers = ANSWERS if self.link.channel.snr_db == math.inf else [3, 0, 0, 0, 1, 3, 1, 2]
            return constant_answers(answers)(x)

    def from_negative(images):
        return 7 - images.float()

    stub, negatives = Stub().eval(), 7 - NUMBERED
    assert evaluation.turned_wrong(stub, negatives, TRUTH, from_negative, 0.0) == ([0, 5], [3, 3])
    assert evaluation.turned_wrong(stub, negatives, TRUTH, from_negative, 0.0, count=3) == ([0], [3])
    # three of eight, evenly spaced: images 0, 3, 7
    assert stub.link.channel.snr_db == 12.0
