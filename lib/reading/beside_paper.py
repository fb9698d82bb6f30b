"""Models of a ladder, label codes and the paper's recipe at the same splits, in one table."""

import pandas as pd

from lib import results
from lib.ladder import one_model, records
from lib.opponent.label import LABEL
from lib.reading import rungs
from lib.study import Study

COLUMNS = ["kind", "model", "net", "pool", "ratio", "classifies", "symbols", "operations", "snr_db", "accuracy",
           "baseline"]
BEST, ONE = "best", "one model for all"
PAPER, LONGER = "the paper's recipe, shortened", "the paper's recipe, a longer step 4"
LATE = {4, 5}  # poolings of which the paper's recipe is always there, that of others where a rung is


def points(settings: Study) -> pd.DataFrame:
    """A row a model and SNR: what it is, what it sends and costs (operations in 10⁶), accuracy in percent.

    `baseline` is what the unpruned network that it comes from has without a channel, `ratio` what its last pruning
    removed, `classifies` says whether the device does. Models are trained at the ladder's SNR and tried at all, label
    codes designed for none; `one model for all` is trained for all SNRs, and its operations are not told. Empty where
    nothing is measured.
    """
    summary, ladder = rungs.summary(settings), records.ladder(settings)
    ours = list(_rungs(summary, ladder))
    pools = LATE | {rung["pool"] for rung in ours}
    rows = [*ours, *_codes(summary), *_one_model(one_model.compared(settings), summary, ladder),
            *_of_paper(results.load(settings.pretrain_from or settings.name), ladder, pools)]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(COLUMNS[:-3], ignore_index=True, kind="stable")


def halved(settings: Study, models: pd.DataFrame) -> pd.DataFrame:
    """A row a pooling: the paper's recipe in Figure 3, and the most accurate rung that needs half as much.

    `models` are those of Figure 3 (`accuracy` and `loss_all` as shares); taken is the selected one, or the most
    accurate where none is. Half as much is half of its symbols at no more operations, or half of its operations at no
    more symbols. Points are below each one's own unpruned network without a channel, on all test images. Where the
    device classifies, the label code of the same network stands beside it, with at most as many symbols.
    """
    table = points(settings)
    table = table[table.snr_db == records.ladder(settings).snr_db]
    ours, codes = table[table.kind == BEST], table[table.kind == LABEL]
    models = models[models.scheme == results.PROPOSED].sort_values(["selected", "accuracy"], ascending=False)
    rows = []
    for model in models.drop_duplicates("pool").sort_values("pool").itertuples():
        here = ours[ours.pool == model.pool]
        symbols, operations = here.symbols / model.symbols, here.operations / (model.device_macs / 1e6)
        here = here[((symbols <= 0.5) & (operations <= 1)) | ((symbols <= 1) & (operations <= 0.5))]
        best = (here.sort_values("accuracy").to_dict("records") or [dict.fromkeys(COLUMNS)])[-1]
        of_net = codes[(codes.net == best["net"]) & (codes.symbols <= (best["symbols"] or 0))]
        rows.append({
            "after pooling": int(model.pool), "the paper's recipe": "selected" if model.selected else "most accurate",
            "ratio": f"{model.ratio:g}", "symbols": int(model.symbols), "operations (10⁶)": model.device_macs / 1e6,
            "accuracy (%)": 100 * model.accuracy, "points below": 100 * model.loss_all,
            "with half as much": f"`{best['model']}`" if best["model"] else "none",
            "its symbols": "" if best["symbols"] is None else f"{best['symbols']:,}",
            "its device classifies": "" if best["model"] is None else "yes" if best["classifies"] else "no",
            "its operations": best["operations"], "its accuracy": best["accuracy"],
            "its points below": best["model"] and best["baseline"] - best["accuracy"],
            "its label code": of_net.accuracy.max() if best["classifies"] else ""})
    return pd.DataFrame(rows)


def literal(settings: Study) -> float | None:
    """What the paper's own schedule has at the ladder's point, after pooling 5 at ratio 0.5; None if not computed."""
    ladder, table = records.ladder(settings), results.load("paper")
    found = table if table.empty else results.end_to_end(
        table, pool=5, ratio=0.5, bandwidth=ladder.bandwidth, train_snr_db=ladder.snr_db, snr_db=ladder.snr_db,
        seed=ladder.seed)
    return None if found.empty else 100 * found.accuracy.mean()


def _rungs(summary, ladder):
    for rung in summary.codecs(ladder.snr_db):
        common = {"kind": BEST, "model": rung["name"], "net": rung["net"] or "pretrained", "pool": rung["pool"],
                  "ratio": rung["ratio"], "classifies": rung["classifies"], "symbols": rung["bandwidth"],
                  "operations": rung["macs"], "baseline": rung["reference"]}
        for snr, accuracy in rung["over_snr"].items():
            yield {**common, "snr_db": snr, "accuracy": accuracy}


def _codes(summary):
    for code in summary.codes():
        yield {"kind": LABEL, "model": f"{code['net']}, B = {code['symbols']}", "pool": 5, "classifies": True,
               "baseline": code["reference"], **code}


def _one_model(compared, summary, ladder):
    net = ladder.one_model.net if ladder.one_model else None
    baseline = summary.of[net]["reference"] if net else summary.clean
    for row in compared.to_dict("records"):
        yield {"kind": ONE, "model": ONE, "net": net or "pretrained", "pool": 5, "classifies": False,
               "symbols": row["bandwidth"], "snr_db": row["snr_db"], "accuracy": row["one"], "baseline": baseline}


def _of_paper(table, ladder, pools):
    """What the pretrained network's study has after these poolings: its models, and that network's label codes."""
    table = table[table.seed == ladder.seed]
    baseline = 100 * results.baseline_accuracy(table)  # on the device that they were measured on
    table = table[(table.step != "pretrain") & table.pool.isin(pools)]
    for kind, models in ((PAPER, results.end_to_end(table, train_snr_db=ladder.snr_db)),
                         (LONGER, results.end_to_end(table, "longer_step4", train_snr_db=ladder.snr_db)),
                         (LABEL, table[(table.scheme == LABEL) & (table.ratio == 0)])):
        point = ["run", "pool", "ratio", "bandwidth", "device_macs", "snr_db"]
        for row in models.groupby(point).accuracy.mean().reset_index().itertuples():
            yield {"kind": kind, "model": row.run, "net": "pruned" if row.ratio else "pretrained",
                   "pool": int(row.pool), "ratio": row.ratio, "classifies": kind == LABEL,
                   "symbols": int(row.bandwidth), "operations": row.device_macs / 1e6, "snr_db": row.snr_db,
                   "accuracy": 100 * row.accuracy, "baseline": baseline}
