"""What a study must know of each network: its filters before every split, and the side of the map there. No torch."""

from dataclasses import dataclass
from itertools import chain

from lib import InputError

# Configuration D of Simonyan and Zisserman (2015).
BLOCKS = (2, 2, 3, 3, 3)  # convolutions before each pooling of VGG16
CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
POOLS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Block:
    """A block with a way past it, by its filters at width 1.

    What blocks add to one another is a stream: its filters go together, and are counted once.
    """

    inner: int | None  # of its first convolution; None where it has none (MobileNetV2's first block)
    outer: int | None  # of the stream that it begins; None where it adds to the one that arrives
    stride: int = 1


@dataclass(frozen=True)
class Description:
    """One network. A stage is what stands between two splits; what follows the last split is in no stage."""

    place: str  # after what it is split, in words
    filters: tuple[tuple[int, ...], ...]  # of each stage at width 1: those that can be removed one by one
    halvings: tuple[int, ...]  # of the image's side, up to each split
    stages: tuple[tuple[Block, ...], ...] = ()
    tail: int = 0  # filters of a convolution after the last split

    @property
    def splits(self) -> range:
        """1 to the number of places where it can be split."""
        return range(1, len(self.filters) + 1)

    def check(self, pool: int) -> None:
        """Raise InputError for a split that it does not have."""
        if pool not in self.splits:
            raise InputError(f"The split must be after {self.place} 1 to {len(self.splits)}, not {pool!r}.")


def _of_blocks(stem: int, stages: list[list[Block]], tail: int = 0) -> Description:
    """A network of blocks behind one convolution; each stage but the first halves the map."""
    filters = [[count for block in stage for count in (block.inner, block.outer) if count] for stage in stages]
    filters[0].insert(0, stem)
    return Description("stage", tuple(map(tuple, filters)), tuple(range(len(stages))), tuple(map(tuple, stages)), tail)


def _resnet18() -> Description:
    """He et al. (2016), with the stem of their CIFAR networks: 3×3, stride 1, no pooling."""
    first = [Block(64, None), Block(64, None)]  # both add to what the first convolution gives
    return _of_blocks(64, [first, *([Block(c, c, 2), Block(c, None)] for c in (128, 256, 512))])


def _mobilenet_v2() -> Description:
    """Table 2 of Sandler et al. (2018); the first convolution and the second row keep the size of small images."""
    stages, inputs = [[]], 32
    for expansion, outputs, repeats, stride in ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2),
                                                (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for number in range(repeats):
            first = number == 0
            if first and stride == 2:
                stages.append([])
            stages[-1].append(Block(expansion * inputs if expansion > 1 else None, outputs if first else None,
                                    stride if first else 1))
            inputs = outputs
    return _of_blocks(32, stages, 1280)


_ends = [sum(BLOCKS[:pool]) for pool in (0, *POOLS)]
DESCRIPTIONS = {
    "vgg16_bn": Description("pooling", tuple(CHANNELS[a:b] for a, b in zip(_ends, _ends[1:], strict=False)), POOLS),
    "resnet18": _resnet18(),
    "mobilenet_v2": _mobilenet_v2(),
}


def described(name: str) -> Description:
    """The network of this name; InputError where there is none."""
    if name not in DESCRIPTIONS:
        raise InputError(f"The network must be one of {', '.join(DESCRIPTIONS)}, not {name!r}.")
    return DESCRIPTIONS[name]


def widths(width: float, network: str = "vgg16_bn", pool: int | None = None) -> list[int]:
    """Filters at a relative width, before a split or, without one, of the whole network; those of a stream once."""
    description = described(network)
    if pool is not None:
        description.check(pool)
    filters = [*chain.from_iterable(description.filters[:pool])]
    if pool is None and description.tail:
        filters.append(description.tail)
    # One filter at least, or a narrow test network would have empty layers.
    return [max(1, round(width * count)) for count in filters]
