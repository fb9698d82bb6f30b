"""The results of a study, and of notebooks beside them."""

import pandas as pd

from lib import results
from lib.study import Study


def load(profile: str, by_hand: bool = False) -> pd.DataFrame:
    """The table of a study's results; with `by_hand` those of notebooks too, which the column `by_hand` tells apart.

    A run that was computed both ways counts as the study's.
    """
    table = results.load(profile).assign(by_hand=False)
    if not by_hand:
        return table
    ours = results.load(profile, interactive=True).assign(by_hand=True)
    more = ours[~ours.run.isin(table.run)]
    print(f"computed by hand: {more.run.nunique()} runs are added, and {ours.run.nunique() - more.run.nunique()} left "
          "out, which the study has itself")
    # Without empty columns, whose type would become that of the other part's numbers.
    parts = [part.dropna(axis=1, how="all") for part in (table, more)]
    return pd.concat(parts, ignore_index=True).reindex(columns=table.columns)


def say_what_fills(table: pd.DataFrame, settings: Study) -> None:
    """Where nothing is measured yet, the command that computes the study."""
    if table.empty:
        print(f"Nothing is measured yet: ./run_all.sh {settings.source} computes the study.")
