"""How much work a study is, and how long it takes on this machine."""

import time
from datetime import datetime

from lib import geometry, study
from lib.batch import places

START_UP = 2  # seconds of a run before its notebook's clock starts


def image_passes(settings, item):
    """Roughly the work of a run, in forward passes of one image through the full, unpruned network."""
    images = 5000 if settings.data.name == "mini" else 50_000
    tests = images // 5
    p = item.parameters
    share = {None: 1.0, 1: 0.126, 2: 0.306, 3: 0.607, 4: 0.908, 5: 0.998}[p.get("pool")]  # of the MACs, device half
    device = share * (1 - (p.get("ratio") or 0)) ** 2
    linked = item.step in ("autoencoder", "end_to_end")
    link = _link_share(settings.network.width, p["pool"], p["ratio"], p["bandwidth"]) if linked else 0.0
    evaluated = settings.evaluation.draws * len(settings.snrs_db(p["snr_db"])) if "snr_db" in p else 0

    def trained(schedule, cost):
        return 3 * cost * schedule.epochs * min(schedule.images_per_epoch or images, images)

    pruned = trained(settings.prune.training, 1) + 3 * settings.prune.score_images  # a step of pruning
    if item.step == "pretrain":
        return trained(settings.pretrain, 1) + settings.pretrain.epochs * settings.evaluation.curve_images + tests
    if item.step == "prune":
        total = geometry.total_filters(settings.network.width, p["pool"])
        before = float(item.upstream[0].split("-r")[1].split("-")[0]) if "-r" in item.upstream[0] else 0.0
        done = geometry.filters_to_remove(total, before)
        count = len(geometry.pruning_steps(total, p["ratio"], done, settings.prune.filters_per_step))
        return count * pruned + tests
    if item.step == "autoencoder":
        return images * device + trained(settings.autoencoder, link) + 3 * tests
    if item.step == "end_to_end":
        settings = study.of_run(settings, p)
        return (trained(settings.end_to_end, 1 - share + device + link)
                + tests * (device + evaluated * (1 - share + link)) + settings.end_to_end.epochs * tests / 5)
    if p["scheme"] in ("bottlenet", "bottlenet_plus", "deepjscc"):
        phases = settings.baselines.frozen, settings.baselines.everything
        return sum(trained(phase, 1) for phase in phases) + evaluated * tests
    if p["scheme"] == "separation":  # another code for each SNR
        return tests * (device + (1 - share) * len(settings.snrs_db(p["snr_db"])))
    return tests + (pruned if p["scheme"] == "two_step" else 0)


def _link_share(width, pool, ratio, bandwidth):
    """Multiply-accumulates of encoder and decoder, as a share of the full network's."""
    channels = geometry.widths(width)[sum(geometry.BLOCKS[:pool]) - 1] * (1 - ratio)
    latent, side = geometry.symbol_channels(pool, bandwidth), 32 >> pool
    inner = max(1, side // 2) ** 2
    return (9 * channels * latent * (inner + side**2) + 11 * latent**2 * inner) / (313.8e6 * width**2)


def rate(settings, device):
    """Image passes a second: of the study's finished runs on this kind of device, else measured for a moment.

    Over the time in which any of them ran, so that runs side by side count as they were.
    """
    passes, spans = 0.0, []
    for item in study.runs(settings):
        folder = places.folder_of(settings, item.name)
        if places.finished(folder) and (origin := places.read_result(folder)["provenance"])["device"] == device:
            passes += image_passes(settings, item)
            end = datetime.fromisoformat(origin["end"]).timestamp()
            spans.append((end - origin["seconds"] - START_UP, end))
    return passes / _covered(spans) if passes else _measure(settings)


def _covered(spans):
    """The length of the union of spans (begin, end)."""
    length, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        length += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return length


def _measure(settings):
    """Forward passes of one image a second, from three training steps (three passes each)."""
    import torch

    from lib import stage, vgg

    engine = stage.engine(settings.precision, settings.cuda_graphs, settings.evaluation.batch_size)
    network = engine.place(vgg.vgg16_bn(settings.classes, settings.network.width))
    device = next(network.parameters()).device
    images, times = torch.randn(64, 3, 32, 32, device=device), []
    for _ in range(3):
        began = time.perf_counter()
        with engine.autocast():
            loss = network(images).square().mean()
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return 3 * len(images) / min(times)


def duration(seconds):
    """Seconds as a person says them."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} hours"
