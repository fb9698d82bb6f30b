"""What all networks share: the way from the last map to the classifier, their first weights, and `Network` itself."""

from collections.abc import Sequence

import torch
from torch import nn


class Network(nn.Module):
    """A flat Sequential `features`, of which a split is a slice, then `classifier`."""

    def __init__(self, name: str, features: Sequence[nn.Module], classifier: nn.Sequential, splits: Sequence[int]):
        """`splits` says how many modules of `features` stand before each split."""
        super().__init__()
        self.name, self.splits = name, tuple(splits)
        self.features, self.classifier = nn.Sequential(*features), classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [N, 3, S, S] to logits [N, classes]."""
        return self.classifier(self.features(x))


class Flatten(nn.Flatten):
    """[N, C, H, W] to [N, C]: the mean over the map, which of small images has a single pixel behind VGG16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if x.shape[-1] == 1 else x.mean((2, 3))


def initialise(network: nn.Module) -> None:
    """He et al. (2015): fan-out for convolutions as in torchvision's VGG, fan-in for the linear layers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            mode = "fan_out" if isinstance(module, nn.Conv2d) else "fan_in"
            nn.init.kaiming_normal_(module.weight, mode=mode)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
