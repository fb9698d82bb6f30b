"""The paper's claims C1–C9, each judged from a study's results."""

import numpy as np
import pandas as pd

from lib import flops, results, study, vgg

REPRODUCED, NOT, UNRESOLVED, UNMEASURED = "reproduced", "not reproduced", "not resolved", "not measured at this profile"
PAPER_HALF = 156e6  # operations the paper allows the device, half of its full network
MOST_SYMBOLS = 64 * 16 * 16  # of BottleNet++: the map after pooling 1
CLAIMS = {  # what the paper says and what decides
    "C1": ("the full network needs about 2 × 156·10⁶ operations", "within 2 %"),
    "C2": ("pool 2, ratio 0.5: 24.3·10⁶ operations on the device", "within 10 %, with or without the encoder"),
    "C3": ("4·10⁶ operations give about 3× less bandwidth than sending the PNG",
           "a model of Figure 3 after pool 1 with at most 4.8·10⁶ and PNG/2.5 symbols, within 2 points on both halves"),
    "C4": ("512 → 8 symbols after pool 5 with 156·10⁶ operations",
           "a model of Figure 3 after pool 5 with 8 symbols and at most 160·10⁶, within 2 points on both halves"),
    "C5": ("within 156·10⁶ operations, 1024× less bandwidth than BottleNet++",
           "the fewest symbols of each within that budget, in Figure 3, on both halves; BottleNet++ can send 16,384"),
    "C6": ("up to ratio 0.5, the loss from pruning shrinks as SNR falls",
           "the loss at ≤ 0 dB against that at ≥ 14.5 dB, where ratio 0 is above 5 × chance"),
    "C7": ("very high ratios follow the same trend over SNR", "drop from 20 to 0 dB within 3 points of ratio 0's"),
    "C8": ("bandwidths agree at high SNR; the smaller, the sharper the fall",
           "spread at 20 dB at most 2 points; drop to 0 dB larger for each smaller B"),
    "C9": ("pruned JSCC needs less of both than BottleNet++ and BottleNet",
           "every selected model of theirs in Figure 3 needs more of both than one of ours, on both halves")}
FIGURE3 = {  # of the claims about it: the other schemes and which of our models are needed
    "C3": ({"png"}, {"pool": 1}), "C4": (set(), {"pool": 5, "bandwidth": 8}), "C5": ({"bottlenet_plus"}, {}),
    "C9": ({"bottlenet_plus", "bottlenet"}, {})}


def judge(table, settings):
    """One row a claim: what the paper says, what decides, the verdict and the numbers it rests on.

    A claim is judged when all runs that it needs are finished, and its numbers so far are told before.
    """
    points, longer = (results.figure3(table, settings, variant) for variant in ("proposed", "longer_step4"))
    full_width = settings.network.width == 1.0 and settings.data.name == "cifar100"
    verdicts = {"C1": _c1(settings), "C2": _c2(table), "C3": _c3(points, longer), "C4": _c4(points, longer),
                "C5": _c5(points), "C6": _c6(table, settings), "C7": _c7(table, settings),
                "C8": _c8(table, settings), "C9": _c9(points)}
    listed, rows = study.runs(settings), []
    for claim, (text, criterion) in CLAIMS.items():
        verdict, numbers = verdicts[claim]
        needed = {run.name for run in listed if _needs(claim, run)}
        done = len(needed & set(table.run))
        if not full_width and claim not in ("C6", "C7", "C8"):
            verdict, numbers = UNMEASURED, "the claim is about the full network on all of CIFAR-100"
        elif done < len(needed):
            numbers = f"{done} of the {len(needed)} runs it needs" + f"; so far: {numbers}" * (verdict != UNMEASURED)
            verdict = UNMEASURED
        rows.append({"claim": claim, "the paper says": text, "judged by": criterion, "verdict": verdict,
                     "numbers": numbers})
    return pd.DataFrame(rows)


def _needs(claim, run):
    """Whether a claim is not judged without this run of the study."""
    point = run.parameters
    if claim in FIGURE3:
        schemes, ours = FIGURE3[claim]
        return "figure3" in run.figures and (
            point["scheme"] in schemes if run.step == "baselines" else
            run.step == "end_to_end" and ours.items() <= point.items())
    if run.step != "end_to_end":
        return False
    figure4, ratio, snr_db = any(f.startswith("figure4") for f in run.figures), point["ratio"], point["snr_db"]
    return {"C6": figure4 and ratio <= 0.5 and not 0 < snr_db < 14.5,
            "C7": figure4 and (ratio == 0 or ratio > 0.5) and snr_db in (0, 20),
            "C8": "figure5" in run.figures and snr_db in (0, 20)}.get(claim, False)


def _c1(settings):
    macs = flops.count_macs(vgg.vgg16_bn(settings.classes, settings.network.width), (3, 32, 32))
    return REPRODUCED if abs(macs / (2 * PAPER_HALF) - 1) <= 0.02 else NOT, f"{macs / 1e6:.1f}·10⁶ multiply-accumulates"


def _c2(table):
    models = results.end_to_end(table.drop_duplicates("run"), pool=2, ratio=0.5)
    if models.empty:
        return UNMEASURED, ""
    counts = [*models.device_half_macs, *models.device_macs]
    near = any(abs(count / 24.3e6 - 1) <= 0.1 for count in counts)
    whole = [f"{_millions(own.device_macs)} (B = {b:.0f})" for b, own in models.groupby("bandwidth")]
    return REPRODUCED if near else NOT, (f"device half {_millions(models.device_half_macs)} ·10⁶; with its encoder "
                                         f"{', '.join(whole)} ·10⁶")


def _millions(counts):
    """Counts in 10⁶, as a range where networks (of several seeds) differ."""
    return " to ".join(dict.fromkeys(f"{count / 1e6:.1f}" for count in (counts.min(), counts.max())))


def _c3(points, longer):
    png = points[points.scheme == "PNG"]
    tried, longer = (models[(models.scheme == results.PROPOSED) & (models.pool == 1)] for models in (points, longer))
    if png.empty or tried.empty:
        return UNMEASURED, "needs the PNG baseline and models after pooling 1"
    most = png.symbols.iloc[0] / 2.5
    verdict, best = _within_budget(tried, (tried.device_macs <= 4.8e6) & (tried.symbols <= most),
                                   (tried.device_macs >= 4.8e6) & (tried.symbols >= most))
    return verdict, (f"PNG {png.symbols.iloc[0]:.0f} symbols; {best.symbols:.0f} symbols at "
                     + _on_the_other_half(best) + _beside(longer))


def _c4(points, longer):
    tried, longer = (models[(models.scheme == results.PROPOSED) & (models.pool == 5) & (models.symbols == 8)]
                     for models in (points, longer))
    if tried.empty:
        return UNMEASURED, "needs models after pooling 5 with 8 symbols"
    verdict, best = _within_budget(tried, tried.device_macs <= 160e6, tried.device_macs >= 160e6)
    return verdict, _on_the_other_half(best) + _beside(longer)


def _within_budget(tried, meets, exceeds):
    """The verdict on "a model within this budget is good enough", and the model that speaks most for it.

    Without a model within the budget, those that exceed it can still deny the claim.
    """
    asked = tried[meets] if meets.any() else tried[exceeds]
    verdict = (REPRODUCED if (meets & tried.holds).any() else
               NOT if len(asked) and asked.denied.all() else UNRESOLVED)
    best = next(models.sort_values(order) for models, order in (
        (asked[asked.holds], "symbols"), (asked[asked.within], "symbols"), (asked, "loss"), (tried, "loss"))
        if len(models))
    return verdict, best.iloc[0]


def _on_the_other_half(model):
    return (f"{model.device_macs / 1e6:.1f}·10⁶ operations, {100 * model.loss:.1f} points below the baseline on the "
            "half that selected nothing")


def _beside(longer):
    """The ablations' longer step 4 in words, which decides nothing: Figure 3's models all have the study's own."""
    return "".join(f"; not counted, after a longer step 4: {model.symbols:.0f} symbols at {_on_the_other_half(model)}"
                   for model in longer.itertuples())


def _c5(points):
    schemes = ("BottleNet++", results.PROPOSED)
    if not set(schemes) <= set(points.scheme):
        return UNMEASURED, "needs BottleNet++"
    budget = points[points.device_macs <= PAPER_HALF]
    theirs, ours = (budget[budget.scheme == scheme] for scheme in schemes)
    told = [f"{scheme} {models[models.within].symbols.min():.0f} symbols" if models.within.any() else
            f"no model of {scheme}" for scheme, models in zip(schemes, (theirs, ours), strict=True)]
    # a fewest number of symbols that no model has is NaN, which decides nothing
    least = theirs[~theirs.denied].symbols.min() / ours[ours.holds].symbols.min()
    most = np.fmin(theirs[theirs.holds].symbols.min(), MOST_SYMBOLS) / ours[~ours.denied].symbols.min()
    return (REPRODUCED if least >= 1024 else NOT if most < 1024 else UNRESOLVED,
            f"within the budget and the tolerance: {', '.join(told)}")


def _c6(table, settings):
    spec, numbers, verdicts = settings.figure4, [], []
    for panel in spec.panels:
        curves = _by_class(table, settings, f"figure4{panel}")
        for ratio in [r for r in spec.ratios if 0 < r <= 0.5 and r in curves and 0.0 in curves]:
            snrs = _common(curves, 0.0, ratio)
            usable = [snr for snr in snrs if curves[0.0][snr].mean() > 5 / settings.classes]
            low, high = [s for s in usable if s <= 0], [s for s in usable if s >= 14.5]
            if low and high:
                gap = {snr: curves[0.0][snr] - curves[ratio][snr] for snr in usable}
                shrink = np.mean([gap[s] for s in high], axis=0) - np.mean([gap[s] for s in low], axis=0)
                verdicts.append(_sign(shrink))
                numbers.append(f"4{panel}, ratio {ratio:g}: loss {_percent(np.mean([gap[s] for s in low], axis=0))} at "
                               f"≤ 0 dB, {_percent(np.mean([gap[s] for s in high], axis=0))} at ≥ 14.5 dB")
    return _all(verdicts), "; ".join(numbers)


def _c7(table, settings):
    spec, numbers, verdicts = settings.figure4, [], []
    for panel in spec.panels:
        curves = _by_class(table, settings, f"figure4{panel}")
        for ratio in [r for r in spec.ratios if r > 0.5 and r in curves and 0.0 in curves]:
            if {0.0, 20.0} <= set(_common(curves, 0.0, ratio)):
                drops = {r: curves[r][20.0] - curves[r][0.0] for r in (0.0, ratio)}
                mean, error = _mean_error(drops[ratio] - drops[0.0])
                verdicts.append(_at_most(0.03, abs(mean), error))
                told = {r: f"{_percent(drop)} of {100 * curves[r][20.0].mean():.1f} points "
                           f"({100 * drop.mean() / curves[r][20.0].mean():.1f} %)" for r, drop in drops.items()}
                numbers.append(f"4{panel}, ratio {ratio:g}: drop from 20 to 0 dB {told[ratio]}, at ratio 0 {told[0.0]}")
    return _all(verdicts), "; ".join(numbers)


def _c8(table, settings):
    curves = _by_class(table, settings, "figure5")
    bandwidths = sorted(b for b in curves if {0.0, 20.0} <= set(curves[b]))
    if len(bandwidths) < 2:
        return UNMEASURED, ""
    top = sorted((curves[b][20.0] for b in bandwidths), key=np.mean)
    drops = [curves[b][20.0] - curves[b][0.0] for b in bandwidths]
    verdicts = [_at_most(0.02, *_mean_error(top[-1] - top[0]))]
    verdicts += [_sign(small - large) for small, large in zip(drops, drops[1:], strict=False)]
    return _all(verdicts), (f"spread {_percent(top[-1] - top[0])} points at 20 dB; drop to 0 dB " + ", ".join(
        f"{_percent(drop)} (B = {b:.0f})" for b, drop in zip(bandwidths, drops, strict=True)))


def _c9(points):
    schemes = ("BottleNet++", "BottleNet", results.PROPOSED)
    if not set(schemes) <= set(points.scheme):
        return UNMEASURED, "needs BottleNet++ and BottleNet"
    ours, theirs = points[points.scheme == results.PROPOSED], points[points.scheme.isin(schemes[:2])]

    def beaten(theirs, ours):
        return [((ours.symbols < row.symbols) & (ours.device_macs < row.device_macs)).any()
                for row in theirs.itertuples()]

    selected, within = theirs[theirs.selected], set(points[points.within].scheme)
    lacking = [name for name in schemes if name not in within]
    told = []
    if len(selected):
        count = sum(beaten(selected, ours[ours.within]))
        told.append(f"{count} of {len(selected)} selected points of theirs are dominated")
    if lacking:
        told.append(f"no model of {' or '.join(lacking)} is within the tolerance")
    if not all(beaten(theirs[theirs.holds], ours[~ours.denied])):
        verdict = NOT
    elif set(schemes[:2]) & set(lacking) or not all(beaten(theirs[~theirs.denied], ours[ours.holds])):
        verdict = UNRESOLVED
    else:
        verdict = REPRODUCED
    return verdict, "; ".join(told)


def _by_class(table, settings, figure):
    """{ratio or bandwidth: {snr_db: accuracy [seeds, classes], mean over draws}}, `matched` only.

    Of the seeds that have all of these points, so that curves are paired by seed too.
    """
    points = results.figure_points(table, settings, figure)
    points = points[points.reading == "matched"]
    place = ["bandwidth" if figure == "figure5" else "ratio", "snr_db"]
    seeds = set(points.seed).intersection(*(group.seed for _, group in points.groupby(place)))
    images = 100  # test images a class
    curves = {}
    for (key, snr), group in points[points.seed.isin(seeds)].groupby(place):
        by_seed = [np.mean(own.right_by_class.tolist(), axis=0) for _, own in group.groupby("seed")]
        curves.setdefault(key, {})[snr] = np.stack(by_seed) / images
    return curves


def _common(curves, *keys):
    return sorted(set.intersection(*(set(curves[key]) for key in keys)))


def _mean_error(by_class):
    """Mean of [seeds, classes] and its standard error over the classes and, with several seeds, over these too.

    The comparison is paired by class, seed and noise.
    """
    seeds, classes = by_class.shape
    variance = by_class.mean(0).var(ddof=1) / classes + (by_class.mean(1).var(ddof=1) / seeds if seeds > 1 else 0)
    return by_class.mean(), np.sqrt(variance)


def _sign(by_class):
    mean, error = _mean_error(by_class)
    return UNRESOLVED if abs(mean) < 2 * error else REPRODUCED if mean > 0 else NOT


def _at_most(limit, value, error):
    return REPRODUCED if value + 2 * error <= limit else NOT if value - 2 * error > limit else UNRESOLVED


def _percent(by_class):
    mean, error = _mean_error(by_class)
    return f"{100 * mean:.1f} ± {100 * error:.1f}"


def _all(verdicts):
    if not verdicts:
        return UNMEASURED
    return NOT if NOT in verdicts else UNRESOLVED if UNRESOLVED in verdicts else REPRODUCED


def choices(settings):
    """What the paper leaves open or what this study changes: the parameter, the paper, what is taken here."""
    paper = {
        "data": "CIFAR-100", "width": "1", "batch size": "not given",
        "pretrain": "60 epochs, 0.01, ×0.1 after 20 and 40", "prune": "512 filters a step, 10 epochs at 0.0001",
        "autoencoder": "40 epochs at 0.1, L1 loss", "end to end": "0.0001, “other parameters unchanged”: read as "
        "60 epochs, ×0.1 after 20 and 40", "filters per step where there are fewer than 512": "not given",
        "power constraint": "mean square ≤ 1", "upsampling": "not given", "PReLU": "not given",
        "epoch reported": "not given", "step 3 features": "each training image", "L2 penalty": "on network parameters",
        "floor of a layer": "not given", "SNR of training": "multiple training runs for different SNRs"}

    def schedule(s):
        part = f" of {s.images_per_epoch} images" if s.images_per_epoch else ""
        how = "Adam" if s.optimizer == "adam" else f"momentum {s.momentum:g}" + (", Nesterov" if s.nesterov else "")
        return f"{s.epochs} epoch{'s' * (s.epochs > 1)}{part}, rate {s.lr:g} ({s.decay}), {how}, L2 {s.weight_decay:g}"

    here = {
        "data": f"{settings.data.name}, {settings.classes} classes", "width": f"{settings.network.width:g}",
        "batch size": f"{settings.pretrain.batch_size}", "pretrain": schedule(settings.pretrain),
        "prune": f"{settings.prune.filters_per_step} filters a step, {schedule(settings.prune.training)}",
        "autoencoder": schedule(settings.autoencoder), "end to end": schedule(settings.end_to_end),
        "filters per step where there are fewer than 512": "a tenth of the filters before the split",
        "power constraint": "per image, with equality", "upsampling": "nearest, ×2",
        "PReLU": "one slope a channel", "epoch reported": "the last",
        "step 3 features": "of unaugmented images, device half in evaluation mode, half precision",
        "L2 penalty": "on every parameter but GDN's β and γ", "floor of a layer": "2 filters",
        "SNR of training": "matched (a model each SNR) and fixed (14.5 dB), shown apart"}
    rows = [(choice, paper[choice], taken) for choice, taken in here.items()]
    return pd.DataFrame([*rows, *_scheme_choices(settings, schedule)], columns=["choice", "paper", "here"])


def _scheme_choices(settings, schedule):
    """The same for the other schemes: what this paper says of them and what is taken."""
    other = settings.baselines
    if other is None:
        return []
    block = f"the normal approximation with a block error rate of {other.block_error:g}"
    return [
        ("digital schemes: symbols", "Shannon capacity", f"bits / capacity; {block} " + (
            "in Figure 3" if settings.figure3.finite_blocklength else "stands beside (symbols_finite)")),
        ("digital schemes: below the design SNR", "not given", "chance"),
        ("learned schemes, phase 1 (network frozen)", "not given", schedule(other.frozen)),
        ("learned schemes, phase 2 (everything)", "not given", schedule(other.everything)),
        ("JPEG: header", "not given", "the same for every picture and not counted (symbols_with_header counts it); PNG "
         "and WebP count whole"),
        ("BottleNet: codec", "not given", f"grey JPEG of quality {other.jpeg_quality}, without its header"),
        ("BottleNet++: channel", "not given", "our power constraint and SNR; the encoder alone sees the noise level"),
        ("BottleNet++: kernels", "not given", "2×2 with stride 2, 3×3 with stride 1 towards the whole map"),
        ("JALAD, two-step pruning, separation: code tables", "not given", f"from {other.learning_images} training "
         "images, known to both ends"),
        ("two-step pruning: second step", "not given", f"{other.split_layer_ratio:g} of the split layer's filters"),
        ("DeepJSCC: image autoencoder", "not given", f"{schedule(other.image)}; " + (
            "with GDN" if other.image_gdn else "without GDN, as published")),
        ("separation: code", "not given", "one step for all channels, arithmetic coding; of six such codes that fit, "
         f"the one that classifies {other.tried_images} training images best")]
