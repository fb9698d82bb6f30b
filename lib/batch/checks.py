"""What is refused beyond names, types and ranges: points that cannot be built, runs that would do nothing."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from lib import InputError, geometry
from lib.batch.parameters import Study
from lib.batch.points import PICTURES, RUN_PARAMETERS, SCHEMES, VARIANTS
from lib.batch.runs import FIGURES, NOTEBOOKS, Point, Run, name, resolved
from lib.schedule import Schedule

# Other schemes that ask for no more than pictures, a classifier, or features; the features of SIGNED have both signs.
ANY_NETWORK = (*PICTURES, "label", "separation")
SIGNED = ("mobilenet_v2",)


def first_error(error: ValidationError) -> str:
    """What pydantic found first: where, what, and what was given there."""
    # One sentence, not pydantic's page: the next error shows when this one is mended. A name that is misspelt before
    # the one that is then missing.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in first["loc"])
    words = {"extra_forbidden": "there is no such parameter", "model_type": "names and values are expected here"}
    # Pydantic's words before those of our own checks.
    message = words.get(first["type"], first["msg"].removeprefix("Value error, ").rstrip("."))
    if place:
        message = f"{place}: {message}"
    if not isinstance(first["input"], dict):  # a whole section would fill the screen
        message += f" (given: {first['input']!r})"
    return message


def check_figure(figure: str | None) -> None:
    """Raise InputError for what `--only` cannot be; None, all of them, it can."""
    if figure and figure not in FIGURES:
        raise InputError(f"--only takes one of {', '.join(FIGURES)}, not {figure!r}.")


def run_parameters(step: str, parameters: Point) -> Point:
    """The checked parameters of a run as a notebook's cell gives them: of another scheme, those that it takes."""
    # Their notebook's cell has all parameters, of which each scheme takes some.
    if step == "baselines":
        taken = {"scheme", "snr_db", "seed", *SCHEMES.get(parameters.get("scheme", ""), ())}
        parameters = {name: value if name in taken else None for name, value in parameters.items()}
    try:
        return RUN_PARAMETERS[step](**parameters).model_dump()
    except ValidationError as error:
        raise InputError(f"The notebook's parameters: {first_error(error)}.") from error


def check_point(settings: Study, parameters: Mapping[str, Any]) -> None:
    """Raise InputError when a run of these parameters cannot be built."""
    # A point need not have all; what is missing needs no check.
    point = {"pool": None, "ratio": None, "bandwidth": None, "scheme": None, "variant": None, **parameters}
    pool, ratio = point["pool"], point["ratio"]
    if point["variant"] is not None and point["variant"] not in (*VARIANTS, *settings.readings):
        known = ", ".join([*VARIANTS, *settings.readings])
        raise InputError(f"The study {settings.name} has no variant {point['variant']!r}, only {known}.")
    if point["variant"] == "longer_step4" and not any(item.longer_step4 for item in settings.ablations):
        raise InputError(f"The study {settings.name} has no schedule for the variant longer_step4.")
    # As pruning itself would refuse it, but hours later.
    network, place = settings.network, settings.network.place
    if ratio is not None:
        filters = geometry.widths(network.width, network.name, pool)
        least = sum(min(count, geometry.FLOOR) for count in filters)
        if geometry.filters_to_remove(sum(filters), ratio) > sum(filters) - least:
            raise InputError(f"A pruning ratio of {ratio} up to {place} {pool} would leave a layer "
                             f"fewer than {geometry.FLOOR} filters.")
    # Other schemes have bandwidths of their own, below.
    if point["bandwidth"] is not None and point["scheme"] is None:
        geometry.symbol_channels(pool, point["bandwidth"], settings.data.side, network.name)
        if geometry.map_side(pool, settings.data.side, network.name) == 1:
            _check_last_batch(settings, {"autoencoder": settings.autoencoder, "end_to_end": settings.end_to_end},
                              "the link", pool)
    _check_scheme(settings, point["scheme"])
    last = geometry.described(network.name).splits[-1]
    if point["scheme"] == "label" and pool != last:
        raise InputError(f"The label code is sent from behind the whole network, {place} {last}, not {pool}.")
    settings.channel.check(point["bandwidth"], point["scheme"])
    # Of the unpruned network: other schemes start from that.
    if pool is not None:
        channels = geometry.widths(network.width, network.name, pool)[-1]
        if point["scheme"] == "bottlenet" and point["level"] > channels:
            raise InputError(f"BottleNet reduces the {channels} channels after pooling {pool} to 1 to {channels}, "
                             f"not {point['level']}.")
        if point["scheme"] == "bottlenet_plus":
            _check_bottlenet_plus(pool, channels, point["bandwidth"])
        if point["scheme"] in ("bottlenet", "bottlenet_plus") and pool >= 4 and settings.baselines:
            _check_last_batch(settings, {f"baselines.{phase}": getattr(settings.baselines, phase)
                                         for phase in ("frozen", "everything")}, f"{point['scheme']!r}", pool)


def _check_bottlenet_plus(pool: int, channels: int, bandwidth: int) -> None:
    """It sends up to as many latent channels as the split has, with stride 2 or at the map's full size."""
    factors = (1,) if pool == 5 else (1, 4)  # a map of one pixel has nothing to stride over
    # Stride 1 leaves four times as many pixels as stride 2.
    units = [geometry.SYMBOLS_PER_CHANNEL[pool] * factor for factor in factors]
    if not any(bandwidth % unit == 0 and bandwidth // unit <= channels for unit in units):
        ways = " or ".join(f"{unit} up to {unit * channels}" for unit in units)
        raise InputError(f"After pooling {pool}, BottleNet++ sends multiples of {ways} symbols, not {bandwidth}.")


def _check_scheme(settings: Study, scheme: str | None) -> None:
    """Those that train a link of their own, or prune in their own way, are made for the paper's network and maps."""
    network, side = settings.network.name, settings.data.side
    left = [name for name in ANY_NETWORK if name != "separation" or network not in SIGNED]
    if scheme not in (None, *left) and (network, side) != ("vgg16_bn", 32):
        why = ("quantises features that are not negative, and" if scheme == "separation" else
               "is for vgg16_bn and images of 32 × 32 pixels, and")
        raise InputError(f"The scheme {scheme!r} {why} cannot stand beside {network} and {side} × {side}: of the other "
                         f"schemes, {', '.join(left)} are left.")


def train_images(settings: Study) -> int:
    """How many images the study's training set has."""
    return settings.data.counts[1]


def _check_last_batch(settings: Study, schedules: Mapping[str, Schedule], what: str, pool: int) -> None:
    """Its maps have a single pixel there, so that batch norm needs two images in every batch."""
    for section, schedule in schedules.items():
        images = min(schedule.images_per_epoch or train_images(settings), train_images(settings))
        if images % schedule.batch_size == 1:
            raise InputError(f"{section}: {images} images in batches of {schedule.batch_size} leave one image "
                             f"for the last, which {what} after pooling {pool} cannot train on.")


def check_prune(settings: Study, listed: Mapping[str, Run], run: Run) -> None:
    """Raise InputError for a pruning run that removes no filter after the one that it starts from."""
    if run.step != "prune":
        return
    pool, ratio = run.parameters["pool"], run.parameters["ratio"]
    network = settings.network
    total = geometry.total_filters(network.width, pool, network.name)
    # The pretrained network, at the head of the chain, has no ratio.
    before = listed[run.upstream[0]].parameters.get("ratio", 0)
    if geometry.filters_to_remove(total, ratio) == geometry.filters_to_remove(total, before):
        raise InputError(f"A pruning ratio of {ratio:g} up to {network.place} {pool} removes as many of the "
                         f"{total} filters as {before:g}.")


def check_pretraining(settings: Study, other: Study) -> None:
    """Raise InputError when `other`, the study that step 1 is taken from, trains it in another way."""
    if other.pretrain_from or other.source != settings.pretrain_from:
        raise InputError(f"pretrain_from must name a profile in params/ that trains its own step 1, "
                         f"not {settings.pretrain_from!r}.")
    # Parameter by parameter: two studies may share step 1 and differ in all else.
    for seed in settings.seeds:
        run = Run(name("pretrain", seed=seed), NOTEBOOKS["pretrain"], {"seed": seed}, [])
        ours, theirs = resolved(settings, run), resolved(other, run)
        if different := [key for key in ours if ours[key] != theirs[key]]:
            raise InputError(f"Step 1 cannot be taken from {other.name}, whose {' and '.join(different)} differ.")
