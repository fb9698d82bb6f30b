"""Multiply-accumulates by hand and by ptflops."""

import pytest
import torch
from torch import nn

from lib import codec, pruning, torchvision_ops, vgg
from lib.channel import AWGN
from lib.flops import count_macs

SIZES = [32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2]  # of the map that each convolution makes
BEFORE = {1: 2, 2: 4, 3: 7, 4: 10, 5: 13}


def by_hand(channels, until=13):
    """Σ size² · 9 · inputs · outputs over the first convolutions."""
    inputs = [3, *channels]
    return sum(SIZES[i] ** 2 * 9 * inputs[i] * channels[i] for i in range(until))


def full_network():
    with torch.device("meta"):  # counted without computing
        return vgg.vgg16_bn(100)


def test_macs_of_the_full_network_by_hand():
    convolutions = by_hand([64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512])
    macs = count_macs(full_network(), (3, 32, 32))
    assert macs == convolutions + 512 * 512 + 512 * 512 + 512 * 100 and isinstance(macs, int)


def test_the_full_network_is_twice_the_papers_156_million():
    assert count_macs(full_network(), (3, 32, 32)) == pytest.approx(2 * 156e6, rel=0.02)


def test_half_of_the_filters_up_to_pool_2_is_the_papers_24_million():
    with torch.device("meta"):
        device, _ = vgg.split(vgg.vgg16_bn(100, 0.5), 2)
    assert count_macs(device, (3, 32, 32)) == pytest.approx(24.3e6, rel=0.02)


@pytest.mark.parametrize("pool", BEFORE)
def test_macs_of_both_halves_by_hand(make_network, pool):
    network = make_network()
    device, edge = vgg.split(network, pool)
    before, every = by_hand(vgg.channels(network), BEFORE[pool]), by_hand(vgg.channels(network))
    features = (vgg.channels_at(network, pool), 32 >> pool, 32 >> pool)
    assert count_macs(device, (3, 32, 32)) == before
    assert count_macs(edge, features) == every - before + 64 * 512 + 512 * 512 + 512 * 10


def test_removed_filters_are_not_counted(make_network):
    pruned = pruning.remove_filters(make_network(), {"features.0": range(5), "features.3": [0], "features.10": [1, 2]})
    device, _ = vgg.split(pruned, 3)
    assert count_macs(device, (3, 32, 32)) == by_hand([3, 7, 16, 14, 32, 32, 32], 7)


@pytest.mark.parametrize(("stride", "size"), [(2, 8), (1, 1)])
def test_macs_of_the_encoder_count_gdns_channel_product(stride, size):
    latent = size // stride
    convolution, product = latent**2 * 9 * 16 * 5, latent**2 * 5 * 5
    assert count_macs(codec.Encoder(16, 5, stride), (16, size, size)) == convolution + product
    assert count_macs(codec.Encoder(16, 5, stride, gdn=False), (16, size, size)) == convolution


def test_macs_of_the_decoder_count_the_last_convolution_after_upsampling():
    assert count_macs(codec.Decoder(5, 16), (5, 4, 4)) == 16 * (9 * 5 * 5 + 5 * 5) + 64 * 9 * 5 * 16


def test_macs_of_a_pipeline_are_those_of_its_parts(make_network):
    network = make_network()
    link = codec.link(2, 16, 64, 10.0)
    device, edge = vgg.split(network, 2)
    parts = ((device, (3, 32, 32)), (link.encoder, (16, 8, 8)), (link.decoder, (4, 4, 4)), (edge, (16, 8, 8)))
    assert count_macs(codec.Pipeline(network, 2, link), (3, 32, 32)) == sum(count_macs(*part) for part in parts)


@pytest.mark.parametrize("module", [
    nn.BatchNorm2d(4), nn.ReLU(), nn.PReLU(4), nn.MaxPool2d(2), nn.Upsample(scale_factor=2), AWGN(0.0), nn.Identity()],
    ids=lambda module: type(module).__name__)
def test_other_layers_count_nothing(module):
    assert count_macs(module, (4, 8, 8)) == 0


def test_a_bias_counts_nothing():
    for bias in (True, False):
        assert count_macs(nn.Conv2d(3, 5, 3, bias=bias), (3, 6, 6)) == 16 * 9 * 3 * 5
        assert count_macs(nn.Sequential(nn.Flatten(), nn.Linear(12, 7, bias=bias)), (3, 2, 2)) == 12 * 7


def test_ptflops_counts_bias_batch_norm_activation_and_pooling_besides(make_network):
    torchvision_ops.mend()
    from ptflops import get_model_complexity_info

    network = make_network()
    theirs, _ = get_model_complexity_info(network, (3, 32, 32), as_strings=False, print_per_layer_stat=False,
                                          backend="pytorch", backend_specific_config={"count_functional": False})
    maps = [size**2 * filters for size, filters in zip(SIZES, vgg.channels(network), strict=True)]
    pooled = sum(maps[last - 1] for last in BEFORE.values())  # pooling reads each of its inputs once
    convolutions = sum(1 * m + 2 * m + 1 * m for m in maps)  # bias, batch norm's scale and shift, ReLU
    linears = (512 + 512) + (512 + 512) + 10  # bias and ReLU; the last has no ReLU
    assert theirs - count_macs(network, (3, 32, 32)) == convolutions + pooled + linears


def test_ptflops_misses_gdn_and_so_differs_by_its_product():
    torchvision_ops.mend()
    from ptflops import get_model_complexity_info

    encoder = codec.Encoder(16, 5)
    theirs, _ = get_model_complexity_info(encoder, (16, 8, 8), as_strings=False, print_per_layer_stat=False,
                                          backend="pytorch", backend_specific_config={"count_functional": False})
    bias = prelu = 16 * 5
    assert theirs == count_macs(encoder, (16, 8, 8)) - 16 * 5 * 5 + bias + prelu


def test_counting_leaves_modes_and_statistics_as_they_were(make_network):
    network = make_network().train()
    network.features[1].eval()
    modes = [module.training for module in network.modules()]
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count_macs(network, (3, 32, 32))
    assert modes == [module.training for module in network.modules()]
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_modes_are_restored_when_the_shape_does_not_fit(make_network):
    network = make_network().train()
    with pytest.raises(RuntimeError):
        count_macs(network, (4, 32, 32))
    assert all(module.training for module in network.modules())
