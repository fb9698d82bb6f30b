"""VGG16, ResNet-18 and MobileNetV2: their size, their splits, what is tied in them, and pruning, for each alike."""

import copy
from collections import defaultdict

import pytest
import torch
import torch.nn.functional as F
import torch_pruning
from torch import nn

from lib import InputError, codec, flops, geometry, networks, pruning
from lib.lessons import measures
from lib.networks import descriptions, structure

NETWORKS = {"vgg16_bn": 5, "resnet18": 4, "mobilenet_v2": 4}
SPLITS = [(name, pool) for name, pools in NETWORKS.items() for pool in range(1, pools + 1)]
WIDTH = 0.125


def lively(name, width=WIDTH, classes=10, seed=0):
    """A network whose batch norms do something and keep the signal alive, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = networks.build(name, classes, width)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                module.momentum = 1.0  # the statistics of this one batch, so that nothing fades or grows with depth
        with torch.no_grad():
            network.train()(torch.randn(32, 3, 32, 32))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1
    return network.eval()


def images(count=3, side=32):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def every_third(network, pool):
    """{convolution: filters to remove}, some of every one before the split."""
    return {name: list(range(number % 2, layer.out_channels, 3))
            for number, (name, layer) in enumerate(structure.convolutions(network, pool).items())}


# Size

@pytest.mark.parametrize(("name", "parameters", "macs"), [
    ("vgg16_bn", 15_299_748, 313.8e6),
    # github.com/weiaicunzai/pytorch-cifar100 (11.2 million), kuangliu/pytorch-cifar (0.56·10⁹)
    ("resnet18", 11_220_132, 555.5e6),
    # github.com/chenyaofo/pytorch-cifar-models: 2.35 million parameters, 88.09·10⁶ operations
    ("mobilenet_v2", 2_351_972, 88.09e6)])
def test_at_full_width_they_are_those_of_the_papers(name, parameters, macs):
    with torch.device("meta"):
        network = networks.build(name)
        assert sum(parameter.numel() for parameter in network.parameters()) == parameters
        assert flops.count_macs(network, (3, 32, 32)) == pytest.approx(macs, rel=1e-3)


@pytest.mark.parametrize("width", [1.0, 0.25, 0.0625, 1 / 128])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_description_knows_the_filters_without_building_the_network(name, width):
    with torch.device("meta"):
        network = networks.build(name, 10, width)
    assert descriptions.widths(width, name) == structure.channels(network)
    for pool in range(1, NETWORKS[name] + 1):
        layers = structure.convolutions(network, pool)
        assert descriptions.widths(width, name, pool) == [layer.out_channels for layer in layers.values()]
        assert geometry.total_filters(width, pool, name) == sum(layer.out_channels for layer in layers.values())


def test_the_paper_networks_filters_are_4224_and_a_stream_counts_once():
    assert [geometry.total_filters(1.0, pool) for pool in range(1, 6)] == [128, 384, 1152, 2688, 4224]
    # three kinds of filters a stage: those of the stream, and of each block's first convolution
    assert [geometry.total_filters(1.0, pool, "resnet18") for pool in range(1, 5)] == [192, 576, 1344, 2880]


def test_an_unknown_network_is_refused():
    with pytest.raises(InputError, match="vgg16_bn, resnet18, mobilenet_v2, not 'alexnet'"):
        networks.build("alexnet")


# Splits

@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "pool"), SPLITS)
def test_edge_after_device_is_the_whole_network(name, pool, training):
    network, x = lively(name).train(training), images()
    device, edge = structure.split(network, pool)
    whole, halves = copy.deepcopy(network), edge(device(x))  # in training, running statistics move
    assert torch.equal(halves, whole(x))
    before, after, every = ({id(p) for p in module.parameters()} for module in (device, edge, network))
    assert before | after == every and not before & after


@pytest.mark.parametrize("side", [32, 64, 96])
@pytest.mark.parametrize(("name", "pool"), SPLITS)
def test_the_maps_shape_is_known_without_computing_it(name, pool, side):
    network = lively(name)
    device, edge = structure.split(network, pool)
    features = device(images(2, side))
    assert features.shape[1:] == structure.feature_shape(device, (3, side, side))
    assert features.shape[1] == structure.channels_at(network, pool)
    assert features.shape[2] == geometry.map_side(pool, side, name)
    assert torch.equal(edge(features), network(images(2, side)))


@pytest.mark.parametrize("name", NETWORKS)
def test_there_is_no_split_beyond_the_last(name):
    for pool in (0, NETWORKS[name] + 1, None, "2", 2.5):
        with pytest.raises(InputError, match=f"1 to {NETWORKS[name]}, not"):
            structure.split(lively(name), pool)


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize(("name", "pool"), SPLITS)
def test_a_link_of_the_maps_own_size_sends_exactly_its_bandwidth_and_restores_the_map(name, pool, side):
    network = lively(name)
    maps, _, size = structure.feature_shape(structure.split(network, pool)[0], (3, side, side))
    bandwidth = 2 * geometry.symbols_per_channel(size)
    assert geometry.symbol_channels(pool, bandwidth, side, name) == 2
    pipeline = codec.Pipeline(network, pool, codec.link(pool, maps, bandwidth, 10.0, size=size)).eval()
    assert pipeline.transmit(images(2, side))[0].numel() == bandwidth
    assert pipeline.link(torch.randn(2, maps, size, size)).shape[1:] == pipeline.feature_shape((3, side, side))
    assert pipeline(images(2, side)).shape == (2, 10)


def test_symbols_per_channel_of_the_paper_are_those_of_its_network():
    assert geometry.SYMBOLS_PER_CHANNEL == {1: 64, 2: 16, 3: 4, 4: 1, 5: 1}
    assert geometry.symbol_channels(2, 2048) == 128 and geometry.symbol_channels(2, 2048, side=64) == 32
    with pytest.raises(InputError, match="After stage 3 a bandwidth must be a positive multiple of 16 .* not 24"):
        geometry.symbol_channels(3, 24, network="resnet18")
    with pytest.raises(InputError, match="odd"):
        geometry.symbol_channels(5, 9, side=96)


# What is tied

@pytest.mark.parametrize("name", NETWORKS)
def test_the_convolutions_that_go_together_are_those_that_torch_pruning_traces(name):
    """Every convolution is in one group, whose first in named_modules() names it."""
    network = lively(name)
    graph = torch_pruning.DependencyGraph().build_dependency(network, images(1))
    names, found = {module: path for path, module in network.named_modules()}, {}
    for path, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            group = graph.get_pruning_group(layer, torch_pruning.prune_conv_out_channels, [0])
            tied = {names[item.dep.target.module] for item in group if isinstance(item.dep.target.module, nn.Conv2d)
                    and item.dep.handler.__name__ == "prune_out_channels"}
            found.setdefault(frozenset(tied), path)
    assert list(found.values()) == list(structure.every_convolution(network))
    assert len(set().union(*found)) == sum(map(len, found))  # none is in two


# Scores

def scores_by_gates(network, batch, labels, pool):
    """A gate of one a filter, in all places where it shows, one example at a time: the slope of the loss to it."""
    network = copy.deepcopy(network).double()
    totals = defaultdict(float)
    for image, label in zip(batch.double(), labels, strict=True):
        gates, handles, areas = {}, [], {}
        for filters in structure.filters_before(network, pool):
            gates[filters.name] = torch.ones(network.get_submodule(filters.name).out_channels, dtype=torch.double,
                                             requires_grad=True)
            for path in filters.seen:
                def gate(module, inputs, output, name=filters.name, gates=gates, areas=areas):
                    areas[name] = output[0, 0].numel()
                    return output * gates[name].view(1, -1, 1, 1)
                handles.append(network.get_submodule(path).register_forward_hook(gate))
        loss = F.cross_entropy(network(image[None]), label[None])
        for name, slope in zip(gates, torch.autograd.grad(loss, list(gates.values())), strict=True):
            totals[name] = totals[name] + slope.abs() / areas[name]
        for handle in handles:
            handle.remove()
    return {name: total / total.norm() for name, total in totals.items()}


@pytest.mark.parametrize(("name", "pool"), [("vgg16_bn", 2), ("resnet18", 1), ("resnet18", 4), ("mobilenet_v2", 3)])
def test_taylor_scores_are_the_slopes_as_filters_fade_everywhere_at_once(name, pool):
    network, batch, labels = lively(name), images(5), torch.arange(5)
    scores = pruning.taylor_scores(network, [(batch[:2], labels[:2]), (batch[2:], labels[2:])], pool)
    expected = scores_by_gates(network, batch, labels, pool)
    assert list(scores) == list(expected) == list(structure.convolutions(network, pool))
    for layer, values in scores.items():
        assert values.norm().item() == pytest.approx(1)
        assert torch.allclose(values, expected[layer], rtol=5e-3, atol=1e-4), layer


@pytest.mark.parametrize("name", NETWORKS)
def test_other_rankings_cover_the_same_filters(name):
    network, batch = lively(name), [(images(4), torch.arange(4))]
    expected = {layer: module.out_channels for layer, module in structure.convolutions(network, 3).items()}
    for scores in (pruning.magnitude_scores(network, 3), pruning.signed_taylor_scores(network, batch, 3),
                   pruning.random_scores(network, 3, torch.Generator())):
        assert {layer: len(values) for layer, values in scores.items()} == expected


# Surgery

@pytest.mark.parametrize(("name", "pool"), SPLITS)
def test_a_pruned_network_is_the_masked_one_and_its_device_half_is_smaller(name, pool):
    network, x = lively(name), images()
    removed = every_third(network, pool)
    pruned, masked = pruning.remove_filters(network, removed), measures.masked(network, removed)
    with torch.no_grad():
        assert torch.allclose(pruned(x), masked(x), rtol=1e-3, atol=1e-4)
        assert (masked(x) - network(x)).abs().max() > 1e-2  # the filters matter
    count = sum(map(len, removed.values()))
    assert sum(structure.channels(network)) - sum(structure.channels(pruned)) == count
    halves = [structure.split(one, pool)[0] for one in (network, pruned)]
    whole, smaller = (flops.count_macs(half, (3, 32, 32)) for half in halves)
    assert smaller < 0.7 * whole
    assert torch.equal(structure.split(pruned, pool)[1](halves[1](x)), pruned(x))


@pytest.mark.parametrize(("name", "layer"), [
    (name, layer) for name in ("resnet18", "mobilenet_v2") for layer in structure.every_convolution(lively(name))])
def test_filters_of_each_convolution_alone_can_be_removed(name, layer):
    network, x = lively(name), images(2)
    removed = {layer: [0, structure.every_convolution(network)[layer].out_channels - 1]}
    if removed[layer][1] < 2:
        pytest.skip("too narrow to keep one")
    with torch.no_grad():
        pruned, masked = pruning.remove_filters(network, removed)(x), measures.masked(network, removed)(x)
    assert torch.allclose(pruned, masked, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pruned_network_is_rebuilt_from_its_channels_and_trains(name):
    network = lively(name)
    pruned = pruning.remove_filters(network, every_third(network, NETWORKS[name]))
    rebuilt = networks.build(name, 10, channels=structure.channels(pruned)).eval()
    rebuilt.load_state_dict(pruned.state_dict())
    assert torch.equal(rebuilt(images()), pruned(images()))
    rebuilt.train()(images(4)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in rebuilt.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_down_to_the_floor(name):
    network = lively(name, width=0.25)
    scores = pruning.random_scores(network, NETWORKS[name], torch.Generator().manual_seed(0))
    pruned = pruning.remove_filters(network, pruning.select(scores, sum(len(s) - 2 for s in scores.values())))
    assert {layer.out_channels for layer in structure.convolutions(pruned, NETWORKS[name]).values()} == {2}
    assert pruned(images()).shape == (3, 10)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_surgery_keeps_modes_flags_and_the_given_network(name):
    network = lively(name).train()
    network.features[1].eval()
    frozen = next(iter(structure.every_convolution(network)))
    network.get_submodule(frozen).weight.requires_grad_(False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():  # as a reader may
        pruned = pruning.remove_filters(network, {frozen: [1]})
    assert [m.training for m in pruned.modules()] == [m.training for m in network.modules()]
    flags = [{key: p.requires_grad for key, p in one.named_parameters()} for one in (pruned, network)]
    assert flags[0] == flags[1] and not flags[0][f"{frozen}.weight"]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


# Operations

@pytest.mark.parametrize("name", NETWORKS)
def test_operations_are_those_of_the_formula(name):
    """Convolutions and linears by hand: outputs × (inputs / groups) × kernel."""
    network, total = lively(name), 0
    handles = []

    def count(module, inputs, output):
        nonlocal total
        total += output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            handles.append(module.register_forward_hook(count))
    network(images(1))
    for handle in handles:
        handle.remove()
    assert flops.count_macs(network, (3, 32, 32)) == total


def test_dropout_is_the_classifiers_and_changes_no_names():
    for name in NETWORKS:
        plain, dropped = networks.build(name, 10, WIDTH), networks.build(name, 10, WIDTH, dropout=0.5)
        assert list(plain.state_dict()) == list(dropped.state_dict())
        rates = [module.p for module in dropped.modules() if isinstance(module, nn.Dropout)]
        assert rates and set(rates) == {0.5}
