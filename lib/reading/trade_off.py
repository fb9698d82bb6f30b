"""Figure 3 in numbers: all models that were tried, and how lucky the selected ones are."""

import pandas as pd

from lib.results import baseline_accuracy


def below(models: pd.DataFrame, table: pd.DataFrame, half: str) -> pd.Series:
    """Points that the models of Figure 3 lie below the baseline, on the half `selecting` or `reporting`."""
    # Figure 3 has one seed, the study's first.
    baseline = baseline_accuracy(table[table.seed == table.seed.min()], f"accuracy_{half}_clean")
    return 100 * (baseline - models[f"accuracy_{half}"].astype(float))


def luck(models: pd.DataFrame, table: pd.DataFrame) -> str:
    """How far the selected models lie below the baseline: on the half that selected them, and on the other."""
    chosen = models[models.selected]
    if chosen.empty:
        return "no model is selected"
    selecting, reporting = (below(chosen, table, half).mean() for half in ("selecting", "reporting"))
    return (f"{len(chosen)} selected models, points below the baseline in the mean: {selecting:.2f} on the half that "
            f"selected, {reporting:.2f} on the other").replace("-", "−")


def tried(models: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A row for each model, by scheme, the least operations first."""
    models = models.sort_values(["scheme", "device_macs", "symbols"])
    return pd.DataFrame({
        "scheme": models.scheme,
        "pool": models.pool.map("{:.0f}".format, na_action="ignore"),
        "ratio": models.ratio.map("{:g}".format, na_action="ignore"),
        "operations (10⁶)": (models.device_macs / 1e6).map("{:.2f}".format),
        "symbols": models.symbols.map("{:,.0f}".format),
        "below, selecting half": below(models, table, "selecting"),
        "below, reporting half": below(models, table, "reporting"),
        "selected": models.selected.map({True: "yes", False: ""})})
