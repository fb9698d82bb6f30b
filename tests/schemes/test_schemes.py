"""The other schemes of Fig. 3: shapes, bits, symbols and gradients, checked by hand."""

import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lib import InputError, codec, data, evaluation, pruning, vgg
from lib.channel import capacity
from lib.flops import count_macs
from lib.schedule import Schedule
from lib.schemes import bottlenet, deepjscc, features as coding, pictures as files, rates
from lib.training import fit


@pytest.fixture(scope="module")
def images():
    return data.load("mini", split="test")[0][::125]  # 8 images, uint8


def pictures(*shape):
    """Smooth maps with positive values, like features after ReLU and pooling."""
    coarse = torch.randn(*shape[:2], 2, 2, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, shape[2:], mode="bilinear").relu()


# Symbols for bits

def test_without_a_block_length_the_rate_is_capacity():
    assert rates.rate(0) == capacity(0) == 0.5


def test_normal_approximation_at_0_db_and_1000_symbols():
    back_off = math.sqrt(0.375 / 1000) * math.log2(math.e) * 3.090232  # V = 1·3 / (2·2²) log2²e, Q⁻¹(0.001)
    assert rates.rate(0, 1000) == pytest.approx(0.5 - back_off + math.log2(1000) / 2000, abs=1e-6)


@pytest.mark.parametrize("symbols", [1, 2, 7])
def test_normal_approximation_of_short_blocks_at_40_db(symbols):
    dispersion = 0.5 * math.log2(math.e) ** 2 * (1 - 1 / (1 + 1e4) ** 2)  # the same V, rearranged
    expected = 0.5 * math.log2(1 + 1e4) - math.sqrt(dispersion / symbols) * 3.090232 + math.log2(symbols) / 2 / symbols
    assert rates.rate(40, symbols) == pytest.approx(expected, abs=1e-6)


def test_long_blocks_approach_capacity_from_below():
    gaps = capacity(5) - rates.rate(5, np.array([1e2, 1e4, 1e6, 1e10]))
    assert (gaps > 0).all() and (np.diff(gaps) < 0).all() and gaps[-1] < 1e-4


def test_a_rate_is_never_negative_nor_above_capacity():
    for snr_db in (-40, -5, 20):
        found = rates.rate(snr_db, np.arange(1, 200))
        assert found.min() >= 0 and found.max() <= capacity(snr_db)
    assert rates.rate(-5, 10) == 0


def test_symbols_at_capacity():
    assert rates.symbols_for_bits([0, 1, 100.5], 0).tolist() == [0, 2, 201]


@pytest.mark.parametrize("snr_db", [-5, 14.5, 40])
def test_no_shorter_block_carries_the_bits(snr_db):
    bits = np.array([*range(60), 300])
    lengths = np.arange(1, 5000)
    carried = lengths * rates.rate(snr_db, lengths)
    expected = [0] + [lengths[carried >= b][0] for b in bits[1:]]
    assert rates.symbols_for_bits(bits, snr_db, blocklength_aware=True).tolist() == expected


# Images as files

def test_png_bytes_are_those_of_an_independent_encoding(images):
    size, header, decoded = files.image_bytes(images, "PNG")
    total = 0
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "PNG", optimize=True)
        total += len(buffer.getvalue())
    assert (size, header) == (total / len(images), 0)
    assert torch.equal(decoded, images)


def test_webp_without_a_quality_is_lossless_and_smaller_than_png(images):
    size, _, decoded = files.image_bytes(images, "WEBP")
    assert torch.equal(decoded, images) and size < files.image_bytes(images, "PNG")[0]


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_lower_quality_costs_fewer_bytes_and_more_error(images, format):
    (large, _, fine), (small, _, coarse) = (files.image_bytes(images, format, quality) for quality in (90, 10))
    assert small < large
    assert (coarse.float() - images).square().mean() > (fine.float() - images).square().mean() > 0


def test_the_jpeg_header_is_the_same_for_all_pictures(images):
    coded = [files.code_picture(image.permute(1, 2, 0).numpy(), "JPEG", 50)[0] for image in images]
    header = files.jpeg_header_bytes(coded[0])
    assert header == coded[0].index(b"\xff\xda") + 2 + 12 + 2  # marker, scan header of three colours, end marker
    assert len({file[:header - 2] + file[-2:] for file in coded}) == 1
    assert len({file[header - 2:-2] for file in coded}) == len(coded)
    assert files.image_bytes(images, "JPEG", 50)[:2] == (sum(map(len, coded)) / len(coded), header)


def test_unknown_formats_and_a_jpeg_without_quality_are_refused(images):
    for format in ("GIF", "JPEG"):
        with pytest.raises(InputError):
            files.image_bytes(images, format)


# Quantised features

@pytest.mark.parametrize("bits", [1, 4, 8])
def test_quantisation_error_is_at_most_half_a_step(bits):
    features = torch.randn(5, 3, 4, 4)
    levels, restored = coding.quantise(features, bits)
    step = (features.max() - features.min()) / (2**bits - 1)
    assert (restored - features).abs().max() <= step / 2 * (1 + 1e-5)
    assert levels.min() == 0 and levels.max() == 2**bits - 1


def test_flat_features_are_quantised_exactly():
    assert torch.equal(coding.quantise(torch.full((2, 1, 2, 2), 3.0), 4)[1], torch.full((2, 1, 2, 2), 3.0))


def test_values_outside_given_bounds_take_the_nearest_level():
    levels, restored = coding.quantise(torch.tensor([-9.0, 9.0]), 2, torch.tensor(0.0), torch.tensor(3.0))
    assert levels.tolist() == [0, 3] and restored.tolist() == [0, 3]


@pytest.mark.parametrize("bits", [0, 9])
def test_impossible_bit_depths_are_refused(bits):
    with pytest.raises(InputError):
        coding.quantise(torch.rand(2, 2), bits)


def test_code_length_of_a_dyadic_source_is_its_entropy():
    levels = torch.tensor([0, 0, 1, 2]).repeat(4).view(1, 1, 4, 4).to(torch.uint8)
    assert coding.code_bits(levels).tolist() == [16 * 1.5 + 1]  # H(½, ¼, ¼) = 1.5, and the end of the code


def test_an_image_unlike_the_others_costs_more():
    levels = torch.zeros(16, 1, 2, 2, dtype=torch.uint8)
    levels[0] = 1
    bits = coding.code_bits(levels)
    assert bits[0] == 4 * 4 + 1 and bits[1:].unique().tolist() == [math.ceil(4 * math.log2(16 / 15)) + 1]


def test_jalad_can_code_levels_that_training_never_showed():
    training = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    restored, bits = coding.jalad(torch.full((1, 1, 4, 4), 0.4), 4, training)
    assert torch.allclose(restored, torch.tensor(0.4)) and bits.isfinite().all()


def test_more_bits_in_jalad_cost_more_and_lose_less():
    features = pictures(20, 4, 8, 8)
    sizes, errors = zip(*((bits.mean(), (restored - features).square().mean())
                          for restored, bits in (coding.jalad(features, depth) for depth in (2, 4, 8))), strict=True)
    assert sorted(sizes) == list(sizes) and sorted(errors, reverse=True) == list(errors)


def test_the_second_pruning_step_touches_the_split_layer_only():
    network = vgg.vgg16_bn(10, 0.125)
    thin = coding.prune_split_layer(network, 2, pruning.magnitude_scores(network, 2), 5)
    changes = [before - after for before, after in zip(vgg.channels(network), vgg.channels(thin), strict=True)]
    assert changes == [0, 0, 0, 5] + 9 * [0]


# The separation baseline

def features_like_ours(count=200, channels=8, side=4):
    """Not negative, many of them zero, channels of unlike strength."""
    torch.manual_seed(0)
    strength = torch.linspace(0.2, 3, channels).view(1, -1, 1, 1)
    return strength * torch.randn(count, channels, side, side).clamp(min=0)


def best_of(features, bandwidth, snr_db):
    sent = [code(features) for code in coding.feature_codes(features, bandwidth, snr_db)]
    return min(((received - features).square().mean().item(), bits.mean().item()) for received, bits in sent)


def test_separation_fills_the_channel_and_loses_less_on_a_better_one():
    features, errors = features_like_ours(), []
    for snr_db in (-5, 5, 20):
        error, bits = best_of(features, 64, snr_db)
        assert 0.9 * 64 * capacity(snr_db) < bits <= 64 * capacity(snr_db)
        errors.append(error)
    assert errors[0] > errors[1] > errors[2]


def test_separation_is_near_the_rate_distortion_bound_of_a_uniform_source():
    features = torch.rand(500, 4, 8, 8)  # at 4 bits an element, uniform steps are optimal but for the end of the code
    error, bits = best_of(features, 256, 10 * math.log10(2**8 - 1))
    assert bits == pytest.approx(256 * 4, rel=0.02) and error == pytest.approx(2**-8 / 12, rel=0.05)


def test_separation_sends_everything_finely_when_the_channel_allows():
    features = features_like_ours()
    received, _ = coding.feature_codes(features, 10_000, 20)[0](features)
    assert ((received - features).abs() <= features.max() / 255 * 1.001).all()


@pytest.mark.parametrize(("number", "sent"), [(0, 8), (2, 4), (4, 2)])
def test_the_strongest_channels_are_sent_and_the_others_take_their_training_mean(number, sent):
    training, features = features_like_ours(), features_like_ours(10)
    received, _ = coding.feature_codes(training, 64, 5)[number](features)
    unsent = (received == training.mean(0)).flatten(2).all(2).all(0)
    assert unsent.tolist() == [True] * (8 - sent) + [False] * sent


def test_a_strong_channel_that_is_always_the_same_is_not_sent():
    features = features_like_ours()
    features[:, 0] = 9 + features[:, 0] / 1e3
    received, _ = coding.feature_codes(features, 64, 5)[2](features)
    assert torch.equal(received[:, 0], features.mean(0)[0].expand(len(features), -1, -1))


def test_a_level_is_received_as_its_mean_or_as_its_multiple_of_the_step():
    features = features_like_ours()
    mean, multiple = coding.feature_codes(features, 64, 5)[:2]
    levels = (features / mean.step).round()
    assert mean.step == multiple.step and torch.allclose(multiple(features)[0], levels * mean.step)
    received, channel = mean(features)[0][:, 7], features[:, 7]
    for level in levels[:, 7].unique():
        here = levels[:, 7] == level
        assert torch.allclose(received[here], channel[here].mean(), rtol=1e-4)


def test_separation_sends_nothing_when_nothing_fits():
    assert coding.feature_codes(features_like_ours(), 4, -5) == []


# BottleNet

def test_the_gradient_through_jpeg_is_the_identity():
    latent, weights = pictures(2, 3, 4, 4).requires_grad_(), torch.randn(2, 3, 4, 4)
    restored = bottlenet.JPEG(20)(latent)
    (restored * weights).sum().backward()
    assert torch.equal(latent.grad, weights)
    assert not torch.allclose(restored, latent, atol=1e-3)  # JPEG did lose something


def test_jpeg_restores_smooth_latents_roughly_and_better_at_higher_quality():
    latent = pictures(4, 5, 8, 8)
    coarse, fine = ((bottlenet.JPEG(quality)(latent) - latent).abs().mean() / latent.std() for quality in (20, 95))
    assert fine < 0.05 and fine < coarse < 0.5


def test_what_jpeg_restores_is_pils_picture_on_the_images_own_range():
    latent = pictures(3, 4, 8, 8)
    restored = bottlenet.JPEG(20)(latent)
    for maps, found in zip(latent, restored, strict=True):
        low, high = (value.half().float() for value in (maps.min(), maps.max()))
        picture = torch.cat([torch.cat([*row], 1) for row in (maps[:2], maps[2:])])
        grey = ((picture - low) / (high - low) * 255).round().clamp(0, 255).byte()
        buffer = io.BytesIO()
        Image.fromarray(grey.numpy()).save(buffer, "JPEG", quality=20)
        decoded = torch.from_numpy(np.array(Image.open(buffer))).float() / 255 * (high - low) + low
        expected = torch.stack([decoded[row:row + 8, column:column + 8] for row in (0, 8) for column in (0, 8)])
        assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 5, 6, 16])
def test_channels_survive_tiling(channels):
    maps = torch.rand(2, channels, 3, 4)
    tiled = bottlenet.tile(maps)
    assert torch.equal(tiled[:, :3, :4], maps[:, 0]) and tiled[0].numel() < 12 * (channels + 3)
    assert torch.equal(bottlenet.untile(tiled, maps.shape[1:]), maps)


def test_jpeg_sizes_count_the_range_and_leave_out_the_header_alone():
    latent = pictures(6, 4, 8, 8)
    whole, payload = bottlenet.JPEG(20).sizes(latent)
    scaled = (latent[0] - latent[0].min()) / (latent[0].max() - latent[0].min()) * 255
    picture = torch.cat([torch.cat([*row], 1) for row in (scaled[:2], scaled[2:])]).round().byte()
    buffer = io.BytesIO()
    Image.fromarray(picture.numpy()).save(buffer, "JPEG", quality=20)
    assert whole[0] == len(buffer.getvalue()) + 4
    assert (whole - payload).unique().tolist() == [files.jpeg_header_bytes(buffer.getvalue())]
    assert 4 < payload.min() < payload.max()


@pytest.mark.parametrize(("pool", "side", "latent_side"), [(2, 8, 4), (4, 2, 1), (5, 1, 1)])
def test_bottlenet_restores_the_shape_and_trains(pool, side, latent_side):
    link, features = bottlenet.BottleNet(pool, 6, 4), torch.rand(3, 6, side, side)
    assert link.encode(features).shape == (3, 4, latent_side, latent_side)
    link(features).square().sum().backward()
    assert link(features).shape == features.shape
    assert all(parameter.grad is not None for parameter in link.encoder.parameters())


def layers(module):
    return [type(layer).__name__ for layer in module]


@pytest.mark.parametrize("pool, kernel", [(2, 2), (5, 1)])
def test_bottlenets_units_are_mirrored_convolutions_each_with_batch_norm_and_relu(pool, kernel):
    link = bottlenet.BottleNet(pool, 6, 6)  # as many channels as the map has, at most
    assert layers(link.encoder) == ["Conv2d", "BatchNorm2d", "ReLU"] * 2
    assert layers(link.decoder) == ["ConvTranspose2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "ReLU"]
    shapes = [(layer.kernel_size, layer.stride) for layer in (*link.encoder, *link.decoder)
              if hasattr(layer, "kernel_size")]
    assert shapes == [((1, 1), (1, 1)), 2 * ((kernel, kernel),), 2 * ((kernel, kernel),), ((1, 1), (1, 1))]


def test_bottlenet_cannot_widen_the_map():
    with pytest.raises(InputError):
        bottlenet.BottleNet(2, 6, 7)


# BottleNet++

@pytest.mark.parametrize(("pool", "bandwidth", "side"),
                         [(1, 64, 8), (2, 2048, 4), (2, 2112, 8), (2, 8192, 8), (4, 128, 1), (5, 8, 1)])
def test_bottlenet_plus_sends_unit_power_on_exactly_its_symbols(pool, bandwidth, side):
    size = 32 >> pool
    link = bottlenet.bottlenet_plus(pool, 128, bandwidth, 14.5)
    features = pictures(3, 128, size, size)
    symbols = link.encode(features)
    assert symbols.shape == (3, bandwidth // side**2, side, side)
    assert torch.allclose(symbols.square().mean((1, 2, 3)), torch.ones(3), atol=1e-5)
    assert link(features).shape == features.shape


@pytest.mark.parametrize(("pool", "bandwidth"), [(2, 0), (2, 100), (2, 2064), (2, 8256), (5, 129), (6, 64)])
def test_bottlenet_plus_refuses_what_no_latent_carries(pool, bandwidth):
    with pytest.raises(InputError):
        bottlenet.bottlenet_plus(pool, 128, bandwidth, 14.5)


@pytest.mark.parametrize("bandwidth, up", [(2048, "ConvTranspose2d"), (8192, "Conv2d")])
def test_bottlenet_plus_has_the_published_layers(bandwidth, up):
    link = bottlenet.bottlenet_plus(2, 128, bandwidth, 14.5)
    assert layers(link.encoder) == ["NoisePlane", "Conv2d", "BatchNorm2d", "Sigmoid"]
    assert layers(link.decoder) == [up, "BatchNorm2d", "ReLU"]


def test_the_noise_plane_follows_the_channel():
    link = bottlenet.bottlenet_plus(2, 4, 16, 0)
    for snr_db, sigma in ((0, 1), (20, 0.1)):
        link.channel.snr_db = snr_db
        planes = link.encoder[0](torch.zeros(2, 4, 8, 8))
        assert planes[:, 4].unique().tolist() == pytest.approx([sigma])


def test_evaluation_over_snr_reaches_the_noise_plane():
    pipeline, seen = codec.Pipeline(vgg.vgg16_bn(10, 0.125), 2, bottlenet.bottlenet_plus(2, 16, 64, 5)).eval(), []
    pipeline.link.encoder[1].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0][0, -1, 0, 0]))
    pictures, labels = torch.zeros(2, 3, 32, 32), torch.tensor([0, 1])
    evaluation.over_snr(pipeline.device_half, lambda features: pipeline.edge_half(pipeline.link(features)),
                        pipeline.link.channel, pictures, labels, torch.Tensor.float, [0, 20], 1)
    assert seen == pytest.approx([1, 0.1])


def test_the_whole_map_fits_the_paper_budget_at_pool_2_but_no_device_does_at_pool_3():
    network = vgg.vgg16_bn()
    macs = {}
    for pool, channels, bandwidth in ((2, 128, 8192), (3, 256, 4)):
        link = bottlenet.bottlenet_plus(pool, channels, bandwidth, 14.5)
        size = 32 >> pool
        macs[pool] = (count_macs(vgg.split(network, pool)[0], (3, 32, 32))
                      + count_macs(link.encoder, (channels, size, size)))
    assert macs[2] < 156e6 < macs[3]


def test_the_first_phase_leaves_the_network_alone_and_the_second_does_not(images):
    network = vgg.vgg16_bn(10, 0.125)
    pipeline = codec.Pipeline(network, 2, bottlenet.bottlenet_plus(2, 16, 64, 14.5))
    first, encoder = network.features[0].weight, pipeline.link.encoder[1].weight
    start = first.detach().clone(), encoder.detach().clone()
    schedules = [Schedule(epochs=epochs, lr=1e-4, optimizer="adam", weight_decay=0, batch_size=4)
                 for epochs in (1, 0, 1)]
    labels = torch.arange(len(images))

    def quiet(*arguments, stage):
        return fit(*arguments, seed=len(stage), report=lambda line: None)

    bottlenet.train_in_phases(quiet, pipeline, images, labels, *schedules[:2])
    assert torch.equal(first, start[0]) and not torch.equal(encoder, start[1])
    curve = bottlenet.train_in_phases(quiet, pipeline, images, labels, *schedules[1:])
    assert not torch.equal(first, start[0])
    assert curve.phase.tolist() == [2]


# DeepJSCC

def test_deep_jscc_sends_its_bandwidth_at_unit_power_and_returns_an_image():
    link, pictures = deepjscc.image_link(192, 10), torch.randn(2, 3, 32, 32)
    symbols = link.encode(pictures)
    assert symbols.shape == (2, 3, 8, 8)
    assert torch.allclose(symbols.square().mean((1, 2, 3)), torch.ones(2), atol=1e-5)
    assert link(pictures).shape == pictures.shape


def test_deep_jscc_layers_share_no_activation():
    link = deepjscc.image_link(64, 10)
    activations = [module for module in [*link.encoder, *link.decoder] if isinstance(module, torch.nn.PReLU)]
    assert len(set(activations)) == len(activations) == 9
    assert link.decoder[-1].out_channels == 3


@pytest.mark.parametrize("bandwidth", [0, 32, 100])
def test_deep_jscc_refuses_other_bandwidths(bandwidth):
    with pytest.raises(InputError):
        deepjscc.image_link(bandwidth, 10)


def test_deep_jscc_learns_images_and_feeds_the_whole_network(images):
    link, network = deepjscc.image_link(256, 20), vgg.vgg16_bn(10, 0.125).eval()
    batch = (images.float() - 128) / 64
    curve = fit(link, batch, None, F.mse_loss, Schedule(epochs=60, lr=1e-3, optimizer="adam", batch_size=8), seed=0,
                report=lambda line: None)
    assert curve.loss.iloc[-1] < 0.7 * curve.loss.iloc[0]
    pipeline = deepjscc.ImagePipeline(network, link)
    link.channel.snr_db = 300  # without noise, the pipeline is the network of the restored image
    assert torch.allclose(pipeline(batch), network(link(batch)), atol=1e-4)
    assert count_macs(pipeline.device_half, (3, 32, 32)) == 0
