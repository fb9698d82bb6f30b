"""One model for all points: power, prefixes, and what both ends know."""

import pytest
import torch

from lib.recipe.any_point import AnyPointLink, Conditioned, sent


def test_each_image_has_unit_power_over_what_it_sends_and_nothing_behind():
    count = torch.tensor([2, 8, 5])
    symbols = sent(torch.randn(3, 8), count)
    for row, of in zip(symbols, count.tolist(), strict=True):
        assert row[:of].square().mean() == pytest.approx(1, abs=1e-5) and not row[of:].any()
    assert not sent(torch.zeros(1, 4), torch.tensor([2])).any()


def test_a_point_changes_nothing_at_the_start_and_something_once_it_is_learnt():
    torch.manual_seed(0)
    layers, x = Conditioned(3, 4), torch.randn(2, 3)
    here, there = torch.tensor([[0.0, -1.0]] * 2), torch.tensor([[2.0, 0.0]] * 2)
    assert torch.equal(layers(x, here), layers(x, there))
    layers(x, there).sum().backward()
    assert layers.film[-1].weight.grad.abs().sum() > 0


def test_the_noise_of_an_evaluation_is_that_of_its_snr_and_of_the_prefix_alone():
    torch.manual_seed(0)
    link = AnyPointLink(6, [2, 4], [-5.0, 20.0]).eval()
    received = []
    link.decoder.register_forward_pre_hook(lambda module, arguments: received.append(arguments))
    features = torch.rand(1, 6, 1, 1).expand(20_000, -1, -1, -1)
    link.channel.snr_db, link.bandwidth = 6.0, 2
    link(features)
    symbols, point = received[0]
    assert symbols[:, :2].std(0).tolist() == pytest.approx([10 ** (-6 / 20)] * 2, rel=0.03)
    assert not symbols[:, 2:].any()
    assert point.unique(dim=0).flatten().tolist() == pytest.approx([0.6, -1.0])


def test_in_training_images_have_snrs_of_the_range_and_all_bandwidths():
    torch.manual_seed(0)
    link = AnyPointLink(6, [4, 2, 8], [-5.0, 20.0]).train()
    snr_db, count = link._points(torch.rand(20_000, 6))
    assert snr_db.min() >= -5 and snr_db.max() <= 20
    assert snr_db.mean() == pytest.approx(7.5, abs=0.2)
    assert {int(value) for value in count.unique()} == {2, 4, 8}
    shares = torch.bincount(count.long())[[2, 4, 8]] / len(count)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
