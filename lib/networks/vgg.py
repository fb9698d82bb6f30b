"""VGG16 with batch normalisation for small images (Sec. II-B)."""

from collections.abc import Sequence

from torch import nn

from lib.networks.descriptions import BLOCKS, widths
from lib.networks.layers import Flatten, Network, initialise


class VGG(Network):
    """13 × (convolution, batch norm, ReLU) in 5 blocks, each ended by max pooling, then three linear layers."""

    def __init__(self, channels: Sequence[int], num_classes: int, dropout: float = 0.0, bias: bool = True):
        # One flat Sequential, in torchvision's order and names: a split is a slice of it.
        layers, splits, inputs, rest = [], [], 3, iter(channels)
        for convolutions in BLOCKS:
            for _ in range(convolutions):
                filters = next(rest)
                layers += [nn.Conv2d(inputs, filters, 3, padding=1, bias=bias),
                           nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
                inputs = filters
            layers.append(nn.MaxPool2d(2))
            splits.append(len(layers))
        # Sec. II-B gives the layers' sizes and says nothing of dropout; of 32×32 pixels the fifth pooling leaves one.
        classifier = nn.Sequential(
            Flatten(), nn.Linear(channels[-1], 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
            nn.Linear(512, num_classes))
        if dropout:  # inside what has no weights, so that these keep their names
            classifier[0] = nn.Sequential(Flatten(), nn.Dropout(dropout))
            classifier[2] = nn.Sequential(nn.ReLU(), nn.Dropout(dropout))
        super().__init__("vgg16_bn", layers, classifier, splits)
        initialise(self)


def vgg16_bn(num_classes: int = 100, width: float = 1.0, channels: Sequence[int] | None = None,
             dropout: float = 0.0, bias: bool = True) -> VGG:
    """The network with He initialisation; `width` scales the convolutions only.

    `channels`, 13 counts, rebuilds a pruned network instead. Two things that the paper does not have: `dropout` before
    both hidden layers of the classifier; no `bias` in convolutions, where batch norm takes it away again.
    """
    return VGG(channels or widths(width), num_classes, dropout, bias)
