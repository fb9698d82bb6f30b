"""Multiply-accumulates, the paper's "FLOPs" (half of its full network is its 156·10⁶)."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(module: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one forward pass on one input (C, H, W).

    Convolutions, linears and GDN's channel product; no bias, batch norm, activation or pooling. torch counts
    two floating-point operations each. The module's mode is left as it was.
    """
    modes = {m: m.training for m in module.modules()}
    reference = next(module.parameters(), torch.empty(0))
    # It counts the operations that run, so that a fused or rewritten layer cannot be forgotten;
    # ptflops, beside it in notebook 01, counts by module.
    counter = FlopCounterMode(display=False)
    try:
        module.eval()
        with torch.no_grad(), counter:
            # Zeros will do: no layer's work depends on what it is given.
            module(torch.zeros(1, *input_shape, device=reference.device))
    finally:
        for m, mode in modes.items():
            m.training = mode
    # Two floating-point operations, a multiplication and an addition, are one of the paper's.
    return counter.get_total_flops() // 2
