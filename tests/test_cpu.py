"""What makes a CPU fast changes no number beyond rounding: against PyTorch's own convolutions."""

import platform
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib import cpu, study, training, vgg
from lib.schedule import Schedule


@pytest.fixture(autouse=True)
def few_channels_too(monkeypatch):
    monkeypatch.setattr(cpu, "FEWEST_CHANNELS", 1)


def gradients(convolution, x, outputs):
    """Of the inputs and the parameters, for the given gradient of the outputs."""
    return torch.autograd.grad(convolution(x), [x, *convolution.parameters()], outputs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("n", "inputs", "filters", "height", "width"),
                         [(3, 5, 7, 4, 4), (2, 8, 6, 8, 8), (4, 3, 2, 2, 2), (2, 3, 4, 1, 1), (1, 2, 3, 2, 5),
                          (2, 3, 3, 1, 4), (2, 3, 3, 4, 1), (2, 3, 4, 17, 17)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_those_of_pytorch(n, inputs, filters, height, width, bias, layout):
    convolution = nn.Conv2d(inputs, filters, 3, padding=1, bias=bias).double().to(memory_format=layout)
    x = torch.randn(n, inputs, height, width, dtype=torch.double).to(memory_format=layout).requires_grad_()
    outputs = torch.randn(n, filters, height, width, dtype=torch.double)
    expected = gradients(convolution, x, outputs)
    with cpu.matrix_gradients(nn.Sequential(convolution)):
        found = gradients(convolution, x, outputs)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_weight_gradient_is_the_sum_over_images_and_positions():
    x, outputs = torch.randn(2, 3, 4, 5, dtype=torch.double), torch.randn(2, 6, 4, 5, dtype=torch.double)
    padded = F.pad(x, (1, 1, 1, 1))
    found = cpu.weight_gradient(x, outputs)
    for row in range(3):
        for column in range(3):
            expected = torch.einsum("nohw,nihw->oi", outputs, padded[:, :, row:row + 4, column:column + 5])
            torch.testing.assert_close(found[:, :, row, column], expected)


def test_only_what_asks_for_a_gradient_gets_one():
    frozen = nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 3, 4, 4)
    with cpu.matrix_gradients(frozen):
        assert not frozen(x).requires_grad
        assert torch.autograd.grad(frozen(x.requires_grad_()).sum(), x)[0].shape == x.shape


@pytest.mark.parametrize("settings", [{"kernel_size": 1}, {"padding": 0}, {"stride": 2}, {"dilation": 2, "padding": 2},
                                      {"groups": 2}, {"padding_mode": "circular"}])
def test_other_convolutions_are_left_alone(settings):
    torch.manual_seed(0)
    convolution = nn.Conv2d(4, 6, **{"kernel_size": 3, "padding": 1, **settings})
    x, before = torch.randn(2, 4, 6, 6), convolution(torch.ones(2, 4, 6, 6))
    with cpu.matrix_gradients(convolution):
        assert "forward" not in vars(convolution)
        assert convolution(x).shape == nn.Conv2d.forward(convolution, x).shape
    assert torch.equal(convolution(torch.ones(2, 4, 6, 6)), before)


def test_few_channels_are_left_to_pytorch(monkeypatch):
    monkeypatch.setattr(cpu, "FEWEST_CHANNELS", 5)
    few, many = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(5, 6, 3, padding=1)
    with cpu.matrix_gradients(nn.Sequential(few, many)):
        assert "forward" not in vars(few) and "forward" in vars(many)


def test_a_model_is_left_as_it_was_even_after_an_error():
    network = vgg.vgg16_bn(10, 0.0625)
    with pytest.raises(KeyError), cpu.matrix_gradients(network):
        assert sum("forward" in vars(module) for module in network.modules()) == 13
        raise KeyError
    assert not any("forward" in vars(module) for module in network.modules())


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
    monkeypatch.setattr(cpu, "weight_gradient", lambda *arguments: used.append(1))
    monkeypatch.setattr(cpu, "LARGEST_MAP", 0)
    usual, usual_curve = train()
    assert not used and fast_curve == pytest.approx(usual_curve, rel=1e-9)
    for name, tensor in usual.items():
        torch.testing.assert_close(fast[name], tensor, rtol=1e-6, atol=1e-9)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tells glibc's malloc what to do")
def test_memory_is_kept():
    """New pages in the last of twenty rounds that each make a tensor of 64 MiB: hardly any, or as many as it has."""
    program = """
import resource, torch
from lib import cpu
cpu.keep_memory()
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    kept, usual = (int(subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True,
                                      cwd=study.ROOT).stdout)
                   for text in (program, program.replace("cpu.keep_memory()\n", "")))
    assert kept < 1000 and usual > 16_000
