"""What makes training fast on a GPU: a step recorded once and replayed, with no Python between its kernels."""

import gc
from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # steps before the recording: libraries choose their kernels, the optimizer makes its buffers


class Recorded:
    """A function of tensors, recorded as a CUDA graph at its fourth call and replayed from then on.

    Every call counts, also those that run as usual: the first ones, and later ones of other shapes (an epoch's
    last batch). The function changes tensors in place and returns nothing; what it reads beside its arguments
    (weights, learning rates, buffers) must stay where it is in memory. Its time alone changes, up to rounding.
    """

    def __init__(self, function: Callable[..., None]):
        self.function, self.graph, self.calls = function, None, 0
        self.stream = torch.cuda.Stream()

    def __call__(self, *tensors: Tensor) -> None:
        shapes = [tensor.shape for tensor in tensors]
        self.calls += 1
        if self.calls == 1:
            self.shapes = shapes
        if shapes != self.shapes or self.calls <= WARM_UP:
            self._as_usual(tensors)
            return
        if self.graph is None:
            self._record(tensors)
        # A replay reads and writes the memory of the recording, so new arguments are copied there. Random numbers
        # are drawn anew: PyTorch registers its CUDA generator's offset with the graph.
        for own, given in zip(self.inputs, tensors, strict=True):
            own.copy_(given)
        self.graph.replay()  # type: ignore[attr-defined]

    def _as_usual(self, tensors: tuple[Tensor, ...]) -> None:
        """On the stream that recording takes, as CUDA graphs ask of the steps before."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.function(*tensors)
        torch.cuda.current_stream().wait_stream(self.stream)

    def _record(self, tensors: tuple[Tensor, ...]) -> None:
        gc.collect()  # recordings and activations that nobody needs any more, which may be most of the memory
        # What runs within the context is recorded without being executed.
        self.inputs = [tensor.clone() for tensor in tensors]
        self.graph = torch.cuda.CUDAGraph()  # type: ignore[assignment]
        with torch.cuda.graph(self.graph, stream=self.stream):  # type: ignore[arg-type]
            self.function(*self.inputs)
