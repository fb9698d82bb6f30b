"""VGG16 with batch normalisation for 32×32 images, and its five splits (Sec. II-B)."""

from collections.abc import Sequence

import torch
from torch import nn

from lib import InputError
from lib.geometry import BLOCKS, POOLS, widths


class VGG(nn.Module):
    """13 × (convolution, batch norm, ReLU) in 5 blocks, each ended by max pooling, then three linear layers."""

    def __init__(self, channels: Sequence[int], num_classes: int, dropout: float = 0.0, bias: bool = True):
        super().__init__()
        # One flat Sequential, in torchvision's order and names: a split is a slice of it.
        layers, inputs, rest = [], 3, iter(channels)
        for convolutions in BLOCKS:
            for _ in range(convolutions):
                filters = next(rest)
                layers += [nn.Conv2d(inputs, filters, 3, padding=1, bias=bias),
                           nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
                inputs = filters
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        # Sec. II-B gives the layers' sizes and says nothing of dropout; the fifth pooling leaves 1×1.
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(channels[-1], 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
            nn.Linear(512, num_classes))
        if dropout:  # inside what has no weights, so that these keep their names
            self.classifier[0] = nn.Sequential(nn.Flatten(), nn.Dropout(dropout))
            self.classifier[2] = nn.Sequential(nn.ReLU(), nn.Dropout(dropout))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # He et al. (2015): fan-out for convolutions as in torchvision's VGG, fan-in for the
                # linear layers.
                mode = "fan_out" if isinstance(module, nn.Conv2d) else "fan_in"
                nn.init.kaiming_normal_(module.weight, mode=mode)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [N, 3, 32, 32] to logits [N, classes]."""
        return self.classifier(self.features(x))


def vgg16_bn(num_classes: int = 100, width: float = 1.0, channels: Sequence[int] | None = None,
             dropout: float = 0.0, bias: bool = True) -> VGG:
    """The network with He initialisation; `width` scales the convolutions only.

    `channels`, 13 counts, rebuilds a pruned network instead. Two things that the paper does not have: `dropout` before
    both hidden layers of the classifier; no `bias` in convolutions, where batch norm takes it away again.
    """
    return VGG(channels or widths(width), num_classes, dropout, bias)


def channels(model: VGG) -> list[int]:
    """The number of filters of each of the 13 convolutions."""
    return [module.out_channels for module in model.features if isinstance(module, nn.Conv2d)]


def channels_at(model: VGG, pool: int) -> int:
    """The number of channels of the feature map at the split."""
    return list(convolutions(model, pool).values())[-1].out_channels


def split(model: VGG, pool: int) -> tuple[nn.Sequential, nn.Sequential]:
    """(device, edge) after pooling 1..5; both share the model's weights, and edge(device(x)) == model(x)."""
    end = split_index(model, pool)
    # Slices of a Sequential share its modules: a step 4 on both halves trains the one network.
    return model.features[:end], nn.Sequential(*model.features[end:], model.classifier)


def split_index(model: VGG, pool: int) -> int:
    """How many modules of `model.features` stand before the split, the pooling included."""
    if pool not in POOLS:
        raise InputError(f"The split must be after pooling 1 to 5, not {pool!r}.")
    return [i for i, module in enumerate(model.features) if isinstance(module, nn.MaxPool2d)][pool - 1] + 1


def convolutions(model: VGG, pool: int) -> dict[str, nn.Conv2d]:
    """{path in named_modules(): convolution} for the layers before the split, in order."""
    return {f"features.{i}": module for i, module in enumerate(model.features[:split_index(model, pool)])
            if isinstance(module, nn.Conv2d)}
