"""What makes training fast on a CPU: memory that is kept, and weight gradients as matrix products.

Both change the time alone. PyTorch's library for convolutions (oneDNN) reaches the rate of a matrix product in the
forward pass and for the gradient of the inputs; the gradient of the weights takes 1.5 to 5 times as long, the more
the smaller the map.
"""

import contextlib
import ctypes
import functools
import platform

import torch
import torch.nn.functional as F
from torch import nn

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
LARGEST_MAP, FEWEST_CHANNELS = 16, 64  # where `weight_gradient` was found faster


def keep_memory():
    """Let the process keep what it frees: else each large tensor is new memory, page by page, in every step."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextlib.contextmanager
def matrix_gradients(model):
    """For the time of the context, 3×3 convolutions with padding 1 of many channels use `weight_gradient`."""
    convolutions = [module for module in model.modules() if type(module) is nn.Conv2d and _suits(module)]
    for module in convolutions:
        module.forward = functools.partial(_forward, module)
    try:
        yield
    finally:
        for module in convolutions:
            del module.forward


def _suits(convolution):
    shape = (convolution.kernel_size, convolution.padding, convolution.stride, convolution.dilation)
    return (shape == ((3, 3), (1, 1), (1, 1), (1, 1)) and convolution.padding_mode == "zeros"
            and convolution.groups == 1 and convolution.in_channels >= FEWEST_CHANNELS)


def _forward(convolution, x):
    if max(x.shape[2:]) > LARGEST_MAP:
        return nn.Conv2d.forward(convolution, x)
    return _Convolve.apply(x, convolution.weight, convolution.bias)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        inputs, weights, bias = ctx.needs_input_grad
        return (torch.nn.grad.conv2d_input(x.shape, weight, gradient, padding=1) if inputs else None,
                weight_gradient(x, gradient) if weights else None,
                gradient.sum((0, 2, 3)) if bias else None)


def weight_gradient(x, gradient):
    """Gradient [O, I, 3, 3] of a convolution's weights, from its inputs [N, I, H, W] and of its outputs [N, O, H, W].

    Rows of the maps come first, so that a shift by a row is an offset; three matrix products, one for each row of
    the kernel, sum over all images and positions.
    """
    n, channels, height, width = x.shape
    filters = gradient.shape[1]
    x, gradient = x.permute(2, 0, 3, 1), gradient.permute(2, 0, 3, 1).reshape(height, -1, filters)
    columns = x.new_zeros(height, n, width, 3, channels)  # left, middle, right
    columns[:, :, 1:, 0] = x[:, :, :-1]
    columns[:, :, :, 1] = x
    columns[:, :, :-1, 2] = x[:, :, 1:]
    columns = columns.view(height, -1, 3 * channels)
    rows = [gradient[max(0, -shift):height - max(0, shift)].flatten(0, 1).T
            @ columns[max(0, shift):height - max(0, -shift)].flatten(0, 1) for shift in (-1, 0, 1)]
    return torch.stack(rows).view(3, filters, 3, channels).permute(1, 3, 0, 2)
