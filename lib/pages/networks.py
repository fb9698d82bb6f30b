"""Accuracy over the device's operations for three networks, a study each: docs/networks.md and its figure.

    python -m lib.pages.networks        draws outputs/networks/operations.png from what is measured
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import LogLocator

from lib import results, study
from lib.networks.descriptions import DESCRIPTIONS
from lib.report import style

BANDWIDTH, SNR_DB = 128, 14.5
FULL_WIDTH = {"vgg16_bn": "gpu", "resnet18": "cifar100-resnet18", "mobilenet_v2": "cifar100-mobilenet_v2"}
SPLIT, RATIO = 3, 0.5  # of what is compared at full width
FOLDER = study.ROOT / "outputs" / "networks"


def compared() -> pd.DataFrame:
    """A row a model: network, split, ratio, operations in 10⁶, accuracies in percent with and without the channel.

    `baseline` is that of its network, unpruned and without a channel. Empty where nothing is measured.
    """
    found = []
    for name in DESCRIPTIONS:
        table = results.load(f"networks-{name}")
        if table.empty:
            continue
        models = results.end_to_end(table, bandwidth=BANDWIDTH, train_snr_db=SNR_DB)
        models = models[models.snr_db == SNR_DB].groupby("run", as_index=False).agg(
            {"pool": "first", "ratio": "first", "device_macs": "first", "accuracy": "mean", "accuracy_clean": "first"})
        found.append(pd.DataFrame({
            "network": name, "split": models.pool.astype(int), "ratio": models.ratio,
            "operations (10⁶)": models.device_macs / 1e6, "accuracy (%)": 100 * models.accuracy,
            "without noise (%)": 100 * models.accuracy_clean, "baseline": 100 * results.baseline_accuracy(table)}))
    empty = pd.DataFrame(columns=["network", "split", "ratio", "operations (10⁶)", "accuracy (%)",
                                  "without noise (%)", "baseline"])
    return pd.concat(found).sort_values(["network", "split", "ratio"], ignore_index=True) if found else empty


def against_expectations(table: pd.DataFrame) -> pd.DataFrame:
    """What docs/networks.md expected of each network, and what came, in points, beside one another."""
    cell = table.set_index(["network", "split", "ratio"])["accuracy (%)"]
    baseline, rows = table.groupby("network").baseline.first(), []
    expected = {"vgg16_bn": ("", "below 5"), "resnet18": ("3 to 6", "5 to 15"),
                "mobilenet_v2": ("−15 to −5", "5 to 15")}
    for name, (above, early) in expected.items():
        if name not in baseline:
            continue
        rows += [(name, "baseline above VGG16's", above, baseline[name] - baseline.get("vgg16_bn", float("nan"))),
                 (name, "lost to the channel after split 4", "at most 3", baseline[name] - cell[name, 4, 0.0]),
                 (name, "lost to the channel after split 2", early, baseline[name] - cell[name, 2, 0.0]),
                 (name, "lost by half of the filters, split 4", "below 5", cell[name, 4, 0.0] - cell[name, 4, 0.5])]
    found = pd.DataFrame(rows, columns=["network", "points", "expected", "came"])
    return found[found.expected != ""]


def at_full_width() -> pd.DataFrame:
    """A row a network on all of CIFAR-100 (seed 0): accuracies in percent after each step, operations in 10⁶.

    `label` is the label code's, 8 symbols at the same SNR, the whole unpruned network on the device.
    """
    rows = []
    for name, profile in FULL_WIDTH.items():
        table = results.load(profile)
        if table.empty:
            continue
        table = table[table.seed == 0]
        pruned = table[(table.step == "prune") & (table.pool == SPLIT) & (table.ratio == RATIO)]
        models = results.end_to_end(table, pool=SPLIT, ratio=RATIO, bandwidth=BANDWIDTH, train_snr_db=SNR_DB,
                                    snr_db=SNR_DB)
        label = table[(table.scheme == "Label code") & (table.ratio == 0) & (table.bandwidth == 8)
                      & (table.snr_db == SNR_DB)]
        if pruned.empty or models.empty:
            continue
        settings, baseline = study.load(profile), 100 * results.baseline_accuracy(table)
        rows.append({
            "network": name, "epochs of step 1": settings.pretrain.epochs, "baseline": baseline,
            "label": 100 * label.accuracy.mean(), "operations (10⁶)": table.total_macs.max() / 1e6,
            f"before stage {SPLIT}": pruned.unpruned_device_macs.iloc[0] / 1e6,
            "pruned": models.device_macs.iloc[0] / 1e6, "accuracy, pruned": 100 * pruned.accuracy_clean.iloc[0],
            "with the channel": 100 * models.accuracy.mean(), "lost": baseline - 100 * models.accuracy.mean()})
    return pd.DataFrame(rows)


def against_expectations_at_full_width(table: pd.DataFrame) -> pd.DataFrame:
    """What was expected of each network of `at_full_width` before its first epoch, and what came, in percent."""
    expected = {"resnet18": "65 to 71", "mobilenet_v2": "45 to 57"}
    rows = []
    for row in table[table.network.isin(expected)].to_dict("records"):
        rows += [(row["network"], "baseline", expected[row["network"]], row["baseline"]),
                 (row["network"], "lost to pruning and the channel", "3 to 9", row["lost"]),
                 (row["network"], "lost by the label code", "below 0.5", row["baseline"] - row["label"])]
    return pd.DataFrame(rows, columns=["network", "what", "expected", "came"])


def best_below(table: pd.DataFrame, operations: float) -> str:
    """The network with the most accurate model of at most so many operations, in 10⁶."""
    chosen = table[table["operations (10⁶)"] <= operations]
    return chosen.loc[chosen["accuracy (%)"].idxmax(), "network"]


def draw(table: pd.DataFrame, full: pd.DataFrame) -> plt.Figure:
    """A colour a network, dashed what it has without a channel: left `compared`, a line a split over its ratios; right
    `at_full_width`, the unpruned network that classifies by itself, and the pruned split one."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
    colours = dict(zip(DESCRIPTIONS, style.COLORS, strict=False))
    for (name, split), rows in table.groupby(["network", "split"]):
        # The first split of each stands for the network in the legend; the marker says which split.
        label = name if split == table[table.network == name].split.min() else None
        left.plot(rows["operations (10⁶)"], rows["accuracy (%)"], color=colours[name], label=label,
                  marker=style.MARKERS[split - 1])
        left.annotate(f"{split}", (rows["operations (10⁶)"].max(), rows["accuracy (%)"].iloc[0]), fontsize=7,
                      xytext=(3, 3), textcoords="offset points")
    for name, rows in table.groupby("network"):
        left.axhline(rows.baseline.iloc[0], color=colours[name], ls="--", lw=0.8)
    for row in full.to_dict("records"):
        colour, own = colours[row["network"]], f"{row['network']}, {row['epochs of step 1']} epochs"
        right.plot([row["pruned"]], [row["with the channel"]], color=colour, marker=style.MARKERS[SPLIT - 1], ls="",
                   label=own)
        right.plot([row["operations (10⁶)"]], [row["label"]], color=colour, marker="*", ls="")
        right.axhline(row["baseline"], color=colour, ls="--", lw=0.8)
    what = "operations of the device (10⁶ multiply-accumulates)"
    left.set(xscale="log", xlabel=what, ylabel="test accuracy (%)",
             title=f"split after the stage at each line, B = {BANDWIDTH} at {SNR_DB:g} dB [quick's size]")
    right.set(xscale="log", xlabel=what, title=f"CIFAR-100, full width: split after stage {SPLIT}, ratio {RATIO}, "
                                               f"B = {BANDWIDTH}; ★ label code")
    right.margins(0.12, 0.2)  # room for the legend below what the label code has
    for axis in (left, right):
        axis.title.set_size(8)
        axis.legend(loc="lower right")
        axis.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_formatter="")
    return figure


def main() -> None:
    """Draw what is measured."""
    table = compared()
    if table.empty:
        print("nothing is measured: ./run_all.sh networks-vgg16_bn, and the same for the other two")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.to_csv(FOLDER / "operations.csv", index=False, float_format="%.6g")
    draw(table, at_full_width()).savefig(FOLDER / "operations.png", bbox_inches="tight", metadata={"Software": None})
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
