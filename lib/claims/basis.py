"""What a claim is judged from."""

from dataclasses import dataclass

import pandas as pd

from lib.study import Study

Judged = tuple[str, str, list[str]]  # verdict, numbers in words, names of the runs that both rest on


@dataclass(frozen=True)
class Basis:
    """A study's results, and by which of its dated criteria one claim is judged from them."""

    # Frozen, so that one criterion of a claim cannot change what the next one sees.
    table: pd.DataFrame  # of `results.load`
    settings: Study
    models: pd.DataFrame  # of Figure 3 (`points.figure3_models`)
    # Apart from `models`, so that no rule counts a model with another schedule among Figure 3's.
    longer: pd.DataFrame  # those with the ablations' longer step 4
    missing: tuple[str, ...] = ()  # the study's runs that the claim is about and that are not finished
    date: str = ""  # of the criterion
