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


@dataclass
class Tables:
    """What docs/channels.md and the lesson show of a study."""

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
        """What was expected of each entry."""
        return pd.DataFrame([{"entry": f"`{name}`", "what": entry.about, "expected": entry.expect}
                             for name, entry in self.ladder.over.items()])

    @cached_property
    def compared(self) -> pd.DataFrame:
        """A row a channel and SNR: accuracies in percent of models trained on it and on noise alone, of separation.

        Each model is for that SNR; beside separation stands its outage. Empty where nothing is computed.
        """
        rows, stored = over.table(self.settings), records.read(self.settings, SEPARATION)
        found = []
        codes = pd.DataFrame(stored["points"]) if stored else None
        matched = rows[rows.train_snr_db == rows.snr_db]
        for name, entry in self.ladder.over.items():
            if entry.symbols is not None or entry.snrs_db:  # constellations are another question
                continue
            for snr_db in self.ladder.snrs_db:
                row = {"channel": name, "snr_db": snr_db}
                for column, trained in (("trained on it", name), ("trained on noise alone", REFERENCE)):
                    here = matched[(matched.entry == trained) & (matched.over == name) & (matched.snr_db == snr_db)]
                    row[column] = 100 * here.accuracy.mean() if len(here) else None
                row |= {"separation": None, "its outage": None}
                rates = (records.read(self.settings, name) or {}).get("rates", {}).get(f"{snr_db:g}", ())
                if codes is not None and (entry.channel.name != "tdl" or rates):
                    share, lost = separation.accuracy(codes, entry.channel, snr_db, self.ladder.bandwidth,
                                                      1 / self.settings.classes, rates)
                    row |= {"separation": 100 * share, "its outage": 100 * lost}
                found.append(row)
        table = pd.DataFrame(found)
        return table.astype({column: float for column in table.columns.drop("channel")})

    def by_snr(self, column: str) -> pd.DataFrame:
        """One column of `compared`, a row a channel and a column an SNR."""
        wide = self.compared.pivot_table(index="channel", columns="snr_db", values=column, sort=False, dropna=False)
        return wide.rename(columns=decibels).reset_index()

    def at(self, name: str, snr_db: float, column: str) -> float:
        """One number of it, in percent; KeyError where there is none, so that no sentence rests on nothing."""
        value = self.compared.set_index(["channel", "snr_db"]).loc[(name, snr_db), column]
        if value != value:
            raise KeyError(f"{name} at {snr_db:g} dB has no {column} yet")
        return value

    @cached_property
    def constellations(self) -> pd.DataFrame:
        """A row an entry with seeds of its own: mean accuracy in percent, and spreads over seeds and draws.

        Beside them the difference to free symbols, seed by seed, with its standard error.
        """
        rows, found, free = over.table(self.settings), [], None
        for name, entry in self.ladder.over.items():
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

    @cached_property
    def stored_formats(self) -> dict[str, dict[str, Any]]:
        """What `python -m lib.opponent` has stored of each format; empty where it has not run."""
        file = records.folder(self.settings).parent / "digital.json"
        return json.loads(file.read_text())["formats"] if file.exists() else {}

    @property
    def formats(self) -> pd.DataFrame | None:
        """A row a packet's format: what entropy coding costs, and the SNRs at which 1 % of the packets are lost.

        None where `python -m lib.opponent` has not run.
        """
        rows = []
        for name, item in self.stored_formats.items():
            points = pd.DataFrame(item["points"])
            rows.append({
                "packet": name, "bits": item["format"]["bits"], "symbols": item["format"]["symbols"],
                "coded bits an image": item.get("bits"), "estimated": item.get("estimated_bits"),
                "images that fit (%)": 100 * item["fit"] if "fit" in item else None,
                "received in full (%)": 100 * item["accuracy"] if "accuracy" in item else None,
                "capacity (dB)": item["capacity_snr_db"], "normal approximation (dB)": crossing(points, "normal"),
                "5G LDPC (dB)": crossing(points, "lost")})
        return pd.DataFrame(rows) if rows else None

    @property
    def cliffs(self) -> list[tuple[str, pd.DataFrame]]:
        """Each format's name, and its packets lost and accuracy in percent over the SNR."""
        return [(name, cliff(item)) for name, item in self.stored_formats.items()]


def decibels(snr_db: float) -> str:
    """An SNR as the head of a column."""
    return f"{snr_db:g} dB".replace("-", "−")


def cliff(item: dict[str, Any]) -> pd.DataFrame:
    """A format's points as rows for a page: a column an SNR."""
    points = pd.DataFrame(item["points"]).set_index("snr_db")
    rows = {"lost": 100 * points.lost, "normal approximation": 100 * points.normal}
    if "accuracy" in item:
        rows["accuracy"] = 100 * points.accuracy
    wide = pd.DataFrame(rows).T.rename(columns=decibels)
    return wide.rename_axis("%").rename_axis(columns=None).reset_index()


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
