"""Learning curves of long trainings of step 4, of `paper` and of `gpu`'s ablations: docs/paper-schedule.md.

    python -m lib.pages.schedule        draws outputs/paper/step4.png from what is computed
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from lib import results, study
from lib.batch import places
from lib.report import style

STUDIES = ("paper", "gpu")
LONG = 20  # epochs; a study's shortened step 4 has few


def curves() -> pd.DataFrame:
    """A row an epoch of each long training: its study and point, loss, accuracy (%), rate.

    `accuracy` is of the test images at the SNR of training, one noise draw; `end` that of the finished model, the mean
    over all draws. No row where nothing is computed.
    """
    found = []
    for profile in STUDIES:
        settings, table = study.load(profile), results.load(profile)
        models = results.matched(table[table.step == "end_to_end"])
        for run, rows in models.groupby("run"):
            history = pd.read_csv(places.folder_of(settings, run) / "history.csv")
            if len(history) >= LONG:
                point = rows.iloc[0][["pool", "ratio", "bandwidth", "snr_db"]].to_dict()
                found.append(history.assign(study=profile, **point, accuracy=100 * history.test_accuracy,
                                            end=100 * rows.accuracy.mean()))
    columns = ["study", "pool", "ratio", "bandwidth", "snr_db", "epoch", "loss", "accuracy", "lr", "end"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def draw(table: pd.DataFrame) -> Figure:
    """Accuracy and loss over epochs, a colour a point and a marker a curve; `paper` solid, `gpu`'s ablations dashed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    points = list(dict.fromkeys(zip(table.pool, table.ratio, table.bandwidth, table.snr_db, strict=True)))
    groups = table.groupby(["study", "pool", "ratio", "bandwidth", "snr_db"], sort=False)
    for number, ((profile, *point), rows) in enumerate(groups):
        color = style.COLORS[points.index(tuple(point)) % len(style.COLORS)]
        look = {"color": color, "ls": "-" if profile == "paper" else "--", "lw": 1.2,
                "marker": style.MARKERS[number % len(style.MARKERS)], "markevery": 7, "ms": 4}
        label = "{}: pooling {:g}, ratio {:g}, B = {:g}, {:g} dB".format(profile, *point)
        left.plot(rows.epoch, rows.accuracy, label=label, **look)
        right.plot(rows.epoch, rows.loss, **look)
    left.set(xlabel="epoch of step 4", ylabel="test accuracy (%)", title="at the SNR of training, one noise draw")
    right.set(xlabel="epoch of step 4", ylabel="cross-entropy", title="loss of training")
    if not table.empty:
        figure.legend(loc="outside right upper", fontsize=6.5, handlelength=5)
    return figure


def main() -> None:
    """Draw what is computed, and store the numbers behind it."""
    table, folder = curves(), study.ROOT / "outputs" / STUDIES[0]
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "step4.csv", index=False, float_format="%.6g")
    draw(table).savefig(folder / "step4.png", dpi=150, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    main()
