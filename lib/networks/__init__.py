"""The classification networks of small images, and where each can be split and pruned.

`descriptions` says so without torch; `build` makes one, `structure` takes it apart.
"""

from collections.abc import Sequence
from typing import Any


def build(name: str, classes: int = 100, width: float = 1.0, channels: Sequence[int] | None = None,
          dropout: float = 0.0, bias: bool = True) -> Any:
    """`vgg16_bn`, `resnet18` or `mobilenet_v2`, an `nn.Module` with He initialisation; `width` scales convolutions.

    Images [N, 3, S, S], S a multiple of 32, to logits [N, classes]. `channels` (`structure.channels`) rebuilds a pruned
    network instead. `dropout` is the classifier's; `bias` is that of VGG16's convolutions, the others have none.
    Raises InputError for an unknown name.
    """
    # Here, because it needs torch, and a study is checked without.
    from lib.networks import residual, vgg
    from lib.networks.descriptions import described

    described(name)
    if name == "vgg16_bn":
        return vgg.vgg16_bn(classes, width, channels, dropout, bias)
    return residual.build(name, classes, width, channels, dropout)
