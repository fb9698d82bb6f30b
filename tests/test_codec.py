"""GDN against Eq. (1) and (2), the autoencoder of Fig. 2 and the whole system of Fig. 1."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from lib import InputError, codec, vgg
from lib.channel import normalize_power

PEDESTAL = 2.0**-36
SYMBOLS = {1: 64, 2: 16, 3: 4, 4: 1, 5: 1}  # for each latent channel, as the design says
few = settings(max_examples=25)


def random_gdn(channels, inverse=False, seed=0):
    """A GDN whose γ is neither symmetric nor diagonal."""
    generator = torch.Generator().manual_seed(seed)
    gdn = codec.GDN(channels, inverse)
    gdn.beta_root.data = torch.rand(channels, generator=generator) + 0.3
    gdn.gamma_root.data = torch.rand(channels, channels, generator=generator)
    return gdn


def equation(x, beta, gamma, inverse):
    """Eq. (1), or (2), as it is written: one output at a time."""
    result = np.empty_like(x)
    for n, i, row, column in np.ndindex(*x.shape):
        norm = beta[i] + sum(gamma[i, j] * x[n, j, row, column] ** 2 for j in range(x.shape[1]))
        result[n, i, row, column] = x[n, i, row, column] * norm ** (0.5 if inverse else -0.5)
    return result


# GDN

@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_is_the_papers_equation(inverse):
    gdn, x = random_gdn(4, inverse), torch.randn(2, 4, 3, 2, generator=torch.Generator().manual_seed(1))
    beta, gamma = (root.detach().double().numpy() ** 2 - PEDESTAL for root in (gdn.beta_root, gdn.gamma_root))
    expected = equation(x.double().numpy(), beta, gamma, inverse)
    np.testing.assert_allclose(gdn(x).detach().numpy(), expected, rtol=1e-5)


def test_gamma_is_out_by_in():
    gdn = codec.GDN(2)
    gdn.gamma_root.data = torch.tensor([[0.0, 2.0], [0.0, 0.0]])  # only channel 1 weighs on channel 0
    x = torch.ones(1, 2, 1, 1)
    assert gdn(x).flatten().tolist() == pytest.approx([1 / math.sqrt(1 + 4), 1])


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_starts_with_beta_1_and_gamma_a_tenth_of_the_identity(inverse):
    gdn, x = codec.GDN(3, inverse), torch.randn(2, 3, 2, 2)
    assert torch.allclose(gdn.beta, torch.ones(3)) and torch.allclose(gdn.gamma, 0.1 * torch.eye(3), atol=1e-7)
    assert torch.allclose(gdn(x), x * (1 + 0.1 * x**2) ** (0.5 if inverse else -0.5), rtol=1e-5)


@given(st.integers(0, 1000), st.floats(-5, 5), st.booleans())
@few
def test_beta_and_gamma_respect_their_bounds_wherever_training_goes(seed, shift, inverse):
    generator, gdn = torch.Generator().manual_seed(seed), codec.GDN(4, inverse)
    gdn.beta_root.data = torch.randn(4, generator=generator) + shift
    gdn.gamma_root.data = torch.randn(4, 4, generator=generator) + shift
    assert gdn.beta.min() >= 0.999e-6 and gdn.gamma.min() >= 0
    assert torch.isfinite(gdn(torch.randn(2, 4, 2, 2, generator=generator))).all()


@pytest.mark.parametrize(("name", "bound"), [("beta", math.sqrt(1e-6 + PEDESTAL)), ("gamma", math.sqrt(PEDESTAL))])
def test_below_its_bound_a_root_can_only_rise(name, bound):
    gdn = codec.GDN(2)
    root = getattr(gdn, f"{name}_root")
    root.data.fill_(-0.5)
    for direction, expected in ((1.0, 0.0), (-1.0, -2 * bound)):  # the derivative of root² at the bound is 2·bound
        (gradient,) = torch.autograd.grad(direction * getattr(gdn, name).sum(), root)
        assert torch.allclose(gradient, torch.full_like(gradient, expected), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["beta", "gamma"])
def test_above_its_bound_a_root_moves_both_ways(name):
    gdn = random_gdn(3)
    root = getattr(gdn, f"{name}_root")
    for direction in (1.0, -1.0):
        (gradient,) = torch.autograd.grad(direction * getattr(gdn, name).sum(), root)
        assert torch.allclose(gradient, direction * 2 * root.detach())


def test_off_diagonal_gammas_can_leave_zero_from_the_start():
    gdn = codec.GDN(2)
    (gradient,) = torch.autograd.grad(gdn.gamma.sum(), gdn.gamma_root)
    assert gradient[0, 1] > 0


@pytest.mark.parametrize("inverse", [False, True])
def test_gradients_of_gdn_are_those_of_finite_differences(inverse):
    gdn = random_gdn(3, inverse).double()
    x = torch.randn(2, 3, 2, 1, dtype=torch.double, requires_grad=True)

    def output(x, beta_root, gamma_root):
        return torch.func.functional_call(gdn, {"beta_root": beta_root, "gamma_root": gamma_root}, x)

    assert torch.autograd.gradcheck(output, (x, gdn.beta_root, gdn.gamma_root))


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_of_zeros_is_zero_with_a_finite_gradient(inverse):
    gdn, x = codec.GDN(3, inverse), torch.zeros(1, 3, 2, 2, requires_grad=True)
    gdn(x).sum().backward()
    assert not gdn(x).any() and torch.isfinite(x.grad).all() and torch.isfinite(gdn.beta_root.grad).all()


def test_every_tensor_of_gdn_follows_dtype_and_state_dict():
    gdn = codec.GDN(3)
    assert {"beta_root", "gamma_root", "beta_bound", "gamma_bound"} == set(gdn.state_dict())
    assert {tensor.dtype for tensor in copy.deepcopy(gdn).to(torch.float64).state_dict().values()} == {torch.float64}
    assert {tensor.device.type for tensor in copy.deepcopy(gdn).to("meta").state_dict().values()} == {"meta"}
    x = torch.randn(1, 3, 2, 2)
    assert torch.allclose(copy.deepcopy(gdn).double()(x.double()), gdn(x).double(), rtol=1e-5)
    tensors = [value for value in vars(gdn).values() if isinstance(value, torch.Tensor)]
    assert not tensors  # a plain tensor would be left behind


def test_gdn_is_restored_from_its_state_dict():
    gdn, x = random_gdn(4), torch.randn(2, 4, 2, 2)
    other = codec.GDN(4)
    other.load_state_dict(gdn.state_dict())
    assert torch.equal(other(x), gdn(x)) and not torch.equal(codec.GDN(4)(x), gdn(x))


# Encoder and decoder

def kinds(module):
    return [type(part).__name__ for part in module]


def test_encoder_and_decoder_have_the_layers_of_figure_2():
    encoder, decoder = codec.Encoder(6, 4), codec.Decoder(4, 6)
    assert kinds(encoder) == ["Conv2d", "GDN", "PReLU"] and not encoder[1].inverse
    assert kinds(decoder) == ["Conv2d", "GDN", "PReLU", "Upsample", "Conv2d", "BatchNorm2d", "PReLU"]
    assert decoder[1].inverse
    convolutions = [m for half in (encoder, decoder) for m in half if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size, m.stride) for m in convolutions] == [
        (6, 4, (3, 3), (2, 2)), (4, 4, (3, 3), (1, 1)), (4, 6, (3, 3), (1, 1))]


@pytest.mark.parametrize(("stride", "size", "latent_size"), [(2, 16, 8), (2, 8, 4), (2, 2, 1), (1, 1, 1), (1, 4, 4)])
def test_the_decoder_restores_the_shape_that_the_encoder_took(stride, size, latent_size):
    features = torch.randn(2, 6, size, size)
    latent = codec.Encoder(6, 4, stride)(features)
    assert latent.shape == (2, 4, latent_size, latent_size)
    assert codec.Decoder(4, 6, stride)(latent).shape == features.shape


def test_upsampling_repeats_the_nearest_value():
    decoder, seen = codec.Decoder(3, 5), []
    decoder[4].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    decoder[3].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    decoder(torch.randn(2, 3, 4, 4))
    small, large = (tensor.detach().numpy() for tensor in seen)
    assert (large == small.repeat(2, axis=2).repeat(2, axis=3)).all()


def test_prelus_have_a_slope_a_channel_and_are_not_shared():
    link = codec.link(2, 6, 64, 10.0)
    slopes = [module.weight for module in link.modules() if isinstance(module, nn.PReLU)]
    assert [len(slope) for slope in slopes] == [4, 4, 6]
    another = [module.weight for module in codec.link(2, 6, 64, 10.0).modules() if isinstance(module, nn.PReLU)]
    assert len({slope.data_ptr() for slope in slopes + another}) == 6


@pytest.mark.parametrize("gdn", [True, False])
def test_without_gdn_is_the_same_autoencoder_less_its_gdns(gdn):
    link = codec.link(3, 6, 16, 10.0, gdn=gdn)
    assert sum(isinstance(module, codec.GDN) for module in link.modules()) == (2 if gdn else 0)
    assert link(torch.randn(2, 6, 4, 4)).shape == (2, 6, 4, 4)


def test_every_parameter_of_the_link_gets_a_gradient():
    link = codec.link(2, 6, 64, 10.0)
    link(torch.randn(4, 6, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in link.parameters())


# Symbols

@given(st.sampled_from(sorted(SYMBOLS)), st.integers(1, 24), st.integers(1, 7))
@few
def test_a_link_sends_exactly_its_bandwidth_at_unit_power(pool, latent, channels):
    bandwidth = latent * SYMBOLS[pool]
    assert codec.symbol_channels(pool, bandwidth) == latent
    features = torch.randn(2, channels, 32 >> pool, 32 >> pool)
    link = codec.link(pool, channels, bandwidth, 10.0)
    symbols = link.encode(features)
    assert symbols.flatten(1).shape == (2, bandwidth)
    assert torch.allclose(symbols.flatten(1).square().mean(1), torch.ones(2), rtol=1e-4)
    assert link(features).shape == features.shape


@pytest.mark.parametrize(("pool", "bandwidth"), [(1, 2048), (2, 256), (2, 512), (2, 1024), (2, 2048), (4, 128), (5, 8)])
def test_the_papers_bandwidths_are_possible(pool, bandwidth):
    assert codec.symbol_channels(pool, bandwidth) == bandwidth // SYMBOLS[pool]


@pytest.mark.parametrize("pool", [4, 5])
def test_a_single_symbol_is_possible_where_maps_are_small(pool):
    assert codec.symbol_channels(pool, 1) == 1


@pytest.mark.parametrize(("pool", "bandwidth", "named"), [
    (1, 63, "64, 128"), (2, 100, "16, 32"), (3, 2, "4, 8"), (4, 0, "1, 2"), (2, -16, "16, 32"), (5, 0.5, "1, 2")])
def test_an_impossible_bandwidth_is_named_with_the_possible_ones(pool, bandwidth, named):
    for refused in (lambda: codec.symbol_channels(pool, bandwidth), lambda: codec.link(pool, 4, bandwidth, 0.0)):
        with pytest.raises(InputError, match=named):
            refused()


@pytest.mark.parametrize("pool", [0, 6, "1"])
def test_symbols_are_counted_at_the_five_splits_only(pool):
    with pytest.raises(InputError, match="1 to 5"):
        codec.symbol_channels(pool, 64)


# The whole system

@pytest.fixture
def pipeline(make_network):
    return codec.Pipeline(make_network(), 3, codec.link(3, 32, 16, 5.0)).eval()


def test_the_pipeline_is_device_encoder_noise_decoder_edge(make_network, pipeline):
    images, network = torch.randn(3, 3, 32, 32), make_network()
    device, edge = vgg.split(network, 3)
    torch.manual_seed(1)
    symbols = normalize_power(pipeline.link.encoder(device(images)))
    expected = edge(pipeline.link.decoder(symbols + 10 ** (-5 / 20) * torch.randn(symbols.shape)))
    torch.manual_seed(1)
    assert torch.allclose(pipeline(images), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(pipeline.transmit(images), symbols)
    torch.manual_seed(1)
    assert torch.allclose(pipeline.receive(symbols), expected, rtol=1e-5, atol=1e-6)


def test_the_pipeline_sends_its_bandwidth_at_unit_power(pipeline):
    symbols = pipeline.transmit(torch.randn(3, 3, 32, 32)).flatten(1)
    assert symbols.shape == (3, 16) and torch.allclose(symbols.square().mean(1), torch.ones(3), rtol=1e-4)


def test_the_pipeline_learns_in_all_its_parts(pipeline):
    pipeline.train()(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None for p in pipeline.parameters())


@pytest.mark.parametrize("pool", [1, 2, 3, 4, 5])
def test_the_feature_shape_is_that_of_the_device_half(make_network, pool):
    network = make_network()
    pipeline = codec.Pipeline(network, pool, codec.link(pool, vgg.channels_at(network, pool), 64, 0.0)).eval()
    images = torch.randn(1, 3, 32, 32)
    assert pipeline.feature_shape() == tuple(pipeline.device_half(images).shape[1:])
    assert pipeline(images).shape == (1, 10)
