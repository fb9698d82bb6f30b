"""The tables of docs/channels.md, and of the lesson on channels, from what params/channels.yaml has stored."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from lib.ladder import over, records
from lib.ladder.records import SEPARATION
from lib.opponent import separation
from lib.recipe.parameters import Ladder
from lib.study import Study

REFERENCE = "awgn"  # the entry whose models are tried over the others' channels


def compared(settings: Study) -> pd.DataFrame:
    """A row a channel and SNR: accuracies in percent of the models trained on it and on noise alone, each for that SNR,
    of separation and its outage. Empty where nothing is computed.
    """
    rows, stored = over.table(settings), records.read(settings, SEPARATION)
    ladder, found = records.ladder(settings), []
    codes = pd.DataFrame(stored["points"]) if stored else None
    matched = rows[rows.train_snr_db == rows.snr_db]
    for name, entry in ladder.over.items():
        if entry.symbols is not None or entry.snrs_db:  # constellations are another question
            continue
        for snr_db in ladder.snrs_db:
            row = {"channel": name, "snr_db": snr_db}
            for column, trained in (("trained on it", name), ("trained on noise alone", REFERENCE)):
                here = matched[(matched.entry == trained) & (matched.over == name) & (matched.snr_db == snr_db)]
                row[column] = 100 * here.accuracy.mean() if len(here) else None
            row |= {"separation": None, "its outage": None}
            if codes is not None:
                share, lost = separation.accuracy(codes, entry.channel, snr_db, ladder.bandwidth, 1 / settings.classes)
                row |= {"separation": 100 * share, "its outage": 100 * lost}
            found.append(row)
    table = pd.DataFrame(found)
    return table.astype({column: float for column in table.columns.drop("channel")})


def by_snr(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """One column of `compared`, a row a channel and a column an SNR."""
    wide = table.pivot_table(index="channel", columns="snr_db", values=column, sort=False, dropna=False)
    return wide.rename(columns=lambda snr: f"{snr:g} dB".replace("-", "−")).reset_index()


def constellations(settings: Study) -> pd.DataFrame:
    """A row an entry with seeds of its own: mean accuracy in percent, spreads over seeds and draws, and the difference
    to free symbols, seed by seed, with its standard error.
    """
    rows, found, free = over.table(settings), [], None
    for name, entry in records.ladder(settings).over.items():
        mine = rows[(rows.entry == name) & (rows.snr_db == rows.train_snr_db)]
        if not entry.snrs_db:
            continue
        by_seed = 100 * mine.groupby("seed").accuracy.mean()
        free = by_seed if entry.symbols is None else free
        difference = by_seed - free
        found.append({"symbols": name, "expected": entry.expect, "accuracy (%)": by_seed.mean(),
                      "over seeds (sd)": by_seed.std(),
                      "over noise draws (sd)": 100 * mine.draws.map(lambda draws: pd.Series(draws).std()).mean(),
                      "against free (points)": difference.mean(), "± (standard error)": difference.sem()})
    return pd.DataFrame(found)


def expectations(settings: Study) -> pd.DataFrame:
    """What was expected of each entry."""
    return pd.DataFrame([{"entry": f"`{name}`", "what": entry.about, "expected": entry.expect}
                         for name, entry in records.ladder(settings).over.items()])


@dataclass
class Tables:
    """What docs/channels.md shows of a study."""

    settings: Study

    @property
    def ladder(self) -> Ladder:
        """Its point, and the SNRs of training."""
        return records.ladder(self.settings)

    @property
    def draws(self) -> int:
        """Noise draws of each evaluation."""
        return self.settings.evaluation.draws

    @property
    def expectations(self) -> pd.DataFrame:
        """What was expected."""
        return expectations(self.settings)

    @cached_property
    def compared(self) -> pd.DataFrame:
        """All channels, and separation."""
        return compared(self.settings)

    def by_snr(self, column: str) -> pd.DataFrame:
        """One of its columns, over the SNR."""
        return by_snr(self.compared, column)

    def at(self, name: str, snr_db: float, column: str) -> float:
        """One number of it, in percent; KeyError where there is none, so that no sentence rests on nothing."""
        value = self.compared.set_index(["channel", "snr_db"]).loc[(name, snr_db), column]
        if value != value:
            raise KeyError(f"{name} at {snr_db:g} dB has no {column} yet")
        return value

    @property
    def constellations(self) -> pd.DataFrame:
        """Discrete constellations against free symbols."""
        return constellations(self.settings)

    @property
    def formats(self) -> pd.DataFrame | None:
        """The digital opponent's packets; None where it has not run."""
        return formats(self.settings) if digital(self.settings) else None

    @property
    def stored_formats(self) -> dict[str, dict]:
        """What is stored of each format; empty where nothing is."""
        return (digital(self.settings) or {"formats": {}})["formats"]

    @property
    def cliffs(self) -> list[tuple[str, pd.DataFrame]]:
        """Each format's name, and its packets lost and accuracy in percent over the SNR."""
        return [(name, cliff(item)) for name, item in self.stored_formats.items()]


def cliff(item: dict[str, Any]) -> pd.DataFrame:
    """A format's points as rows for a page: a column an SNR."""
    points = pd.DataFrame(item["points"]).set_index("snr_db")
    rows = {"lost": 100 * points.lost, "normal approximation": 100 * points.normal}
    if "accuracy" in item:
        rows["accuracy"] = 100 * points.accuracy
    wide = pd.DataFrame(rows).T.rename(columns=lambda snr: f"{snr:g} dB".replace("-", "−"))
    return wide.rename_axis("%").rename_axis(columns=None).reset_index()


def digital(settings: Study) -> dict[str, Any] | None:
    """What `python -m lib.opponent` has stored; None where it has not run."""
    file = records.folder(settings).parent / "digital.json"
    return json.loads(file.read_text()) if file.exists() else None


def formats(settings: Study) -> pd.DataFrame:
    """A row a packet's format: what entropy coding costs, and the SNRs at which 1 % of the packets are lost."""
    rows = []
    for name, item in (digital(settings) or {"formats": {}})["formats"].items():
        points = pd.DataFrame(item["points"])
        rows.append({
            "packet": name, "bits": item["format"]["bits"], "symbols": item["format"]["symbols"],
            "coded bits an image": item.get("bits"), "estimated": item.get("estimated_bits"),
            "images that fit (%)": 100 * item["fit"] if "fit" in item else None,
            "accuracy if it arrives (%)": 100 * item["accuracy"] if "accuracy" in item else None,
            "capacity (dB)": item["capacity_snr_db"], "normal approximation (dB)": crossing(points, "normal"),
            "5G LDPC (dB)": crossing(points, "lost")})
    return pd.DataFrame(rows)


def crossing(points: pd.DataFrame, column: str, share: float = 0.01) -> float | None:
    """The SNR at which a falling column of the points passes `share`, on a line in the logarithm between two."""
    values = points[column].clip(lower=1e-6)
    below = values[values <= share].index
    if not len(below) or below[0] == points.index[0]:
        return None
    last, first = points.loc[below[0] - 1], points.loc[below[0]]
    high, low = (math.log(max(row[column], 1e-6)) for row in (last, first))
    part = (high - math.log(share)) / (high - low)
    return last.snr_db + part * (first.snr_db - last.snr_db)
