"""Numbers of a study's results, asked for one by one as README.md and docs/ need them, and how they are written."""

from collections.abc import Iterable
from functools import cached_property

import pandas as pd

from lib import results, study
from lib.batch import places
from lib.claims import judge, points

EVALUATED = ("accuracy", "accuracy_selecting", "accuracy_reporting")  # have a value for each SNR and noise draw


class Numbers:
    """A study's results. A `point` names a model by columns of `results.load`: pool, ratio, bandwidth, seed, …

    `snr_db` is the SNR of training. Without `scheme` the model is one of ours, without `step` after
    step 4, without `variant` as proposed. Accuracies are in percent, their differences in points,
    operations in 10⁶.
    """

    def __init__(self, profile: str):
        self.settings, self.table = study.load(profile), results.load(profile)
        self.runs = self.table.drop_duplicates("run")

    def rows(self, **point: str | float) -> pd.DataFrame:
        """The rows that fit; KeyError when none does, so that no sentence rests on nothing."""
        if "scheme" not in point:
            point = {"scheme": results.PROPOSED, "step": "end_to_end"} | point
            if point["step"] != "pretrain":  # the whole network is trained once for all variants
                point.setdefault("variant", "proposed")
        rows = self.table
        for name, value in point.items():
            rows = rows[rows["train_snr_db" if name == "snr_db" else name] == value]
        # An error and no empty value: a sentence about nothing would still read well.
        if rows.empty:
            raise KeyError(f"{self.settings.name} has no result for {point}")
        return rows

    def by_seed(self, column: str = "accuracy", at: float | None = None, **point: str | float) -> pd.Series:
        """A column's value for each seed, the mean over noise draws; at the SNR of training, or `at` another."""
        rows = self.rows(**point)
        if column in EVALUATED:
            # Each model at its own SNR of training, where no other is asked for.
            rows = rows[rows.snr_db == (rows.train_snr_db if at is None else at)]
            if rows.empty:
                raise KeyError(f"{self.settings.name} has no evaluation at {at} dB for {point}")
        # Over noise draws first, so that each seed counts once.
        values = rows.groupby("seed")[column].mean().astype(float)
        return 100 * values if column.startswith("accuracy") else values

    def accuracy(self, **point: str | float) -> float:
        """Test accuracy, the mean over seeds; takes what `by_seed` takes."""
        return self.by_seed(**point).mean()

    def span(self, **point: str | float) -> float:
        """Points between the best and the worst seed."""
        return self.by_seed(**point).max() - self.by_seed(**point).min()

    def clean(self, **point: str | float) -> float:
        """Accuracy without noise; after steps 1 and 2, without a channel."""
        return self.accuracy(column="accuracy_clean", **point)

    def below(self, half: str, **point: str | float) -> float:
        """Points below the baseline of the same seeds, on the `selecting` or `reporting` half of the test images."""
        found = self.by_seed(f"accuracy_{half}", **point)
        # The same half and the same seeds: what is easy about a half, or lucky about a seed, is in
        # both.
        return (self.by_seed(f"accuracy_{half}_clean", step="pretrain")[found.index] - found).mean()

    def macs(self, **point: str | float) -> float:
        """Operations of the device, the mean over seeds."""
        return self.by_seed("device_macs", **point).mean() / 1e6

    def symbols(self, column: str = "symbols", **point: str | float) -> int:
        """Real symbols an image; with `symbols_with_header`, a picture file's header counted."""
        return round(self.by_seed(column, **point).mean())

    def history(self, run: str) -> pd.DataFrame:
        """A run's learning curve, a row per epoch."""
        return pd.read_csv(places.folder_of(self.settings, run) / "history.csv").set_index("epoch")

    def rising(self, limit: float) -> list[str]:
        """The runs of step 3 whose loss ends more than `limit` (a share) above its lowest."""
        # The last value against the lowest: a rate that is too high shows as a loss that rises
        # again.
        losses = {run: self.history(run).loss for run in self.runs[self.runs.step == "autoencoder"].run}
        return [run for run, loss in losses.items() if loss.iloc[-1] > (1 + limit) * loss.min()]

    @cached_property
    def figure3(self) -> pd.DataFrame:
        """The models of Figure 3."""
        return points.figure3_models(self.table, self.settings)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """The claims with their verdicts."""
        return judge.judge(self.table, self.settings).set_index("claim", drop=False)


def as_text(value: object) -> str:
    """How a number is written: counts with thousands set apart, measured ones to a tenth, nothing for a missing one."""
    if isinstance(value, str):
        return value
    # NaN alone is unlike itself.
    if value is None or value != value:
        return ""
    # Whole numbers were counted, others measured: more digits than a tenth of a point would be
    # noise.
    text = f"{value:,}" if isinstance(value, int) else f"{value:.1f}"
    # A difference that rounds to nothing has no sign; others have the typographic minus.
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def short(value: float) -> str:
    """A parameter, such as a ratio or an SNR, with no more digits than it has."""
    return f"{value:g}".replace("-", "−")


def listed(values: Iterable) -> str:
    """Numbers in a sentence: 1.0, 2.0 and 3.0."""
    *others, last = map(as_text, values)
    return f"{', '.join(others)} and {last}" if others else last


def markdown(frame: pd.DataFrame) -> str:
    """A table of a page."""
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.itertuples(index=False)]
    # A bar would end the cell, and <…> be taken for HTML.
    cells = [[as_text(cell).replace("|", r"\|").replace("<", "&lt;") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def sure(condition: bool) -> str:
    """Nothing, where the words beside it fit the results; else an error: the sentence is to be written anew."""
    if not condition:
        raise ValueError("a sentence of the template no longer fits the results")
    return ""
