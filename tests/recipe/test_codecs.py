"""Codecs that begin as the label code: they are it, until they are trained."""

import pytest
import torch
import torch.nn.functional as F

from lib import vgg
from lib.channel import AWGN
from lib.recipe import codecs, training
from lib.recipe.parameters import Rung
from lib.schemes.label import LabelCode

SCHEDULE = {"epochs": 2, "lr": 1.0e-3, "optimizer": "adam", "weight_decay": 0.0, "batch_size": 50}


def rung(**changes):
    return Rung.model_validate({"about": "", "expect": "", "views": ["plain"], "loss": "task", "schedule": SCHEDULE,
                                **changes})


@pytest.fixture
def classifier(make_network):
    """Of ten classes, surer than chance."""
    classifier = vgg.split(make_network(), 5)[1]
    with torch.no_grad():
        classifier[-1][-1].weight.mul_(40)
    return classifier


@pytest.fixture
def features():
    return torch.rand(300, 64, 1, 1)


@pytest.mark.parametrize("snr_range", [[], [-5.0, 20.0]])
def test_before_training_words_are_the_label_code(classifier, features, snr_range):
    link, edge = codecs.build("words", classifier, (64, 1, 1), 10, 6, 0.0, snr_range)
    for posterior in (link.encoder.posterior,):
        posterior.sharpness.data.fill_(12.0)  # surer than any doubt
    code = LabelCode(10, 6, 0.0)
    with torch.no_grad():
        sent, expected = link.encode(features).flatten(1), code.encode(classifier(features))
        assert torch.allclose(sent, expected, atol=1e-4)
        received = AWGN(0.0)(expected)
        known = torch.zeros(300) if snr_range else None
        assert torch.equal(edge(link.decoder(received, known)).argmax(1), code.decode(received).argmax(1))


def test_an_image_in_doubt_is_sent_between_two_words():
    words = torch.eye(3)
    encoder = codecs.WordEncoder(torch.nn.Flatten(), words, sharpness=1.0)
    sent = encoder(torch.tensor([[9.0, 9.0, -9.0]])[:, :, None, None]).flatten(1)
    assert sent[0].tolist() == pytest.approx([0.5, 0.5, 0.0], abs=1e-4)


def test_the_decoder_begins_as_the_posterior_of_equally_likely_words():
    words, received = torch.randn(4, 3), torch.randn(20, 3)
    found = codecs.WordDecoder(words, 6.0)(received).softmax(1)
    noise = torch.distributions.Normal(words, 10 ** (-6 / 20))
    likelihoods = noise.log_prob(received[:, None]).sum(2).exp()
    assert torch.allclose(found, likelihoods / likelihoods.sum(1, keepdim=True), atol=1e-5)


def test_a_model_for_all_snrs_gets_noise_of_the_snr_that_it_is_told_and_in_training_of_the_range(classifier, features):
    heard = []

    class Decoder(torch.nn.Module):
        def forward(self, received, snr_db):
            heard.append((received, snr_db))
            return received.flatten(1)

    class Encoder(torch.nn.Module):
        def forward(self, features, snr_db):
            return features[:, :16]

    link = codecs.AnySNRLink(Encoder(), Decoder(), 3.0, [-5.0, 20.0])
    many = features.repeat(40, 1, 1, 1)
    link.eval()(many)
    received, snr_db = heard.pop()
    noise = received - codecs.normalize_power(many[:, :16])
    assert set(snr_db.tolist()) == {3.0} and noise.square().mean().item() == pytest.approx(10**-0.3, rel=0.02)
    link.train()(many)
    received, snr_db = heard.pop()
    assert -5 <= snr_db.min() < -4.9 and 19.9 < snr_db.max() <= 20
    noise = (received - codecs.normalize_power(many[:, :16])).square().mean((1, 2, 3))
    for low in (-5, 5, 15):
        inside = (snr_db >= low) & (snr_db < low + 5)
        assert noise[inside].mean().item() == pytest.approx((10 ** (-snr_db[inside] / 10)).mean().item(), rel=0.03)


@pytest.mark.parametrize("start", ["features", "perceptron", "logits", "words"])
def test_every_start_sends_its_symbols_at_unit_power(classifier, features, start):
    link, edge = codecs.build(start, classifier, (64, 1, 1), 10, 8, 10.0, [])
    sent = link.encode(features)
    assert sent.shape == (300, 8, 1, 1) and torch.allclose(sent.square().mean((1, 2, 3)), torch.ones(300), atol=1e-5)
    assert edge(link(features)).shape == (300, 10)


def test_the_tasks_loss_is_cross_entropy_and_the_divergence_from_the_teacher():
    logits, teacher = torch.randn(6, 5), torch.randn(6, 5)
    labels = torch.arange(6) % 5
    target = torch.cat([labels[:, None].float(), teacher], 1)
    assert training.task_loss(0.0, 2.0)(logits, target).item() == pytest.approx(F.cross_entropy(logits, labels).item())
    soft, own = (teacher / 2).softmax(1), (logits / 2).softmax(1)
    divergence = (soft * (soft / own).log()).sum(1).mean().item()
    assert training.task_loss(1.0, 2.0)(logits, target).item() == pytest.approx(4 * divergence, rel=1e-4)


def test_the_expected_share_of_wrong_answers_is_that_of_drawn_ones():
    logits, labels = torch.randn(8, 5), torch.arange(8) % 5
    drawn = torch.distributions.Categorical(logits=logits).sample((50_000,))
    found = training.wrong(logits, torch.cat([labels[:, None].float(), logits], 1)).item()
    assert found == pytest.approx((drawn != labels).float().mean().item(), abs=0.005)


def test_training_leaves_the_frozen_edge_half_and_the_network_alone_and_moves_the_link(classifier, features):
    before = [value.clone() for value in classifier.state_dict().values()]
    targets = training.teacher_targets(classifier, features, torch.arange(300) % 10)
    assert torch.allclose(targets[:, 1:], classifier(features), atol=1e-4) and targets[7, 0] == 7
    for changes, moves in (({}, False), ({"train_edge": True}, True)):
        model, curve = training.train(rung(**changes), classifier, features, targets, bandwidth=8, snr_db=10.0, seed=0,
                                      report=lambda line: None)
        assert len(curve) == 2 and model.training is False
        same = [torch.equal(old, new) for old, new in zip(before, model.edge.state_dict().values(), strict=True)]
        assert all(same) != moves
        assert all(torch.equal(old, new) for old, new in zip(before, classifier.state_dict().values(), strict=True))
    points = training.accuracy(model, features, torch.arange(300) % 10, [0.0, 20.0], 2, 100)
    assert points.snr_db.tolist() == [0, 0, 20, 20] and points.accuracy.between(0, 1).all()


def test_step_3_learns_the_features_and_is_measured_behind_the_edge_half(classifier, features):
    targets = training.teacher_targets(classifier, features, torch.arange(300) % 10)
    plain = rung(loss="features", schedule={**SCHEDULE, "epochs": 40, "lr": 1.0e-2})
    model, curve = training.train(plain, classifier, features, targets, bandwidth=60, snr_db=40.0, seed=0,
                                  report=lambda line: None)
    assert curve.loss.iloc[-1] < 0.6 * curve.loss.iloc[0]
    assert model(features).shape == (300, 10)


def test_trained_words_are_better_than_the_label_code_where_the_device_is_in_doubt(classifier):
    """Three classes on a ring, which the device confuses with the next: between two words both are half right."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (4000,), generator=generator)
    doubt = torch.randint(0, 2, (4000,), generator=generator).bool()
    seen = torch.where(doubt, (labels + 1) % 10, labels)
    logits = torch.full((4000, 10), -6.0)
    logits[torch.arange(4000), seen] = 2.0
    logits[torch.arange(4000), torch.where(doubt, labels, (labels - 1) % 10)] = 1.9
    targets = torch.cat([labels[:, None].float(), logits], 1)
    features = logits[:, :, None, None]
    plain = rung(start="words", schedule={**SCHEDULE, "epochs": 12, "lr": 5.0e-3})
    model, _ = training.train(plain, torch.nn.Flatten(), features, targets, bandwidth=4, snr_db=0.0, seed=0,
                              report=lambda line: None)
    code = LabelCode(10, 4, 0.0)
    torch.manual_seed(1)
    ours = (model(features).argmax(1) == labels).float().mean()
    theirs = (code(logits).argmax(1) == labels).float().mean()
    assert ours > theirs + 0.03
