"""Constellations: the nearest point forward, a gradient backward, one mean power."""

import pytest
import torch

from lib.channel import AWGN, Constellation, Modulated, normalize_power
from lib.channels.constellation import square_qam


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("order, spacing", [(16, 2 / 10**0.5), (64, 2 / 42**0.5)])
def test_square_qam_has_unit_power_a_dimension_and_its_textbook_spacing(order, spacing):
    points = square_qam(order)
    assert points.square().mean().item() == pytest.approx(1) and points.sum().abs() < 1e-4
    distances = torch.pdist(points)
    # Of unit mean energy a symbol d² = 6 / (M − 1); ours have two.
    assert distances.min().item() == pytest.approx(spacing * 2**0.5, rel=1e-5) and len(points.unique(dim=0)) == order


def test_orders_that_are_no_square_are_refused():
    with pytest.raises(ValueError, match="not 32"):
        square_qam(32)


@pytest.mark.parametrize("order", [16, 64])
def test_what_is_sent_is_the_nearest_point(order):
    constellation, x = Constellation(order).eval(), normalize_power(torch.randn(30, 2, 4, 2))
    sent = constellation(x).flatten(1).view(30, -1, 2)
    pairs = x.flatten(1).view(30, -1, 2)
    nearest = torch.cdist(pairs, constellation.points[None].expand(30, -1, -1)).argmin(2)
    assert torch.allclose(sent, constellation.points[nearest], atol=1e-6)


def test_in_training_the_mean_power_over_images_is_one_and_evaluation_keeps_its_factor():
    constellation, x = Constellation(16), 2 * torch.randn(500, 32)
    assert constellation(x).square().mean().item() == pytest.approx(1, rel=1e-4)
    for _ in range(60):
        constellation(x)
    again = constellation.eval()(x)
    assert again.square().mean().item() == pytest.approx(1, rel=0.01)
    assert torch.equal(constellation(x[:1]), again[:1])  # whatever else is in the batch


def test_the_gradient_is_that_of_the_soft_mean():
    constellation, x = Constellation(16).eval(), torch.randn(4, 8, requires_grad=True)
    weights = torch.randn(4, 8)
    (constellation(x) * weights).sum().backward()
    found, x.grad = x.grad.clone(), None
    squares = (x.view(4, 4, 1, 2) - constellation.points).square().sum(3)
    soft = (-constellation.sharpness * squares).softmax(2) @ constellation.points
    (soft.flatten(1) * weights).sum().backward()
    assert torch.allclose(found, x.grad, atol=1e-5) and found.abs().max() > 0


@pytest.mark.parametrize("learned", [False, True])
def test_only_learned_points_move(learned):
    constellation = Constellation(16, learned)
    assert constellation.points.requires_grad == learned
    constellation(torch.randn(50, 8)).pow(4).sum().backward() if learned else None
    assert (constellation.points.grad is not None) == learned


def test_modulated_symbols_go_over_the_channel_whose_snr_is_theirs():
    channel = AWGN(3.0)
    modulated, x = Modulated(Constellation(64), channel).eval(), torch.randn(10, 8)
    assert modulated.snr_db == 3.0
    modulated.snr_db = float("inf")
    assert channel.snr_db == float("inf") and torch.equal(modulated(x), modulated.constellation(x))


def test_codecs_learn_through_it():
    """Three numbers through two complex symbols of sixteen points: the error falls far below that of no training."""
    encoder, decoder = torch.nn.Linear(3, 4), torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU(),
                                                                  torch.nn.Linear(32, 3))
    channel = Modulated(Constellation(16, learned=True), AWGN(20.0))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), *channel.parameters()], 5e-3)
    for _ in range(400):
        x = torch.rand(256, 3) - 0.5
        loss = (decoder(channel(encoder(x))) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.4 / 12
