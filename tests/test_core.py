"""The mathematics of the system, against closed forms and independent oracles."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn

from lib import InputError, channel, codec, data, evaluation, flops, geometry, pruning, training, vgg
from lib.schedule import Schedule


def small_network(seed=0):
    """An eighth of the width, with batch norms that do something."""
    torch.manual_seed(seed)
    network = vgg.vgg16_bn(10, 0.125)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return network.eval()


@pytest.mark.parametrize("pool", geometry.POOLS)
def test_edge_after_device_is_the_whole_network(pool):
    network, images = small_network(), torch.randn(3, 3, 32, 32)
    device, edge = vgg.split(network, pool)
    assert torch.equal(edge(device(images)), network(images))


def test_macs_of_the_full_network_by_hand():
    sizes, inputs, macs = [32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2], 3, 0
    for size, filters in zip(sizes, geometry.CHANNELS, strict=True):
        macs, inputs = macs + size * size * 9 * inputs * filters, filters
    network = vgg.vgg16_bn(100).train()
    assert flops.count_macs(network, (3, 32, 32)) == macs + 512 * 512 + 512 * 512 + 512 * 100
    assert network.training


def test_ptflops_counts_the_same_up_to_bias_batch_norm_and_activations():
    from lib import torchvision_ops

    torchvision_ops.mend()
    from ptflops import get_model_complexity_info

    network = vgg.vgg16_bn(100)
    theirs, _ = get_model_complexity_info(network, (3, 32, 32), as_strings=False, print_per_layer_stat=False,
                                          backend="pytorch", backend_specific_config={"count_functional": False})
    ours = flops.count_macs(network, (3, 32, 32))
    assert ours < theirs < 1.01 * ours


def test_gdn_and_its_inverse_are_the_papers_equations():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 3, 4)
    for inverse, power in ((False, -0.5), (True, 0.5)):
        gdn = codec.GDN(5, inverse)
        gdn.gamma_root.data = torch.rand(5, 5)
        gdn.beta_root.data = torch.rand(5) + 0.1
        norm = gdn.beta.detach().numpy()[None, :, None, None] + np.einsum(
            "ij,njhw->nihw", gdn.gamma.detach().numpy(), x.numpy() ** 2)
        np.testing.assert_allclose(gdn(x).detach().numpy(), x.numpy() * norm**power, rtol=1e-5)


def test_gdn_starts_with_beta_1_and_gamma_a_tenth_of_the_identity():
    gdn = codec.GDN(4)
    assert torch.allclose(gdn.beta, torch.ones(4)) and torch.allclose(gdn.gamma, 0.1 * torch.eye(4), atol=1e-7)


def test_gdn_parameters_below_their_bound_can_only_rise():
    gdn = codec.GDN(2)
    gdn.beta_root.data.fill_(-1.0)
    assert torch.allclose(gdn.beta, torch.tensor(1e-6), rtol=1e-2)
    gdn.beta.sum().backward()  # a step against this gradient would push further down: it is stopped
    assert torch.equal(gdn.beta_root.grad, torch.zeros(2))
    (-gdn.beta.sum()).backward()
    assert (gdn.beta_root.grad < 0).all()


def test_prelus_are_not_shared():
    decoder = codec.Decoder(4, 8)
    assert len({id(m.weight) for m in decoder if isinstance(m, nn.PReLU)}) == 2


@given(st.floats(-3, 3), st.integers(1, 6), st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_power_is_as_asked_per_image(exponent, count, power):
    x = 10**exponent * torch.randn(count, 3, 4, 2)
    normalised = channel.normalize_power(x, power)
    assert torch.allclose(normalised.square().mean((1, 2, 3)), torch.full((count,), power), rtol=1e-5)
    assert torch.allclose(normalised / normalised.norm(), x / x.norm(), atol=1e-5) or count > 1


def test_an_all_zero_image_stays_zero_and_has_a_finite_gradient():
    x = torch.zeros(2, 3, 2, 2, requires_grad=True)
    channel.normalize_power(x).sum().backward()
    assert torch.isfinite(x.grad).all() and not channel.normalize_power(x).any()


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 14.5])
def test_noise_variance_is_that_of_real_symbols_in_training_and_evaluation(snr_db):
    torch.manual_seed(0)
    for mode in (True, False):
        noise = channel.AWGN(snr_db).train(mode)(torch.zeros(400_000))
        assert noise.var().item() == pytest.approx(10 ** (-snr_db / 10), rel=0.01)


def test_capacity_is_a_half_bit_at_0_db():
    assert channel.capacity(0.0) == pytest.approx(0.5)
    assert channel.capacity(10 * math.log10(15)) == pytest.approx(2.0)


@given(st.sampled_from(geometry.POOLS), st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_a_link_sends_exactly_its_bandwidth(pool, latent):
    bandwidth = latent * geometry.SYMBOLS_PER_CHANNEL[pool]
    features = torch.randn(2, 6, 32 >> pool, 32 >> pool)
    link = codec.link(pool, 6, bandwidth, 10.0)
    assert link.encode(features)[0].numel() == bandwidth and link(features).shape == features.shape


def test_an_impossible_bandwidth_is_named_with_the_possible_ones():
    with pytest.raises(ValueError, match="multiple of 16"):
        codec.symbol_channels(2, 100)


def test_taylor_scores_equal_one_example_at_a_time():
    network, images, labels = small_network(), torch.randn(9, 3, 32, 32), torch.randint(0, 10, (9,))
    scores = pruning.taylor_scores(network, [(images[:4], labels[:4]), (images[4:], labels[4:])], 3)
    expected = {name: 0 for name in scores}
    for image, label in zip(images, labels, strict=True):
        x, activations = image[None], {}
        for index, module in enumerate(network.features):
            x = F.relu(x.clone()) if isinstance(module, nn.ReLU) else module(x)
            if isinstance(module, nn.ReLU):
                activations[f"features.{index - 2}"] = x
        loss = F.cross_entropy(network.classifier(x), label[None])
        gradients = torch.autograd.grad(loss, list(activations.values()))
        for (name, activation), gradient in zip(activations.items(), gradients, strict=True):
            if name in expected:
                expected[name] = expected[name] + (activation * gradient).mean((2, 3))[0].abs().detach().double()
    for name, values in scores.items():
        assert torch.allclose(values, expected[name] / expected[name].norm(), atol=1e-5)


def test_scoring_leaves_mode_and_gradients_as_they_were():
    network = small_network().train()
    network.features[1].eval()
    network.features[0].weight.grad = marked = torch.ones_like(network.features[0].weight)
    pruning.taylor_scores(network, [(torch.randn(2, 3, 32, 32), torch.tensor([0, 1]))], 2)
    assert network.training and not network.features[1].training and network.features[0].weight.grad is marked
    assert network.features[3].weight.grad is None and all(p.requires_grad for p in network.parameters())


@given(st.integers(0, 10_000), st.integers(0, 60))
@settings(max_examples=8, deadline=None)
def test_pruned_net_equals_masked_net(seed, count):
    network, images = small_network(seed), torch.randn(2, 3, 32, 32)
    scores = pruning.random_scores(network, 5, torch.Generator().manual_seed(seed))
    removed = pruning.select(scores, count)
    pruned = pruning.remove_filters(network, removed)
    assert sum(vgg.channels(network)) - sum(vgg.channels(pruned)) == count and min(vgg.channels(pruned)) >= 2
    hooks = [network.features[int(name.split(".")[1]) + 2].register_forward_hook(
        lambda module, inputs, output, indices=indices: output.index_fill(1, torch.tensor(indices), 0))
        for name, indices in removed.items()]
    masked = network(images)
    for hook in hooks:
        hook.remove()
    assert torch.allclose(pruned(images), masked, rtol=1e-4, atol=1e-5)


def test_a_layer_cannot_be_emptied():
    network = small_network()
    with pytest.raises(ValueError, match="emptied"):
        pruning.remove_filters(network, {"features.0": range(8)})
    with pytest.raises(InputError, match="cannot be removed"):
        pruning.select({"features.0": torch.rand(8)}, 7)


@given(st.floats(0, 0.99), st.integers(16, 5000))
def test_pruning_steps_land_exactly_on_the_ratio(ratio, total):
    sizes = geometry.pruning_steps(total, ratio, 0, 512)
    assert sum(sizes) == round(ratio * total) and all(0 < size <= 512 for size in sizes)


def test_augmentation_pads_with_black_crops_and_flips():
    images = torch.randint(1, 256, (20, 3, 32, 32), dtype=torch.uint8)
    choices = data.draw_augmentation(20, torch.Generator().manual_seed(0))
    for image, (row, column, flip), result in zip(
            images, choices.tolist(), data.augment(images, choices), strict=True):
        padded = np.pad(image.numpy(), ((0, 0), (4, 4), (4, 4)))
        crop = padded[:, row:row + 32, column:column + 32]
        assert (result.numpy() == (crop[:, :, ::-1] if flip else crop)).all()
    assert choices[:, :2].min() == 0 and choices[:, :2].max() == 8 and choices[:, 2].float().mean().item() not in (0, 1)


def test_the_shipped_subset_is_whole_and_normalised():
    images = data.dataset("mini")
    assert images.train_images.shape == (5000, 3, 32, 32) and images.test_images.shape == (1000, 3, 32, 32)
    assert torch.bincount(images.train_labels).tolist() == [500] * 10
    normal = images.normalise(images.train_images)
    assert normal.mean((0, 2, 3)).abs().max() < 1e-4 and (normal.std((0, 2, 3)) - 1).abs().max() < 1e-4


def test_a_damaged_sheet_is_one_clear_sentence(tmp_path, monkeypatch):
    import shutil

    shutil.copytree(data.MINI, tmp_path / "mini")
    monkeypatch.setattr(data, "MINI", tmp_path / "mini")
    sheet = tmp_path / "mini" / "test" / "apple.webp"
    sheet.write_bytes(sheet.read_bytes()[:-1])
    with pytest.raises(InputError, match="apple.webp is damaged"):
        data.load("mini", split="test")


def test_halves_of_the_test_set_are_balanced():
    labels = torch.arange(10).repeat(6)
    selects = data.balanced_halves(labels)
    assert torch.bincount(labels[selects]).tolist() == [3] * 10


def tiny_fit(schedule, checkpoint=None, epochs=None, key="k"):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4), channel.AWGN(5.0), nn.Linear(4, 2))
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    schedule = schedule.model_copy(update={"epochs": epochs or schedule.epochs})
    curve = training.fit(model, images, torch.arange(40) % 2, F.cross_entropy, schedule, seed=3, augmented=True,
                         prepare=lambda batch: batch.float() / 255, checkpoint=checkpoint, key=key,
                         report=lambda line: None)
    return model, curve


def test_a_resumed_training_ends_with_the_same_numbers(tmp_path):
    schedule = Schedule(epochs=4, lr=0.01, batch_size=16, decay="step", milestones=[1, 3])
    unbroken, curve = tiny_fit(schedule)
    tiny_fit(schedule, tmp_path / "c.pt", epochs=2)
    resumed, again = tiny_fit(schedule, tmp_path / "c.pt")
    assert again.loss.tolist() == curve.loss.tolist()
    assert all(torch.equal(a, b) for a, b in zip(unbroken.parameters(), resumed.parameters(), strict=True))
    assert curve.lr.tolist() == pytest.approx([0.001, 0.001, 0.0001, 0.0001])


def test_a_checkpoint_of_other_parameters_is_ignored(tmp_path):
    schedule = Schedule(epochs=2, lr=0.01, batch_size=16)
    tiny_fit(schedule, tmp_path / "c.pt", key="other")
    _, curve = tiny_fit(schedule, tmp_path / "c.pt", key="k")
    assert curve.loss.tolist() == tiny_fit(schedule)[1].loss.tolist()


def test_divergence_is_an_error():
    with pytest.raises(FloatingPointError, match="diverged"):
        tiny_fit(Schedule(epochs=8, lr=1e20, batch_size=16))


def test_weight_decay_spares_gdn_alone():
    link = codec.link(5, 4, 4, 10.0)
    optimizer = training._optimizer(link, Schedule(epochs=1, lr=0.1))
    spared = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0 for p in group["params"]}
    assert spared == {id(p) for m in link.modules() if isinstance(m, codec.GDN) for p in m.parameters()} and spared


def noisy_pipeline():
    torch.manual_seed(0)
    return codec.Pipeline(small_network(), 4, codec.link(4, 64, 4, 10.0)).eval()


def test_accuracy_over_snr_encodes_once_and_matches_a_plain_forward():
    pipeline, images = noisy_pipeline(), torch.randint(0, 256, (30, 3, 32, 32), dtype=torch.uint8)
    labels, calls = torch.arange(30) % 10, []

    def transmit(batch):
        calls.append(len(batch))
        return pipeline.transmit(batch)

    state = torch.random.get_rng_state()
    points = evaluation.over_snr(transmit, pipeline.receive, pipeline.link.channel, images, labels,
                                 lambda x: x.float() / 255, [0.0, 20.0, math.inf], 2, batch_size=20)
    assert calls == [20, 10] and pipeline.link.channel.snr_db == 10.0
    assert torch.equal(state, torch.random.get_rng_state())
    assert points[["snr_db", "draw"]].values.tolist() == [[0, 0], [0, 1], [20, 0], [20, 1], [math.inf, 0]]
    pipeline.link.channel.snr_db = math.inf
    plain = evaluation.accuracy(pipeline, images, labels, lambda x: x.float() / 255)
    assert points.accuracy.iloc[-1] == pytest.approx(plain)
    assert sum(map(int, points.right_by_class.iloc[-1].split())) == round(plain * 30)


def test_measuring_in_training_mode_is_an_error():
    pipeline = noisy_pipeline().train()
    with pytest.raises(ValueError, match="evaluation mode"):
        evaluation.over_snr(pipeline.transmit, pipeline.receive, pipeline.link.channel, torch.zeros(2, 3, 32, 32),
                            torch.zeros(2, dtype=torch.long), torch.Tensor.float, [0.0], 1)
