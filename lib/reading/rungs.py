"""The rungs and nets of a ladder in numbers, over seeds and SNRs."""

import statistics
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lib.ladder import records
from lib.study import Study


@dataclass
class Summary:
    """What docs/best.md says: accuracies in percent, None for what is not computed yet.

    Of a rung with several seeds, their mean and standard deviation. `reference` is what the unpruned network has that a
    net or a rung comes from, without a channel, and `below` how far a rung is away on each half of the test images.
    """

    clean: float | None
    rungs: list[dict[str, Any]]
    views: list[dict[str, Any]]
    nets: list[dict[str, Any]]

    @property
    def of(self) -> dict[str, dict[str, Any]]:
        """The rungs and nets by name."""
        return {row["name"]: row for row in [*self.rungs, *self.nets]}

    def label(self, net: str, symbols: int, snr_db: float) -> float | None:
        """Accuracy of a net's label code; None where it was not computed."""
        return self.of[net]["label"].get((symbols, snr_db))

    def best_at(self, snr_db: float, bandwidth: int, start: str) -> float | None:
        """The greatest accuracy of rungs of this start that were trained for this point alone; None without one."""
        found = [rung["accuracy"] for rung in self.rungs if rung["accuracy"] is not None and not rung["any_snr"]
                 and rung["net"] is None
                 and (rung["snr_db"], rung["bandwidth"], rung["start"]) == (snr_db, bandwidth, start)]
        return max(found, default=None)


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
                     "start": rung.start, "any_snr": bool(rung.snr_range), "net": rung.net, "pool": rung.pool,
                     "right": right_here,
                     "snr_db": snr_db, "bandwidth": bandwidth,
                     "accuracy": statistics.mean(accuracies) if found else None, "trainings": len(found),
                     "below": _below(found),
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
    return Summary(clean, rows, views, list(nets.values()))


def aims(settings: Study) -> pd.DataFrame:
    """A row an aim: the codec that comes nearest to it, where one was tried, and whether it is reached.

    Points are below its own unpruned network without a channel: on all test images, and on each half, which a record
    before 29 November 2026 does not say. `label code` is that of the same net with as many symbols. Codecs that begin
    as the label code do not count.
    """
    spec, found = records.ladder(settings), summary(settings)
    tried = [rung for rung in found.rungs
             if rung["accuracy"] is not None and rung["start"] != "words" and rung["snr_db"] == spec.snr_db]
    return pd.DataFrame([_aim(aim, [rung for rung in tried if _meets(spec, aim, rung)], found) for aim in spec.aims])


def _meets(spec, aim, rung):
    pool, ratio = spec.pruned(rung["net"]) or (0, 0.0)
    return (rung["pool"], rung["bandwidth"]) == (aim.pool, aim.bandwidth) and (
        aim.operations is None or rung["macs"] <= aim.operations) and (
        aim.ratio is None or pool == aim.pool and ratio >= aim.ratio)


def _aim(aim, rungs, found):
    limits = ["" if aim.operations is None else f"{aim.operations:g}·10⁶ operations at most",
              "" if aim.ratio is None else f"ratio {aim.ratio:g}"]
    row = {"after pooling": aim.pool, "symbols": aim.bandwidth, "with": ", ".join(filter(None, limits)),
           "points below, at most": f"{aim.below:g}", "best codec": "none was tried", "operations (10⁶)": None,
           "points below": None, "on one half": None, "on the other": None, "label code": None, "reached": "no"}
    if not rungs:
        return row
    best = min(rungs, key=lambda rung: (not rung["below"] or _worst(rung) > aim.below, _worst(rung)))
    code = found.label(best["net"], aim.bandwidth, best["snr_db"]) if best["net"] and aim.pool == 5 else None
    reached = "no" if _worst(best) > aim.below else "yes" if best["below"] else "not judged on halves"
    return row | {"best codec": f"`{best['name']}`", "operations (10⁶)": best["macs"],
                  "points below": best["reference"] - best["accuracy"], "on one half": best["below"].get("selecting"),
                  "on the other": best["below"].get("reporting"),
                  "label code": None if code is None else best["reference"] - code, "reached": reached}


def _worst(rung):
    """Points below on the worse half; on all test images, where the record does not say halves."""
    return max(rung["below"].values(), default=rung["reference"] - rung["accuracy"])


def _below(found):
    """{half of the test images: points below the unpruned network on it}, the mean of a rung's records; empty where one
    does not say it, as those before 29 November 2026.
    """
    if not found or any("reference" not in stored["metrics"] for stored in found):
        return {}
    return {half: 100 * statistics.mean(
        stored["metrics"]["reference"][f"accuracy_{half}"] - stored["metrics"][f"accuracy_{half}"] for stored in found)
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
