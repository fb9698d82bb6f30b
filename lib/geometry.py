"""The counts of the system: layers, filters, symbols. No torch, so that a study is checked in an instant."""

from lib import InputError
from lib.networks.descriptions import BLOCKS, CHANNELS, POOLS, described, widths  # noqa: F401

FLOOR = 2  # filters that pruning leaves in every layer


def total_filters(width: float, pool: int, network: str = "vgg16_bn") -> int:
    """Convolution filters before the split; those that additions tie together count as one."""
    return sum(widths(width, network, pool))


def map_side(pool: int, side: int = 32, network: str = "vgg16_bn") -> int:
    """The side of the feature map at a split, of images of side × side pixels."""
    description = described(network)
    description.check(pool)
    return side >> description.halvings[pool - 1]


def symbols_per_channel(size: int) -> int:
    """Symbols of one latent channel, for a map of size × size: the encoder halves it, unless it is a single pixel."""
    return max(1, size // 2) ** 2


def symbol_channels(pool: int, bandwidth: int, side: int = 32, network: str = "vgg16_bn") -> int:
    """Latent channels that give exactly `bandwidth` real symbols for images of side × side pixels.

    Raises InputError (a ValueError) that names the possible bandwidths.
    """
    size = map_side(pool, side, network)
    return latent_channels(size, bandwidth, f"After {described(network).place} {pool}")


def latent_channels(size: int, bandwidth: int, where: str = "For this map") -> int:
    """`symbol_channels` for a map of size × size; `where` begins the message."""
    if size > 1 and size % 2:
        raise InputError(f"{where} the map's side is {size}, which is odd: the encoder cannot halve it.")
    unit = symbols_per_channel(size)
    if bandwidth < 1 or bandwidth % unit:
        raise InputError(f"{where} a bandwidth must be a positive multiple of {unit} "
                         f"({unit}, {2 * unit}, {3 * unit}, …), not {bandwidth}.")
    return int(bandwidth) // unit


SYMBOLS_PER_CHANNEL = {pool: symbols_per_channel(map_side(pool)) for pool in POOLS}  # of VGG16 and 32×32 pixels


def filters_to_remove(total: int, ratio: float) -> int:
    """The number of filters that a pruning ratio in [0, 1) removes."""
    if not 0 <= ratio < 1:
        raise InputError(f"A pruning ratio must be at least 0 and below 1, not {ratio}.")
    return round(ratio * total)


def pruning_steps(total: int, ratio: float, done: int, filters_per_step: int, tenths: bool = True) -> list[int]:
    """How many filters each pruning step removes to reach `ratio` of `total`, `done` being gone already.

    `filters_per_step` at a time, or a tenth of `total` where that is more than there are (pools 1 and 2), the
    last step cut short. Without `tenths`, all in one cut there.
    """
    # Sec. II-D removes 512 filters a step; before poolings 1 and 2 there are only 128 and 384.
    size = filters_per_step if filters_per_step < total or not tenths else max(1, round(total / 10))
    left = filters_to_remove(total, ratio) - done
    return [min(size, left - start) for start in range(0, left, size)]
