"""The rungs and nets of a ladder in numbers, over seeds and SNRs."""

import statistics
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lib.ladder import records
from lib.recipe.any_point_parameters import OneModel
from lib.study import Study

CLASSIFIES = ("logits", "words")  # what an encoder begins with, if the device classifies


@dataclass
class Summary:
    """What docs/best.md says: accuracies in percent, None for what is not computed yet.

    Of a rung with several seeds, their mean and standard deviation. `reference` is what the unpruned network has that a
    net or a rung comes from, without a channel; `below` and `below_control` are how far a rung is away on each half of
    the test images, from that and from its control.
    """

    clean: float | None
    rungs: list[dict[str, Any]]
    views: list[dict[str, Any]]
    nets: list[dict[str, Any]]
    variants: dict[str, OneModel]  # the one model and its variants

    @property
    def of(self) -> dict[str, dict[str, Any]]:
        """The rungs and nets by name."""
        return {row["name"]: row for row in [*self.rungs, *self.nets]}

    def label(self, net: str, symbols: int, snr_db: float) -> float | None:
        """Accuracy of a net's label code; None where it was not computed."""
        return self.of[net]["label"].get((symbols, snr_db))

    def codecs(self, snr_db: float) -> list[dict[str, Any]]:
        """The computed rungs at this SNR, but for those that begin as the label code: the opponent, hardly changed."""
        return [rung for rung in self.rungs
                if rung["accuracy"] is not None and rung["start"] != "words" and rung["snr_db"] == snr_db]

    def codes(self) -> list[dict[str, Any]]:
        """Label codes of the nets: symbols, SNR, accuracy, operations of the device (10⁶), net and reference."""
        return [{"net": net["name"], "symbols": symbols, "snr_db": snr_db, "accuracy": accuracy,
                 "operations": net["macs"][5] + net["classifier"], "reference": net["reference"]}
                for net in self.nets for (symbols, snr_db), accuracy in net["label"].items()]

    def for_one_snr(self, name: str, snr_db: float) -> float | None:
        """Accuracy of the rung that is trained as the rung `name` is, but for this SNR alone; None without one."""
        recipe = self.of[name]["recipe"]
        return next((rung["accuracy"] for rung in self.rungs
                     if rung["recipe"] == recipe and not rung["any_snr"] and rung["snr_db"] == snr_db), None)


def summary(settings: Study) -> Summary:
    """The rungs and views of a study, in the order of its file."""
    spec, rows, right = records.ladder(settings), [], {}
    for name, rung in spec.rungs.items():
        found = _stored(settings, name)
        metrics = found[0]["metrics"] if found else {}
        accuracies = [100 * stored["metrics"]["accuracy"] for stored in found]
        right_here = metrics.get("right_on_views", {})
        right |= right_here if rung.net is None else {}  # each net is sure of others
        bandwidth, snr_db = records.point(settings, name)
        rows.append({"name": name, "about": rung.about, "expect": rung.expect, "over_snr": _mean_over_snr(found),
                     "start": rung.start, "classifies": rung.start in CLASSIFIES, "any_snr": bool(rung.snr_range),
                     "net": rung.net, "pool": rung.pool, "ratio": spec.pruned(rung.net)[1], "right": right_here,
                     "snr_db": snr_db, "bandwidth": bandwidth,
                     "accuracy": statistics.mean(accuracies) if found else None, "trainings": len(found),
                     "below": _below(found, "reference"), "below_control": _below(found, "control"),
                     "recipe": rung.model_dump(exclude={"about", "expect", "snr_db", "snr_range"}),
                     "deviation": statistics.stdev(accuracies) if len(found) > 1 else None,
                     "macs": _scaled(metrics.get("device_macs"), 1e-6),
                     "minutes": _scaled(metrics.get("seconds"), 1 / 60)})
    views = [{"name": name, **view.model_dump(), "right": _scaled(right.get(name), 100)}
             for name, view in spec.views.items()]
    stored = records.read(settings, records.CLEAN)
    clean = _scaled(stored["metrics"]["accuracy"], 100) if stored else None
    nets = {name: _net_row(settings, name) for name in spec.nets}
    alone = {None: clean, **{name: net["accuracy"] for name, net in nets.items()}}
    for row in [*rows, *nets.values()]:
        row["reference"] = alone[spec.unpruned(row["net"])]
    return Summary(clean, rows, views, list(nets.values()), spec.ones)


def aims(settings: Study) -> pd.DataFrame:
    """A row an aim: the codec that comes nearest to it, where one was tried, and whether it is reached.

    Points are below its own unpruned network without a channel, on all test images and on each half (which a record
    before 29 November 2026 does not say), and below its control on each half. The label code is the best one of a net
    within the same limits, with at most as many symbols and all of the net on the device; codecs that begin as a label
    code do not count.
    """
    spec, found = records.ladder(settings), summary(settings)
    return pd.DataFrame([_aim(spec, aim, found) for aim in spec.aims])


def _aim(spec, aim, found):
    limits = ["" if aim.operations is None else f"{aim.operations:g}·10⁶ operations at most",
              "" if aim.ratio is None else f"ratio {aim.ratio:g}"]
    codes = [(code["reference"] - code["accuracy"], code["operations"]) for code in found.codes()
             if code["symbols"] <= aim.bandwidth and code["snr_db"] == spec.snr_db
             and _meets(spec, aim, code["net"], aim.pool, code["operations"])]
    code = f"{_points(min(codes)[0])}, {min(codes)[1]:.1f}·10⁶" if codes else "none"
    row = {"after pooling": aim.pool, "symbols": aim.bandwidth, "with": ", ".join(filter(None, limits)),
           "best codec": "", "device classifies": "", "operations (10⁶)": None, "points below": None,
           "on the halves": "", "below its control": "", "best label code": code,
           "reached": "not tried"}
    tried = [rung for rung in found.codecs(spec.snr_db) if rung["bandwidth"] == aim.bandwidth
             and _meets(spec, aim, rung["net"], rung["pool"], rung["macs"])]
    if not tried:
        return row
    best = min(tried, key=lambda rung: (_reached(aim, rung) != "yes", rung["reference"] - rung["accuracy"]))
    return row | {"best codec": f"`{best['name']}`", "device classifies": "yes" if best["classifies"] else "no",
                  "operations (10⁶)": best["macs"], "points below": best["reference"] - best["accuracy"],
                  "on the halves": _both(best["below"]), "below its control": _both(best["below_control"]),
                  "reached": _reached(aim, best)}


def _meets(spec, aim, net, pool, operations):
    pruned_at, ratio = spec.pruned(net)
    return pool == aim.pool and (aim.operations is None or operations <= aim.operations) and (
        aim.ratio is None or pruned_at == aim.pool and ratio >= aim.ratio)


def _reached(aim, rung):
    if rung["below"]:
        return "yes" if max(rung["below"].values()) <= aim.below else "no"
    return "no" if rung["reference"] - rung["accuracy"] > aim.below else "not judged on halves"


def _both(below):
    return ", ".join(map(_points, below.values()))


def _points(below):
    return f"{below:.1f}".replace("-", "−")


def _below(found, what):
    """{half of the test images: points below `reference` or `control` on it}, the mean of a rung's records.

    Empty where one does not say it.
    """
    if not found or any(what not in stored["metrics"] for stored in found):
        return {}
    return {half: 100 * statistics.mean(
        stored["metrics"][what][f"accuracy_{half}"] - stored["metrics"][f"accuracy_{half}"] for stored in found)
        for half in ("selecting", "reporting")}


def _net_row(settings, name):
    net, stored = records.ladder(settings).nets[name], records.read(settings, records.NET + name) or {}
    metrics = stored.get("metrics", {})
    macs = {int(pool): value / 1e6 for pool, value in stored.get("device_macs", {}).items()}
    return {"name": name, "net": name, "of": net.of, "about": net.about, "expect": net.expect, "macs": macs,
            "classifier": _scaled(metrics.get("classifier_macs"), 1e-6),
            "accuracy": _scaled(metrics.get("accuracy"), 100), "minutes": _scaled(metrics.get("seconds"), 1 / 60),
            "label": {(row["symbols"], row["snr_db"]): 100 * row["accuracy"] for row in stored.get("label", [])}}


def over_snr(settings: Study, name: str) -> dict[float, float]:
    """A rung's accuracy in percent at each SNR, the mean of its seeds; empty where it is not computed."""
    return _mean_over_snr(_stored(settings, name))


def _mean_over_snr(found):
    curves = [stored.get("over_snr", {}) for stored in found]
    return {float(snr): 100 * statistics.mean(curve[snr] for curve in curves) for snr in (curves[0] if curves else ())}


def _stored(settings, name):
    """A rung's records, one a seed; none without that of the ladder's own seed."""
    found = [records.read(settings, record) for record in records.seeds(settings, name)]
    return [stored for stored in found if stored] if found[0] else []


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value
