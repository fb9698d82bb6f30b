"""The counts of the system: layers, filters, symbols. No torch, so that a study is checked in an instant."""

from lib import InputError

# Configuration D of Simonyan and Zisserman (2015).
BLOCKS = (2, 2, 3, 3, 3)  # convolutions before each pooling of VGG16
CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
POOLS = (1, 2, 3, 4, 5)
SYMBOLS_PER_CHANNEL = {1: 64, 2: 16, 3: 4, 4: 1, 5: 1}  # of a 32×32 input, after the encoder's stride
FLOOR = 2  # filters that pruning leaves in every layer


def widths(width: float) -> list[int]:
    """Filters of the 13 convolutions at a relative width."""
    # One filter at least, or a narrow test network would have empty layers.
    return [max(1, round(width * c)) for c in CHANNELS]


def total_filters(width: float, pool: int) -> int:
    """Convolution filters before the split."""
    if pool not in POOLS:
        raise InputError(f"The split must be after pooling 1 to 5, not {pool!r}.")
    return sum(widths(width)[:sum(BLOCKS[:pool])])


def symbol_channels(pool: int, bandwidth: int) -> int:
    """Latent channels that give exactly `bandwidth` real symbols for a 32×32 input.

    Raises InputError (a ValueError) that names the possible bandwidths.
    """
    if pool not in SYMBOLS_PER_CHANNEL:
        raise InputError(f"The split must be after pooling 1 to 5, not {pool!r}.")
    unit = SYMBOLS_PER_CHANNEL[pool]
    if bandwidth < 1 or bandwidth % unit:
        raise InputError(f"After pooling {pool} a bandwidth must be a positive multiple of {unit} "
                         f"({unit}, {2 * unit}, {3 * unit}, …), not {bandwidth}.")
    return int(bandwidth) // unit


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
