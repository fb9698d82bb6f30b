"""ResNet-18 and MobileNetV2 for small images, both as blocks that add to a stream (He, 2016; Sandler, 2018)."""

from collections.abc import Sequence

import torch
from torch import nn

from lib.networks.descriptions import described, widths
from lib.networks.layers import Flatten, Network, initialise


def _normalised(inputs, outputs, kernel, stride=1, groups=1):
    """A convolution that keeps the size, but for its stride, and its batch norm."""
    return (nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs))


class Basic(nn.Module):
    """ResNet's block: two 3×3 convolutions, and past them the input, or a 1×1 convolution where a stream begins."""

    inner, outer = "conv1", "conv2"  # the convolution of its own filters, and the one that adds to the stream
    seen = "relu1"  # where its own filters have their last effect

    def __init__(self, inputs: int, filters: int, outputs: int, stride: int, begins: bool):
        super().__init__()
        self.stride, self.begins = stride, begins
        self.conv1, self.bn1 = _normalised(inputs, filters, 3, stride)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = _normalised(filters, outputs, 3)
        self.shortcut = nn.Sequential(*_normalised(inputs, outputs, 1, stride)) if begins else nn.Identity()
        self.relu2 = nn.ReLU(inplace=True)

    @property
    def out_channels(self) -> int:
        """Of the stream behind the block; asked anew, since pruning changes it."""
        return self.conv2.out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] to [N, outputs, H/stride, W/stride]."""
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + self.shortcut(x))


class Inverted(nn.Module):
    """MobileNetV2's block: widened by 1×1, a 3×3 filter a channel, narrowed by 1×1 without ReLU, and what arrived."""

    outer, seen = "project", "relu2"

    def __init__(self, inputs: int, filters: int | None, outputs: int, stride: int, begins: bool):
        super().__init__()
        self.stride, self.begins = stride, begins
        self.inner = "expand" if filters else None
        if filters:
            self.expand, self.bn1 = _normalised(inputs, filters, 1)
            self.relu1 = nn.ReLU6(inplace=True)
        filters = filters or inputs
        self.depthwise, self.bn2 = _normalised(filters, filters, 3, stride, groups=filters)
        self.relu2 = nn.ReLU6(inplace=True)
        self.project, self.bn3 = _normalised(filters, outputs, 1)

    @property
    def out_channels(self) -> int:
        """Of the stream behind the block; asked anew, since pruning changes it."""
        return self.project.out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] to [N, outputs, H/stride, W/stride]."""
        wide = self.relu1(self.bn1(self.expand(x))) if self.inner else x
        narrow = self.bn3(self.project(self.relu2(self.bn2(self.depthwise(wide)))))
        return narrow if self.begins else x + narrow


def build(name: str, classes: int, width: float = 1.0, channels: Sequence[int] | None = None,
          dropout: float = 0.0) -> Network:
    """The network of this name with He initialisation, or a pruned one of these `channels`."""
    description, rest = described(name), iter(channels or widths(width, name))
    block_type, relu = (Basic, nn.ReLU) if name == "resnet18" else (Inverted, nn.ReLU6)
    stream = next(rest)
    layers, splits = [*_normalised(3, stream, 3), relu(inplace=True)], []
    for stage in description.stages:
        for block in stage:
            filters = next(rest) if block.inner else None
            outputs = next(rest) if block.outer else stream
            layers.append(block_type(stream, filters, outputs, block.stride, begins=bool(block.outer)))
            stream = outputs
        splits.append(len(layers))
    if description.tail:
        inputs, stream = stream, next(rest)
        layers += [*_normalised(inputs, stream, 1), relu(inplace=True)]
    network = Network(name, layers, nn.Sequential(Flatten(), nn.Dropout(dropout), nn.Linear(stream, classes)), splits)
    initialise(network)
    return network
