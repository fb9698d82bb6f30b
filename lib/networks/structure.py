"""A network taken apart: its two halves at a split, and the filters that can be removed."""

from dataclasses import dataclass, field

from torch import nn

from lib.networks.descriptions import described
from lib.networks.layers import Network


@dataclass
class Filters:
    """The filters of a convolution, and of those that are tied to it by additions: they are removed together."""

    name: str  # of the first of these convolutions, its path in named_modules()
    position: int  # of that one, in `features`
    # Where they have their last effect, as paths: a network without a filter is one with that channel zeroed there.
    seen: list[str] = field(default_factory=list)


def filters(model: Network) -> list[Filters]:
    """All that can be removed, in the order of named_modules()."""
    found, stream = [], None
    for position, module in enumerate(model.features):
        path = f"features.{position}"
        if isinstance(module, nn.Conv2d):
            # Two modules after a convolution comes its ReLU. Before batch norm effects would sum to zero.
            stream = Filters(path, position, [f"features.{position + 2}"])
            found.append(stream)
        elif hasattr(module, "begins"):
            if module.inner:
                found.append(Filters(f"{path}.{module.inner}", position, [f"{path}.{module.seen}"]))
            else:  # a depthwise convolution alone: it takes its filters from the stream, and shows them last
                stream.seen = [f"{path}.{module.seen}"]
            if module.begins:
                stream = Filters(f"{path}.{module.outer}", position)
                found.append(stream)
            stream.seen.append(path)
    return found


def filters_before(model: Network, pool: int) -> list[Filters]:
    """Those before a split: streams end there, so that none is cut."""
    end = split_index(model, pool)
    return [found for found in filters(model) if found.position < end]


def convolutions(model: Network, pool: int) -> dict[str, nn.Conv2d]:
    """{path in named_modules(): convolution} before the split; of a stream its first one."""
    return {found.name: model.get_submodule(found.name) for found in filters_before(model, pool)}


def every_convolution(model: Network) -> dict[str, nn.Conv2d]:
    """`convolutions` of the whole network."""
    return {found.name: model.get_submodule(found.name) for found in filters(model)}


def channels(model: Network) -> list[int]:
    """How many filters `every_convolution` has, each: what `lib.networks.build` rebuilds the network from."""
    return [convolution.out_channels for convolution in every_convolution(model).values()]


def split_index(model: Network, pool: int) -> int:
    """How many modules of `model.features` stand before the split."""
    described(model.name).check(pool)
    return model.splits[pool - 1]


def split(model: Network, pool: int) -> tuple[nn.Sequential, nn.Sequential]:
    """(device, edge); both share the model's weights, and edge(device(x)) == model(x)."""
    end = split_index(model, pool)
    # Slices of a Sequential share its modules: a step 4 on both halves trains the one network.
    return model.features[:end], nn.Sequential(*model.features[end:], model.classifier)


def channels_at(model: Network, pool: int) -> int:
    """The number of channels of the feature map at the split."""
    return feature_shape(split(model, pool)[0])[0]


def feature_shape(half: nn.Sequential, image: tuple[int, int, int] = (3, 32, 32)) -> tuple[int, int, int]:
    """(C, H, W) of the map that a device half makes of an image of this shape."""
    maps, height, width = image
    for module in half:
        stride = getattr(module, "stride", 1)
        stride = stride[0] if isinstance(stride, tuple) else stride
        maps, height, width = getattr(module, "out_channels", maps), height // stride, width // stride
    return maps, height, width
