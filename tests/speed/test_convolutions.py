"""What makes a CPU fast changes no number beyond rounding: against PyTorch's own convolutions."""

import itertools
import pathlib
import platform
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib import evaluation, stage, study, training, vgg
from lib.schedule import Schedule
from lib.speed import convolutions


@pytest.fixture(autouse=True)
def for_any_number_of_channels(monkeypatch):
    monkeypatch.setattr(convolutions, "MANY_WEIGHTS", 0)
    monkeypatch.setattr(convolutions, "GRADIENT_CHANNELS", 1)
    monkeypatch.setattr(convolutions, "GRADIENT_MAP", 16)


def gradients(convolution, x, outputs):
    """Outputs, and gradients of the inputs and the parameters for the given gradient of the outputs."""
    made = convolution(x)
    return [made, *torch.autograd.grad(made, [x, *convolution.parameters()], outputs)]


SHAPES = [(3, 5, 7, 4, 4), (2, 8, 6, 8, 8), (4, 3, 2, 2, 2), (2, 3, 4, 1, 1), (1, 2, 3, 2, 5), (2, 3, 3, 1, 4),
          (2, 3, 3, 4, 1), (2, 3, 4, 17, 17)]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(params=itertools.product(SHAPES, [True, False], LAYOUTS, LAYOUTS), ids=str)
def case(request):
    """A convolution, inputs and a gradient by its outputs, in double precision."""
    (n, inputs, filters, height, width), bias, layout, outputs_layout = request.param
    convolution = nn.Conv2d(inputs, filters, 3, padding=1, bias=bias).double().to(memory_format=layout)
    x = torch.randn(n, inputs, height, width, dtype=torch.double).to(memory_format=layout).requires_grad_()
    outputs = torch.randn(n, filters, height, width, dtype=torch.double).to(memory_format=outputs_layout)
    return convolution, x, outputs


def test_outputs_and_gradients_are_those_of_pytorch(case):
    convolution, x, outputs = case
    expected = gradients(convolution, x, outputs)
    with convolutions.matrix_convolutions():
        found = gradients(convolution, x, outputs)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_weight_gradient_is_the_sum_over_images_and_positions():
    x, outputs = torch.randn(2, 3, 4, 5, dtype=torch.double), torch.randn(2, 6, 4, 5, dtype=torch.double)
    padded = F.pad(x, (1, 1, 1, 1))
    found = convolutions.weight_gradient(x, outputs)
    for row in range(3):
        for column in range(3):
            expected = torch.einsum("nohw,nihw->oi", outputs, padded[:, :, row:row + 4, column:column + 5])
            torch.testing.assert_close(found[:, :, row, column], expected)


def test_only_what_asks_for_a_gradient_gets_one():
    frozen = nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 3, 4, 4)
    with convolutions.matrix_convolutions():
        assert not frozen(x).requires_grad
        assert torch.autograd.grad(frozen(x.requires_grad_()).sum(), x)[0].shape == x.shape


@pytest.fixture
def products(monkeypatch):
    """A list that grows with each convolution that is matrix products, in full (True) or its gradient alone."""
    used, usual = [], convolutions._RowConvolution.forward
    monkeypatch.setattr(convolutions._RowConvolution, "forward", staticmethod(
        lambda ctx, *arguments: used.append(arguments[-1]) or usual(ctx, *arguments)))
    return used


@pytest.mark.parametrize("settings", [{"kernel_size": 1}, {"padding": 0}, {"stride": 2}, {"dilation": 2, "padding": 2},
                                      {"groups": 2}, {"padding_mode": "circular"}])
def test_other_convolutions_are_left_alone(settings, products):
    convolution = nn.Conv2d(4, 6, **{"kernel_size": 3, "padding": 1, **settings})
    x = torch.randn(2, 4, 4, 4)
    expected = convolution(x)
    with convolutions.matrix_convolutions():
        assert torch.equal(convolution(x), expected) and not products


def test_large_maps_and_few_weights_are_left_to_pytorch(monkeypatch, products):
    monkeypatch.setattr(convolutions, "MANY_WEIGHTS", 9 * 4 * 6)
    monkeypatch.setattr(convolutions, "GRADIENT_MAP", 0)
    few, enough = nn.Conv2d(4, 5, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
    with convolutions.matrix_convolutions():
        for convolution, size, used in ((few, 4, []), (enough, 5, []), (enough, 4, [True])):
            convolution(torch.randn(2, 4, size, size))
            assert products == used


def test_larger_maps_of_many_channels_have_their_gradient_alone(monkeypatch, products):
    monkeypatch.setattr(convolutions, "GRADIENT_CHANNELS", 5)
    with convolutions.matrix_convolutions():
        for channels, size, used in ((4, 8, []), (5, 17, []), (5, 16, [False])):
            nn.Conv2d(channels, 6, 3, padding=1)(torch.randn(2, channels, size, size))
            assert products == used


def test_half_precision_is_left_to_pytorch(products):
    convolution, x = nn.Conv2d(4, 6, 3, padding=1).bfloat16(), torch.randn(2, 4, 2, 2).bfloat16()
    with convolutions.matrix_convolutions():
        assert convolution(x).dtype == torch.bfloat16 and not products


def test_convolutions_are_left_as_they_were_even_after_an_error():
    usual = nn.Conv2d.forward
    with pytest.raises(KeyError), convolutions.matrix_convolutions():
        assert nn.Conv2d.forward is not usual
        raise KeyError
    assert nn.Conv2d.forward is usual


def test_a_map_of_one_pixel_meets_the_kernels_centre_alone():
    x, weight = torch.randn(3, 4, 1, 1), torch.randn(5, 4, 3, 3)
    torch.testing.assert_close(convolutions.convolve(x, weight)[..., 0, 0], x[..., 0, 0] @ weight[..., 1, 1].T)


# bfloat16

@pytest.fixture
def patched(monkeypatch):
    """A list that grows with each convolution that is one product with the patches of its map."""
    used, usual = [], convolutions._PatchConvolution.forward
    monkeypatch.setattr(convolutions, "MANY_WEIGHTS_BFLOAT16", 0)
    monkeypatch.setattr(convolutions._PatchConvolution, "forward", staticmethod(
        lambda ctx, *arguments: used.append(1) or usual(ctx, *arguments)))
    return used


def test_products_with_patches_are_pytorchs_convolutions(case):
    convolution, x, outputs = case
    expected = gradients(convolution, x, outputs)
    convolution.forward = lambda x: convolutions._PatchConvolution.apply(x, convolution.weight, convolution.bias)
    for ours, theirs in zip(gradients(convolution, x, outputs), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_bfloat16_rounds_once_what_float32_computes(patched):
    """Outputs and gradients are float32's up to the rounding of inputs and results, as those of autocast are."""
    convolution = nn.Conv2d(64, 48, 3, padding=1)
    x, outputs = torch.randn(8, 64, 4, 4, requires_grad=True), torch.randn(8, 48, 4, 4)
    expected = gradients(convolution, x, outputs)
    with torch.autocast("cpu", torch.bfloat16):
        usual = gradients(convolution, x, outputs.bfloat16())
    with convolutions.autocast_bfloat16():
        found = gradients(convolution, x, outputs.bfloat16())
    assert patched and found[0].dtype == torch.bfloat16 and {part.dtype for part in found[1:]} == {torch.float32}
    for ours, theirs, exact in zip(found, usual, expected, strict=True):
        error, usual_error = ((part - exact).norm() / exact.norm() for part in (ours, theirs))
        assert error < 0.01 and error < 1.2 * usual_error


def test_only_small_maps_and_many_weights_are_products_with_patches(monkeypatch, patched):
    monkeypatch.setattr(convolutions, "MANY_WEIGHTS_BFLOAT16", 9 * 4 * 6)
    few, enough = nn.Conv2d(4, 5, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
    strided = nn.Conv2d(4, 6, 3, stride=2, padding=1)
    with convolutions.autocast_bfloat16():
        for convolution, size, used in ((few, 4, 0), (strided, 4, 0), (enough, 5, 0), (enough, 4, 1)):
            assert convolution(torch.randn(2, 4, size, size)).dtype == torch.bfloat16
            assert len(patched) == used


def test_training_in_bfloat16_follows_float32(pictures, make_network, patched):
    images, labels = pictures
    curves = [training.fit(make_network(), images, labels, F.cross_entropy,
                           Schedule(epochs=3, lr=0.001, batch_size=16, nesterov=True), seed=3, augmented=True,
                           prepare=lambda batch: (batch.float() - 120) / 65, engine=training.Engine(bfloat16=bfloat16),
                           report=lambda line: None).loss.tolist() for bfloat16 in (False, True)]
    assert patched and curves[0] != curves[1] == pytest.approx(curves[0], rel=0.02)


@pytest.mark.skipif(torch.cuda.is_available(), reason="chooses between two ways of a CPU")
@pytest.mark.parametrize("profile, able, expected",
                         [("gpu", True, True), ("gpu", False, False), ("quick", True, False)])
def test_bfloat16_is_for_processors_that_multiply_it(profile, able, expected, monkeypatch):
    monkeypatch.setattr(convolutions, "multiplies_bfloat16", lambda: able)
    assert stage.engine(study.load(profile).precision, True, 100).bfloat16 == expected


def test_the_processor_tells_whether_it_multiplies_bfloat16():
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    assert convolutions.multiplies_bfloat16() == ("avx512_bf16" in flags)


def test_evaluation_agrees_with_pytorchs_own_convolutions(pictures, products):
    images, _ = pictures
    network = vgg.vgg16_bn(10, 0.125).double().eval()
    with torch.inference_mode():
        expected = network(images.double())
    found = evaluation.forward(network, images, torch.Tensor.double)
    assert products.count(True) == 6  # the maps of 4×4 and 2×2
    torch.testing.assert_close(found, expected.float())


def test_training_agrees_with_pytorchs_own_gradients(pictures, monkeypatch):
    """In double precision, so that rounding stays rounding over the steps."""
    images, labels = pictures

    def train():
        torch.manual_seed(0)
        network = vgg.vgg16_bn(10, 0.125).double()
        curve = training.fit(network, images, labels, F.cross_entropy,
                             Schedule(epochs=2, lr=0.01, batch_size=16, nesterov=True), seed=3, augmented=True,
                             prepare=lambda batch: (batch.double() - 120) / 65, report=lambda line: None)
        return network.state_dict(), curve.loss.tolist()

    fast, fast_curve = train()
    used = []
    monkeypatch.setattr(convolutions, "weight_gradient", lambda *arguments: used.append(1))
    monkeypatch.setattr(convolutions, "SMALL_MAP", 0)
    monkeypatch.setattr(convolutions, "GRADIENT_MAP", 0)
    usual, usual_curve = train()
    assert not used and fast_curve == pytest.approx(usual_curve, rel=1e-9)
    for name, tensor in usual.items():
        torch.testing.assert_close(fast[name], tensor, rtol=1e-6, atol=1e-9)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tells glibc's malloc what to do")
def test_memory_is_kept():
    """New pages in the last of twenty rounds that each make a tensor of 64 MiB: hardly any, or as many as it has."""
    program = """
import resource, torch
from lib.speed import memory
memory.keep_memory()
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    kept, usual = (int(subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True,
                                      cwd=study.ROOT).stdout)
                   for text in (program, program.replace("memory.keep_memory()\n", "")))
    assert kept < 1000 and usual > 16_000
