"""Taylor scores one example and one gate at a time; a pruned network is the masked one."""

import copy
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn

from lib import InputError, geometry, pruning, vgg

NAMES = [f"features.{i}" for i in (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)]
few = settings(max_examples=8)


@pytest.fixture(scope="module")
def batch(pictures):
    images, labels = pictures
    return (images[:7].float() - 120) / 65, labels[:7]


def gated(network, image, gates):
    """Logits with every channel multiplied by its gate, after batch norm and ReLU; `gates` {layer: [filters]}."""
    x = image[None]
    for index, module in enumerate(network.features):
        x = F.relu(x) if isinstance(module, nn.ReLU) else module(x)
        name = f"features.{index - 2}"
        if isinstance(module, nn.ReLU) and name in gates:
            x = x * gates[name].view(1, -1, 1, 1)
    return network.classifier(x)


def scores_by_gates(network, images, labels, pool):
    """The loss's derivative to a gate is the sum over space of activation × gradient: no hook, no batch."""
    network = copy.deepcopy(network).double().eval()
    layers = vgg.convolutions(network, pool)
    totals = {name: torch.zeros(layer.out_channels, dtype=torch.double) for name, layer in layers.items()}
    areas = dict(zip(NAMES, (1024, 1024, 256, 256, 64, 64, 64, 16, 16, 16, 4, 4, 4), strict=True))
    for image, label in zip(images.double(), labels, strict=True):
        gates = {name: torch.ones(len(total), dtype=torch.double, requires_grad=True) for name, total in totals.items()}
        loss = F.cross_entropy(gated(network, image, gates), label[None])
        for name, slope in zip(gates, torch.autograd.grad(loss, list(gates.values())), strict=True):
            totals[name] += slope.abs() / areas[name]
    return {name: total / total.norm() for name, total in totals.items()}


# Scores

@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pool", [1, 3, 5])
def test_taylor_scores_equal_one_gate_and_one_example_at_a_time(make_network, batch, pool, training):
    network = make_network().train(training)  # the mode asked for must not matter: scores use running statistics
    scores = pruning.taylor_scores(network, [batch], pool)
    expected = scores_by_gates(network, *batch, pool)
    assert list(scores) == list(expected) == NAMES[:len(expected)]
    for name, values in scores.items():
        assert torch.allclose(values, expected[name], rtol=1e-3, atol=1e-5), name


def test_a_score_is_the_slope_of_the_loss_as_a_channel_fades(make_network, batch):
    network, (images, labels) = make_network(), batch
    layer, step = "features.7", 1e-5
    scores = pruning.taylor_scores(network, [(images[:1], labels[:1])], 2)[layer]
    network.double()
    slopes = []
    for channel in range(len(scores)):
        losses = []
        for change in (step, -step):
            gate = torch.ones(len(scores), dtype=torch.double)
            gate[channel] += change
            losses.append(F.cross_entropy(gated(network, images[0].double(), {layer: gate}), labels[:1]).item())
        slopes.append(abs(losses[0] - losses[1]))
    slopes = torch.tensor(slopes, dtype=torch.double)
    assert torch.allclose(scores, slopes / slopes.norm(), rtol=1e-3, atol=1e-4)


def test_taylor_scores_leave_no_activation_in_memory(make_network, batch):
    network, seen = make_network(), []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda module, inputs, output: seen.append(weakref.ref(output)))
    pruning.taylor_scores(network, [batch], 3)
    gc.collect()
    assert seen and all(reference() is None for reference in seen)


@pytest.mark.parametrize("sizes", [[1] * 7, [4, 3], [2, 5]])
def test_scores_do_not_depend_on_how_examples_are_batched(make_network, batch, sizes):
    network, (images, labels) = make_network(), batch
    parts = list(zip(images.split(sizes), labels.split(sizes), strict=True))
    whole, split = pruning.taylor_scores(network, [batch], 4), pruning.taylor_scores(network, parts, 4)
    assert all(torch.allclose(whole[name], split[name], rtol=1e-3, atol=1e-6) for name in whole)


def test_scores_have_unit_norm_in_each_layer(make_network, batch):
    for scores in (pruning.taylor_scores(make_network(), [batch], 3), pruning.magnitude_scores(make_network(), 3)):
        for values in scores.values():
            assert values.norm().item() == pytest.approx(1)


def test_a_filter_that_never_fires_has_score_zero(make_network, batch):
    network = make_network()
    network.features[4].weight.data[3], network.features[4].bias.data[3] = 0.0, -1.0
    scores = pruning.taylor_scores(network, [batch], 2)
    assert scores["features.3"][3] == 0 and (scores["features.3"] > 0).sum() >= 4


def test_a_layer_without_any_effect_has_zero_scores_and_no_nan(make_network, batch):
    network = make_network()
    network.classifier[5].weight.data.zero_()
    scores = pruning.taylor_scores(network, [batch], 2)
    assert all(not values.any() for values in scores.values())


def snapshot(network):
    return ([module.training for module in network.modules()], [p.requires_grad for p in network.parameters()],
            [None if p.grad is None else p.grad.clone() for p in network.parameters()],
            {name: tensor.clone() for name, tensor in network.state_dict().items()})


def assert_unchanged(network, before):
    after = snapshot(network)
    assert after[:2] == before[:2]
    for old, new in zip(before[2], after[2], strict=True):
        assert new is None if old is None else torch.equal(old, new)
    assert all(torch.equal(before[3][name], after[3][name]) for name in before[3])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.fixture
def half_frozen(make_network):
    """A network in a mixed mode, partly frozen, with some gradients."""
    network = make_network().train()
    network.features[1].eval()
    network.features[3].weight.requires_grad_(False)
    network.features[0].weight.grad = torch.randn_like(network.features[0].weight)
    return network


def test_scoring_leaves_modes_gradients_and_statistics_as_they_were(half_frozen, batch):
    before = snapshot(half_frozen)
    pruning.taylor_scores(half_frozen, [batch], 3)
    assert_unchanged(half_frozen, before)


def test_scoring_that_fails_halfway_leaves_the_network_as_it_was(half_frozen, batch):
    def batches():
        yield batch
        raise OSError("the disk is gone")

    before = snapshot(half_frozen)
    with pytest.raises(OSError, match="disk"):
        pruning.taylor_scores(half_frozen, batches(), 3)
    assert_unchanged(half_frozen, before)


def test_scoring_works_where_gradients_are_switched_off(make_network, batch):
    with torch.no_grad():
        scores = pruning.taylor_scores(make_network(), [batch], 2)
    assert torch.equal(scores["features.0"], pruning.taylor_scores(make_network(), [batch], 2)["features.0"])


def test_scores_of_no_images_are_refused(make_network):
    network = make_network().train()
    with pytest.raises(InputError, match="at least one batch"):
        pruning.taylor_scores(network, [], 2)
    assert network.training


def test_magnitudes_are_the_norms_of_the_weights(make_network):
    network = make_network()
    norms = torch.tensor([w.detach().double().pow(2).sum().sqrt() for w in network.features[7].weight])
    assert torch.allclose(pruning.magnitude_scores(network, 2)["features.7"], norms.double() / norms.double().norm())


def test_random_scores_follow_their_generator(make_network):
    first, again, other = (pruning.random_scores(make_network(), 2, torch.Generator().manual_seed(seed))
                           for seed in (1, 1, 2))
    assert list(first) == NAMES[:4] and all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["features.0"], other["features.0"])


# Selection

@st.composite
def scored_layers(draw):
    """Scores of up to five layers, some equal, some layers as small as the floor or smaller."""
    score = st.sampled_from([0.0, 0.1, 0.2, 0.5]) | st.floats(0, 1)
    layers = draw(st.lists(st.lists(score, min_size=1, max_size=9), min_size=1, max_size=5))
    return {f"features.{i}": torch.tensor(values, dtype=torch.double) for i, values in enumerate(layers)}


@given(scored_layers(), st.integers(0, 3), st.data())
@settings(max_examples=80)
def test_selection_removes_exactly_the_lowest_above_the_floor(scores, floor, data):
    possible = sum(max(0, len(values) - floor) for values in scores.values())
    count = data.draw(st.integers(0, possible))
    removed = pruning.select(scores, count, floor)
    assert sum(len(indices) for indices in removed.values()) == count
    gone = {(name, index) for name, indices in removed.items() for index in indices}
    assert len(gone) == count and all(removed.values())
    worst = max((scores[name][index].item() for name, index in gone), default=0)
    for name, values in scores.items():
        kept = [values[index].item() for index in range(len(values)) if (name, index) not in gone]
        assert len(kept) >= min(floor, len(values))
        assert len(kept) <= floor or min(kept) >= worst or len(kept) == len(values) <= floor
        lost = [values[index].item() for index in removed.get(name, [])]
        assert not lost or not kept or max(lost) <= min(kept)
    with pytest.raises(InputError, match="cannot be removed"):
        pruning.select(scores, possible + 1, floor)


def test_selection_keeps_two_filters_a_layer_by_default():
    scores = {"a": torch.tensor([0.1, 0.2, 0.3]), "b": torch.tensor([0.7, 0.9, 0.8, 0.6])}
    assert pruning.select(scores, 2) == {"a": [0], "b": [3]}
    assert pruning.select(scores, 3) == {"a": [0], "b": [0, 3]}
    with pytest.raises(InputError, match="2 must stay"):
        pruning.select(scores, 4)


def test_selection_ranks_over_all_layers_at_once():
    scores = {"a": torch.tensor([0.5, 0.6, 0.7, 0.8]), "b": torch.tensor([0.1, 0.2, 0.3, 0.9])}
    assert pruning.select(scores, 2, floor=1) == {"b": [0, 1]}
    assert pruning.select(scores, 4, floor=1) == {"a": [0], "b": [0, 1, 2]}


@given(st.floats(0, 0.99), st.integers(16, 5000), st.integers(0, 300))
@settings(max_examples=40)
def test_pruning_steps_land_exactly_on_the_ratio(ratio, total, done):
    steps = geometry.pruning_steps(total, ratio, done, 512)
    assert all(0 < step <= 512 for step in steps) and sum(steps) == max(0, round(ratio * total) - done)


@pytest.mark.parametrize("total, ratio, done, filters_per_step, expected", [
    (4224, 0.5, 0, 512, [512, 512, 512, 512, 64]), (4224, 0.5, 2000, 512, [112]),
    (128, 0.5, 0, 512, [13, 13, 13, 13, 12]), (384, 0.25, 0, 512, [38, 38, 20]),  # a tenth of what there is
    (512, 0.2, 0, 512, [51, 51]), (513, 0.999, 0, 512, [512]), (4, 0.5, 0, 8, [1, 1]),
    (128, 0.5, 64, 512, []), (128, 0.5, 70, 512, [])])
def test_a_step_removes_its_filters_or_a_tenth_where_there_are_no_more(total, ratio, done, filters_per_step, expected):
    assert geometry.pruning_steps(total, ratio, done, filters_per_step) == expected


@pytest.mark.parametrize("ratio", [-0.1, 1, 1.2])
def test_a_ratio_outside_zero_to_one_is_refused(ratio):
    with pytest.raises(InputError, match="ratio"):
        geometry.filters_to_remove(128, ratio)


# Surgery

def masked_output(network, removed, images):
    """The network with the channels zeroed after batch norm and ReLU."""
    handles = []
    for name, indices in removed.items():
        mask = torch.ones(network.get_submodule(name).out_channels)
        mask[list(indices)] = 0
        relu = network.features[int(name.split(".")[1]) + 2]
        handles.append(relu.register_forward_hook(lambda m, i, output, mask=mask: output * mask.view(1, -1, 1, 1)))
    try:
        return network(images)
    finally:
        for handle in handles:
            handle.remove()


@st.composite
def removals(draw):
    """{layer: filters} of a network at an eighth of the width; no layer is emptied."""
    sizes = [8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64]
    removed = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5)):
        size = sizes[NAMES.index(name)]
        removed[name] = draw(st.lists(st.integers(0, size - 1), unique=True, max_size=size - 1))
    return removed


@given(removals(), st.integers(0, 100))
@settings(max_examples=15)
def test_pruned_net_equals_masked_net(make_network, removed, seed):
    network = make_network(seed)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    pruned = pruning.remove_filters(network, removed)
    assert torch.allclose(pruned(images), masked_output(network, removed, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_each_layer_can_be_pruned(make_network, name):
    network, images = make_network(3), torch.randn(2, 3, 32, 32)
    pruned = pruning.remove_filters(network, {name: [0, 4, 7]})
    difference = masked_output(network, {name: [0, 4, 7]}, images) - network(images)
    assert difference.abs().max() > 1e-3  # the filters matter, so a copy of the network would not pass
    assert torch.allclose(pruned(images), masked_output(network, {name: [0, 4, 7]}, images), rtol=1e-4, atol=1e-4)


def test_all_layers_can_be_pruned_to_the_floor(make_network):
    network, images = make_network(), torch.randn(2, 3, 32, 32)
    removed = {name: range(2, layer.out_channels) for name, layer in vgg.convolutions(network, 5).items()}
    pruned = pruning.remove_filters(network, removed)
    assert vgg.channels(pruned) == [2] * 13
    assert torch.allclose(pruned(images), masked_output(network, removed, images), rtol=1e-4, atol=1e-4)


def test_pruned_net_equals_masked_net_in_training_too(make_network):
    network, images = make_network().train(), torch.randn(8, 3, 32, 32)
    removed = {"features.0": [1], "features.10": [0, 9], "features.37": [5, 6]}
    pruned = pruning.remove_filters(network, removed)
    assert pruned.training
    assert torch.allclose(pruned(images), masked_output(network, removed, images), rtol=1e-3, atol=1e-3)
    kept = [i for i in range(16) if i not in (0, 9)]
    assert torch.allclose(pruned.features[11].running_var, network.features[11].running_var[kept], rtol=1e-4)


def test_the_counts_that_layers_state_are_those_of_their_weights(make_network):
    pruned = pruning.remove_filters(make_network(), {"features.3": [0, 1], "features.40": [63]})
    assert vgg.channels(pruned) == [8, 6, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 63]
    inputs = 3
    for position in (int(name.split(".")[1]) for name in NAMES):
        convolution, norm = pruned.features[position], pruned.features[position + 1]
        assert convolution.weight.shape == (convolution.out_channels, convolution.in_channels, 3, 3)
        assert convolution.in_channels == inputs and convolution.bias.shape == (convolution.out_channels,)
        assert {len(t) for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var)} == {norm.num_features}
        assert norm.num_features == convolution.out_channels
        inputs = convolution.out_channels
    assert pruned.classifier[1].in_features == pruned.classifier[1].weight.shape[1] == 63


def test_the_given_network_is_not_changed_and_shares_nothing(make_network):
    network = make_network()
    before = snapshot(network)
    pruned = pruning.remove_filters(network, {"features.0": [0], "features.40": [0]})
    with torch.no_grad():
        for tensor in pruned.state_dict().values():
            tensor.fill_(0)
    assert_unchanged(network, before)
    assert vgg.channels(network) == [8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64]


def test_removing_twice_is_removing_once(make_network):
    network, images = make_network(), torch.randn(2, 3, 32, 32)
    once = pruning.remove_filters(network, {"features.7": [2, 5, 6]})
    twice = pruning.remove_filters(pruning.remove_filters(network, {"features.7": [2]}), {"features.7": [4, 5]})
    assert torch.equal(once(images), twice(images))


@pytest.mark.parametrize("indices", [torch.tensor([1, 3]), (3, 1), {1, 3}, [1, 3, 3, 1]])
def test_indices_may_come_in_any_order_and_form(make_network, indices):
    images = torch.randn(1, 3, 32, 32)
    expected = pruning.remove_filters(make_network(), {"features.0": [1, 3]})
    assert torch.equal(pruning.remove_filters(make_network(), {"features.0": indices})(images), expected(images))


def test_removing_nothing_is_a_copy(make_network):
    network, images = make_network(), torch.randn(1, 3, 32, 32)
    for removed in ({}, {"features.3": []}):
        copied = pruning.remove_filters(network, removed)
        assert copied is not network and torch.equal(copied(images), network(images))


def test_a_pruned_network_trains_and_keeps_what_was_frozen(make_network):
    network = make_network()
    network.features[3].weight.requires_grad_(False)
    pruned = pruning.remove_filters(network, {"features.0": [0], "features.3": [0]}).train()
    assert not pruned.features[3].weight.requires_grad and pruned.features[0].weight.requires_grad
    pruned(torch.randn(4, 3, 32, 32)).square().sum().backward()
    missing = [name for name, p in pruned.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing and all(p.is_leaf for p in pruned.parameters())


def test_scoring_and_removing_go_on_from_a_pruned_network(make_network, batch):
    network, removed = make_network(), 0
    for count in (10, 15):
        network = pruning.remove_filters(network, pruning.select(pruning.taylor_scores(network, [batch], 3), count))
        removed += count
        assert sum(vgg.channels(network)[:7]) == 8 + 8 + 16 + 16 + 32 + 32 + 32 - removed
        assert vgg.channels(network)[7:] == [64] * 6


@pytest.mark.parametrize(("removed", "message"), [
    ({"features.0": range(8)}, "emptied"), ({"features.1": [0]}, "features.1"), ({"classifier.1": [0]}, "classifier.1"),
    ({"features.0": [8]}, "0 to 7"), ({"features.0": [-1]}, "0 to 7"), ({0: [0]}, "convolution 0")])
def test_impossible_removals_are_refused_and_change_nothing(make_network, removed, message):
    network = make_network()
    before = snapshot(network)
    with pytest.raises(InputError, match=message):
        pruning.remove_filters(network, removed)
    assert_unchanged(network, before)


# Another reading of the criterion

def test_signed_scores_are_sums_over_batches_of_activation_and_gradient_before_batch_norm(make_network, batch):
    """By hand, with every convolution's output as a leaf of the graph."""
    network, (images, labels) = make_network().double(), (batch[0].double(), batch[1])
    scores = pruning.signed_taylor_scores(network, [(images[:4], labels[:4]), (images[4:], labels[4:])], 1)
    sums = {name: 0.0 for name in NAMES[:2]}
    reference = copy.deepcopy(network).train()
    for part in (slice(0, 4), slice(4, 7)):
        outputs, x = {}, images[part]
        for index, module in enumerate(reference.features):
            x = F.relu(x) if isinstance(module, nn.ReLU) else module(x)
            if f"features.{index}" in sums:
                x.retain_grad()
                outputs[f"features.{index}"] = x
        F.cross_entropy(reference.classifier(x), labels[part]).backward()
        for name, output in outputs.items():
            sums[name] = sums[name] + (output * output.grad).sum((0, 2, 3)).detach().double()
    for name, total in sums.items():
        torch.testing.assert_close(scores[name], total.abs() / total.norm(), rtol=1e-2, atol=1e-3)


def test_signed_scores_leave_the_model_as_it_was(make_network, batch):
    network = make_network()
    before = copy.deepcopy(network.state_dict())
    pruning.signed_taylor_scores(network, [batch], 2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module.training for module in network.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_without_tenths_all_filters_go_in_one_cut():
    assert geometry.pruning_steps(384, 0.5, 0, 512, tenths=False) == [192]
    assert geometry.pruning_steps(384, 0.5, 0, 512) == [38] * 5 + [2]
    assert geometry.pruning_steps(4224, 0.25, 0, 512, tenths=False) == [512, 512, 32]
