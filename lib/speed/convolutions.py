"""What makes convolutions fast on a CPU: matrix products on small maps, and bfloat16 where the processor has it.

Both change the time alone, up to rounding. PyTorch's library for convolutions (oneDNN) multiplies the padding of
small maps too, which is more than half of the work on a map of 2×2, at a third of the rate of a matrix product.
bfloat16 pays where the processor multiplies such numbers itself: AMX's units have five times float32's rate.

The results of finished runs were made with exactly these sums in this order: another order rounds differently.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Where matrix products were measured to be faster: maps of up to 4×4, and more weights than a core's own cache holds.
SMALL_MAP, MANY_WEIGHTS = 4, 2**19
MANY_WEIGHTS_BFLOAT16 = 2**17  # half the bytes a weight, and the product with patches gains earlier
# Without AVX-512, oneDNN's gradient of the weights is slow on larger maps too, if there are enough channels.
GRADIENT_MAP = 0 if torch.backends.cpu.get_cpu_capability().startswith("AVX512") else 16
GRADIENT_CHANNELS = 64


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions that multiply bfloat16 (AVX-512's; whatever has AMX has them too)."""
    # Elsewhere it would be emulated.
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


@contextlib.contextmanager
def autocast_bfloat16() -> Iterator[None]:
    """For the time of the context, autocast to bfloat16.

    3×3 convolutions of padding 1 on small maps are one product each, which sums in float32 as oneDNN's do.
    """

    def forward(usual: Callable, self: nn.Conv2d, x: Tensor) -> Tensor:
        if (max(x.shape[2:]) <= SMALL_MAP and self.weight.numel() >= MANY_WEIGHTS_BFLOAT16
                and _is_3x3_with_padding_1(self, x)):
            # Cast before: what is saved for the backward pass, outside of autocast, is bfloat16 too.
            bias = None if self.bias is None else self.bias.bfloat16()
            return _PatchConvolution.apply(x.bfloat16(), self.weight.bfloat16(), bias)
        return usual(self, x)

    with torch.autocast("cpu", torch.bfloat16), _replaced_convolutions(forward):
        yield


@contextlib.contextmanager
def matrix_convolutions() -> Iterator[None]:
    """For the time of the context, 3×3 convolutions with padding 1 use matrix products where these are faster."""

    def forward(usual: Callable, self: nn.Conv2d, x: Tensor) -> Tensor:
        largest = max(x.shape[2:])
        small = largest <= SMALL_MAP and self.weight.numel() >= MANY_WEIGHTS
        gradient = largest <= GRADIENT_MAP and self.in_channels >= GRADIENT_CHANNELS
        if (small or gradient) and x.dtype != torch.bfloat16 and _is_3x3_with_padding_1(self, x):
            return _RowConvolution.apply(x, self.weight, self.bias, small)
        return usual(self, x)

    with _replaced_convolutions(forward):
        yield


@contextlib.contextmanager
def _replaced_convolutions(forward: Callable) -> Iterator[None]:
    """For the time of the context, every nn.Conv2d computes `forward(usual, convolution, x)`.

    The class is patched, not the modules: a model stays a plain PyTorch model, whose copies and state dicts are
    those of any other.
    """
    # What stood here before, which may be another patch, is put back whatever happens within.
    usual = nn.Conv2d.forward
    nn.Conv2d.forward = lambda self, x: forward(usual, self, x)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        nn.Conv2d.forward = usual  # type: ignore[method-assign]


def _is_3x3_with_padding_1(convolution: nn.Conv2d, x: Tensor) -> bool:
    """Whether the products below compute this convolution: nothing strided, dilated, grouped, or off the CPU."""
    shape = (convolution.kernel_size, convolution.padding, convolution.stride, convolution.dilation)
    return (shape == ((3, 3), (1, 1), (1, 1), (1, 1)) and convolution.padding_mode == "zeros"
            and convolution.groups == 1 and x.device.type == "cpu"
            and x.dtype in (torch.bfloat16, torch.float32, torch.float64))


# The form for bfloat16: one product with all 3×3 patches of the map. It copies each pixel nine times, and multiplies
# zeros at the border, which AMX's rate outweighs.

class _PatchConvolution(torch.autograd.Function):
    """A convolution and its gradients as one product each with the 3×3 patches of the map."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return _rows_to_map(F.linear(patches(x), weight.permute(0, 2, 3, 1).flatten(1), bias), x)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        inputs, weights, bias = ctx.needs_input_grad
        filters, channels = weight.shape[:2]
        # The gradient by the inputs is a convolution with the kernel turned by 180°.
        backwards = weight.flip(2, 3).permute(2, 3, 0, 1).reshape(9 * filters, channels)
        # Pixels as rows, filters as columns: the layout of the forward product.
        outputs = gradient.permute(0, 2, 3, 1).reshape(-1, filters)
        return (_rows_to_map(patches(gradient) @ backwards, x) if inputs else None,
                (outputs.T @ patches(x)).view(filters, 3, 3, channels).permute(0, 3, 1, 2) if weights else None,
                gradient.sum((0, 2, 3)) if bias else None)


def patches(x: Tensor) -> Tensor:
    """The 3×3 surroundings of each pixel, zero outside the map: [N, C, H, W] to [N·H·W, 9·C]."""
    n, channels, height, width = x.shape
    padded = x.new_zeros(n, height + 2, width + 2, channels)
    padded[:, 1:-1, 1:-1] = x.permute(0, 2, 3, 1)
    image, row, column, _ = padded.stride()
    # Overlapping windows as a view (the kernel's rows and columns step as the map's do); reshape copies once.
    return padded.as_strided((n, height, width, 3, 3, channels), (image, row, column, row, column, 1)).reshape(
        n * height * width, 9 * channels)


def _rows_to_map(rows: Tensor, like: Tensor) -> Tensor:
    """[N·H·W, C] to [N, C, H, W], channels last, with N, H and W of `like`."""
    n, _, height, width = like.shape
    return rows.view(n, height, width, -1).permute(0, 3, 1, 2)


# The form for float32: products of whole map rows, which touch no padding and copy each pixel once. With the patches
# above instead, a training step of the full network takes 17 % more (one core of an AMD EPYC with AVX-512, 2026).

class _RowConvolution(torch.autograd.Function):
    """A convolution whose weights' gradient is matrix products, and, if `small`, all of it."""

    @staticmethod
    def forward(ctx, x, weight, bias, small):
        ctx.save_for_backward(x, weight)
        ctx.small = small
        return convolve(x, weight, bias) if small else F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        inputs, weights, bias, _ = ctx.needs_input_grad
        usual = functools.partial(torch.nn.grad.conv2d_input, x.shape, weight, padding=1)  # type: ignore[attr-defined]
        backwards = functools.partial(input_gradient, weight) if ctx.small else usual
        return (backwards(gradient) if inputs else None, weight_gradient(x, gradient) if weights else None,
                gradient.sum((0, 2, 3)) if bias else None, None)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.conv2d(x, weight, bias, padding=1) of x [N, I, H, W] and weight [O, I, 3, 3]."""
    filters, channels = weight.shape[:2]
    # Rows of the kernel first, which `_correlate` takes one by one.
    kernel = weight.permute(0, 2, 3, 1).reshape(filters, 3, 3 * channels).permute(1, 2, 0)  # a view, channels last
    return _correlate(x, kernel, bias)


def input_gradient(weight: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of `convolve` by its inputs [N, I, H, W], from that by its outputs [N, O, H, W]."""
    filters, channels = weight.shape[:2]
    return _correlate(gradient, weight.flip(2, 3).permute(2, 3, 0, 1).reshape(3, 3 * filters, channels))


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of `convolve` by its weights [O, I, 3, 3], from its inputs and the gradient by its outputs."""
    channels, filters = x.shape[1], gradient.shape[1]
    # Products add up in place; the order of the loop is the order of the sums.
    result = x.new_zeros(filters, 3, 3 * channels)
    inputs, outputs = _rows_first(x), _rows_first(gradient)
    for row, column, columns, taps, above, below in _products(x):
        result[:, row, _side_by_side(taps, channels)].addmm_(
            outputs[below, _side_by_side(column, filters)].T, inputs[above, _side_by_side(columns, channels)])
    return result.view(filters, 3, 3, channels).permute(0, 3, 1, 2)


def _correlate(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """[N, I, H, W] and a kernel [3, 3·I, O] (rows; columns and channels; filters) to [N, O, H, W]."""
    (n, channels, height, width), filters = x.shape, kernel.shape[2]
    inputs, outputs = _rows_first(x), x.new_empty(height * n, width * filters)
    # The bias first, to which the products are added.
    outputs.view(-1, filters).copy_(torch.zeros(()) if bias is None else bias)
    for row, column, columns, taps, above, below in _products(x):
        outputs[below, _side_by_side(column, filters)].addmm_(
            inputs[above, _side_by_side(columns, channels)], kernel[row, _side_by_side(taps, channels)])
    return outputs.view(height, n, width, filters).permute(1, 3, 0, 2).contiguous(memory_format=torch.channels_last)


def _rows_first(x: Tensor) -> Tensor:
    """[N, C, H, W] to [H·N, W·C]: a shift by rows of the map is an offset, neighbouring columns lie side by side."""
    n, channels, height, width = x.shape
    return x.permute(2, 0, 3, 1).reshape(height * n, width * channels)


def _products(x: Tensor) -> Iterator[tuple[int, slice, slice, slice, slice, slice]]:
    """The matrix products of a 3×3 convolution on the map of x [N, C, H, W], none of which touches padding.

    There is one for each row of the kernel and column of the map, over all images and rows. Yields the kernel's
    row, the output's column, the input's columns, the kernel's columns that meet them, and the rows of input and
    output in the layout of `_rows_first`.
    """
    n, _, height, width = x.shape
    for row in range(3):
        up, down = max(0, 1 - row), max(0, row - 1)  # map rows that this row of the kernel misses at either end
        for column in range(width if height > up + down else 0):
            columns = slice(max(0, column - 1), min(width, column + 2))
            taps = slice(columns.start - column + 1, columns.stop - column + 1)
            yield (row, slice(column, column + 1), columns, taps,
                   slice(down * n, (height - up) * n), slice(up * n, (height - down) * n))


def _side_by_side(columns: slice, channels: int) -> slice:
    """Where these columns lie in a row of `_rows_first`, which holds the channels of one column after another."""
    return slice(columns.start * channels, columns.stop * channels)
