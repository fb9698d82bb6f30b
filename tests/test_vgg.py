"""VGG16 with batch norm and its splits (Sec. II-B)."""

import pytest
import torch
from torch import nn

from lib import InputError, pruning, vgg

CHANNELS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]  # of the paper's network, written out
POOLS = (1, 2, 3, 4, 5)


def test_the_network_is_thirteen_convolutions_in_five_blocks():
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    expected = sum(([*block * count, nn.MaxPool2d] for count in (2, 2, 3, 3, 3)), [])
    network = vgg.vgg16_bn(10, 0.125)
    assert [type(module) for module in network.features] == expected
    for module in network.features:
        if isinstance(module, nn.Conv2d):
            assert (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (1, 1))
            assert module.bias is not None
        if isinstance(module, nn.MaxPool2d):
            assert (module.kernel_size, module.stride) == (2, 2)


def test_parameters_of_the_full_network_by_hand():
    inputs, expected = 3, 0
    for filters in CHANNELS:
        expected += 9 * inputs * filters + filters + 2 * filters  # weights, bias, batch norm
        inputs = filters
    expected += 512 * 512 + 512 + 512 * 512 + 512 + 512 * 100 + 100
    with torch.device("meta"):
        network = vgg.vgg16_bn()
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    assert vgg.channels(network) == CHANNELS


@pytest.mark.parametrize("width", [0.0625, 0.125, 0.25])
def test_width_scales_the_convolutions_only(width):
    network = vgg.vgg16_bn(10, width)
    assert vgg.channels(network) == [round(width * count) for count in CHANNELS]
    linears = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
    assert linears == [(round(width * 512), 512), (512, 512), (512, 10)]


def test_logits_have_one_column_a_class():
    assert vgg.vgg16_bn(7, 0.0625)(torch.randn(3, 3, 32, 32)).shape == (3, 7)


def test_weights_start_as_he_et_al_say():
    torch.manual_seed(0)
    network = vgg.vgg16_bn(100, 0.5)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            # variance 2 / fan; fan-out for convolutions, fan-in for linears
            fan = 9 * module.out_channels if isinstance(module, nn.Conv2d) else module.in_features
            spread = 5 / (2 * module.weight.numel()) ** 0.5
            assert module.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=spread)
            assert not module.bias.any()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pool", POOLS)
def test_edge_after_device_is_the_whole_network(make_network, pool, training):
    network, images = make_network().train(training), torch.randn(3, 3, 32, 32)
    device, edge = vgg.split(network, pool)
    assert torch.equal(edge(device(images)), network(images))


@pytest.mark.parametrize("pool", POOLS)
def test_the_device_half_ends_with_the_pooling(make_network, pool):
    network = make_network()
    device, _ = vgg.split(network, pool)
    features = device(torch.randn(2, 3, 32, 32))
    assert features.shape == (2, [8, 16, 32, 64, 64][pool - 1], 32 >> pool, 32 >> pool)
    assert vgg.channels_at(network, pool) == features.shape[1]
    assert isinstance(list(device)[-1], nn.MaxPool2d)


@pytest.mark.parametrize("pool", POOLS)
def test_the_halves_share_the_networks_weights_and_no_others(make_network, pool):
    network = make_network()
    device, edge = vgg.split(network, pool)
    before, after, every = ({id(p) for p in module.parameters()} for module in (device, edge, network))
    assert before | after == every and not before & after


def test_training_a_half_trains_the_network(make_network):
    network, images = make_network(), torch.randn(2, 3, 32, 32)
    device, edge = vgg.split(network, 3)
    before = network(images)
    with torch.no_grad():
        next(edge.parameters()).mul_(2)
        next(device.parameters()).mul_(2)
    after = network(images)
    assert not torch.allclose(before, after) and torch.equal(after, edge(device(images)))


@pytest.mark.parametrize("pool", [0, 6, -1, None, "2", 2.5])
def test_there_is_no_split_but_after_the_five_poolings(make_network, pool):
    for function in (vgg.split, vgg.convolutions, vgg.channels_at):
        with pytest.raises(InputError, match="1 to 5"):
            function(make_network(), pool)


@pytest.mark.parametrize(("pool", "count"), [(1, 2), (2, 4), (3, 7), (4, 10), (5, 13)])
def test_convolutions_before_a_split_go_by_their_paths(make_network, pool, count):
    network = make_network()
    layers = vgg.convolutions(network, pool)
    every = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    assert list(layers) == every[:count]
    assert all(dict(network.named_modules())[name] is layer for name, layer in layers.items())


def test_a_pruned_network_is_rebuilt_from_its_channels(make_network):
    pruned = pruning.remove_filters(make_network(), {"features.0": [1, 5], "features.17": [0], "features.40": [2, 60]})
    rebuilt = vgg.vgg16_bn(10, channels=vgg.channels(pruned)).eval()
    rebuilt.load_state_dict(pruned.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(rebuilt(images), pruned(images))


def test_a_narrow_network_keeps_a_filter_in_every_layer():
    assert vgg.channels(vgg.vgg16_bn(10, 1 / 128)) == [1, 1, 1, 1, 2, 2, 2, 4, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("pool, last", [(1, "features.3"), (2, "features.10"), (3, "features.20"),
                                        (4, "features.30"), (5, "features.40")])
def test_the_channels_at_a_split_are_what_is_left_of_its_last_layer(make_network, pool, last):
    pruned = pruning.remove_filters(make_network(), {last: [0, 3]})
    assert vgg.channels_at(pruned, pool) == [8, 16, 32, 64, 64][pool - 1] - 2


def test_every_parameter_gets_a_gradient(make_network):
    network = make_network().train()
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not without


def test_dropout_stands_before_both_hidden_layers_and_leaves_the_weights_their_names():
    plain, dropped = vgg.vgg16_bn(10, 0.125), vgg.vgg16_bn(10, 0.125, dropout=0.5)
    assert list(plain.state_dict()) == list(dropped.state_dict())
    order = [type(module).__name__ for module in dropped.classifier.modules() if not list(module.children())]
    assert order == ["Flatten", "Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear"]
    plain.load_state_dict(dropped.state_dict())
    images = torch.randn(4, 3, 32, 32)
    assert torch.equal(plain.eval()(images), dropped.eval()(images))
    assert not torch.equal(dropped.train().classifier(torch.ones(4, 64, 1, 1)),
                           dropped.classifier(torch.ones(4, 64, 1, 1)))


def test_without_bias_a_network_is_split_and_pruned_as_usual():
    network = vgg.vgg16_bn(10, 0.125, bias=False).eval()
    convolutions = [f"features.{index}.bias" for index, module in enumerate(network.features)
                    if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 13 and not set(convolutions) & set(network.state_dict())
    smaller = pruning.remove_filters(network, {"features.0": [1, 2], "features.40": [0]})
    assert vgg.channels(smaller)[0] == 6 and vgg.channels(smaller)[-1] == 63
    assert smaller(torch.randn(2, 3, 32, 32)).shape == (2, 10)
