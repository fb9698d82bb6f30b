"""The paper's claims C1–C9, each judged from a study's results by the newest of its dated criteria (`claims.yaml`)."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml

from lib import study
from lib.claims import over_snr, points, verdicts
from lib.claims.basis import Basis, Judged
from lib.claims.statistics import UNMEASURED
from lib.study import Study

# Data, not code: a criterion's history can be read without what applies it.
CLAIMS = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text())
RULES = {"C1": verdicts.c1, "C2": verdicts.c2, "C3": verdicts.c3,
         "C4": verdicts.c4, "C5": verdicts.c5, "C6": over_snr.c6,
         "C7": over_snr.c7, "C8": over_snr.c8, "C9": verdicts.c9}
# C1 and C2 count operations, and C6 to C8 compare our models with each other.
FIGURE3 = ("C3", "C4", "C5", "C9")  # rest on the accuracy of the unpruned network too
OVER_SNR = ("C6", "C7", "C8")  # of them a narrow network on fewer classes can speak too
SHOWN = 3  # names of missing runs in a table


def judge(table: pd.DataFrame, settings: Study) -> pd.DataFrame:
    """One row a claim: what the paper says, what decides, the verdict, the numbers and the runs they rest on.

    A claim is judged as soon as runs that suffice for it are finished; `missing` are the names of
    the study's other runs that it is about, which may still turn the verdict. `under earlier
    criteria` is a list of (date, verdict), each of today's results.
    """
    basis = Basis(table, settings, points.figure3_models(table, settings),
                  points.figure3_models(table, settings, "longer_step4"))
    # Figure 3 has one seed, and so has the baseline that it is compared with.
    baseline = table[(table.step == "pretrain") & (table.seed == settings.seeds[0])].run.tolist()
    # Operations, symbols and points mean something else on a narrow network or ten classes.
    full_network = (settings.network.width == 1.0 and settings.network.name == "vgg16_bn"
                    and settings.data.name == "cifar100")
    listed, rows, done = _listed_runs(settings), [], set(table.run)
    for claim, text in CLAIMS.items():
        about = listed.query(text["runs"]).run.tolist() if "runs" in text else []
        missing = tuple(name for name in about if name not in done)
        verdict, numbers, runs, earlier = _by_all_criteria(claim, replace(basis, missing=missing))
        if not full_network and claim not in OVER_SNR:
            verdict, numbers, runs, earlier = (
                UNMEASURED, "the claim is about the full network on all of CIFAR-100", [], [])
        elif verdict == UNMEASURED and missing:
            so_far = f"; so far: {numbers}" if numbers else ""
            numbers = f"{len(missing)} of the {len(about)} runs that it is about are not finished{so_far}"
        if runs and claim in FIGURE3:
            runs = [*baseline, *runs]
        rows.append({"claim": claim, "the paper says": text["the paper says"],
                     "judged by": text["criteria"][-1]["text"], "verdict": verdict, "numbers": numbers,
                     "rests on": list(dict.fromkeys(runs)), "missing": list(missing),
                     "under earlier criteria": earlier})
    return pd.DataFrame(rows)


def _by_all_criteria(claim: str, basis: Basis) -> tuple[*Judged, list[tuple[str, str]]]:
    """What the newest criterion of a claim makes of it, and the verdict under each earlier one."""
    # All of them on today's results: what differs between the verdicts is then the criterion alone,
    # not the data.
    *before, newest = [criterion["date"] for criterion in CLAIMS[claim]["criteria"]]
    earlier = []
    for date in before:
        verdict, _, _ = RULES[claim](replace(basis, date=date))
        earlier.append((date, verdict))
    return *RULES[claim](replace(basis, date=newest)), earlier


def criteria_table(judged: pd.DataFrame) -> pd.DataFrame:
    """The dated criteria of each claim, oldest first, and the verdict under each; of `judge`'s rows."""
    rows = []
    for claim in judged.itertuples():
        # By position, because `itertuples` renames columns whose names have spaces.
        verdict_of = dict(claim[-1])
        for criterion in CLAIMS[claim.claim]["criteria"]:
            rows.append({"claim": claim.claim, "date": criterion["date"], "commit": criterion["commit"],
                         "judged by": criterion["text"], "results known by then": criterion["known"],
                         # Only the newest criterion is not among the earlier ones; its verdict is
                         # the claim's.
                         "verdict": verdict_of.get(criterion["date"], claim.verdict)})
    return pd.DataFrame(rows)


def for_reading(judged: pd.DataFrame) -> pd.DataFrame:
    """`judge`'s rows for a table: lists of runs shortened, earlier verdicts in words."""
    shown = judged.drop(columns=["rests on", "under earlier criteria"])
    shown["missing"] = judged.missing.map(_shortened)
    shown["under earlier criteria"] = ["; ".join(f"{date}: {verdict}" for date, verdict in earlier)
                                       for earlier in judged["under earlier criteria"]]
    return shown


def _shortened(names: list[str]) -> str:
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return "; ".join(names[:SHOWN] + more)


def _listed_runs(settings: Study) -> pd.DataFrame:
    """One row a run of the study: its step, its parameters, and whether it can be a point of Figure 3, 4 or 5.

    That is seen from its parameters: a study may list a figure's runs for another purpose, such as
    `deciding`.
    """
    three, five = settings.figure3, settings.figure5
    panels = {(panel.pool, panel.bandwidth) for panel in settings.figure4.panels.values()}
    rows = [{"run": run.name, "step": run.step, **run.parameters} for run in study.runs(settings)]
    # Named, because a study without other schemes would have no column `scheme` for a claim's
    # expression to ask about.
    listed = pd.DataFrame(rows, columns=["run", "step", "pool", "ratio", "bandwidth", "snr_db",
                                         "scheme", "variant", "seed"])
    ours = (listed.step == "end_to_end") & (listed.variant == "proposed")
    # Separation stands beside the curves of Figures 4 and 5; Figure 3 is about devices, symbols and
    # operations.
    other = (listed.step == "baselines") & (listed.scheme != "separation")
    # Typed, because of no run at all pandas would make a column of objects.
    panel = pd.Series([(run.pool, run.bandwidth) in panels for run in listed.itertuples()],
                      dtype=bool)
    return listed.assign(
        figure3=(ours | other) & (listed.snr_db == three.snr_db) & (listed.seed == settings.seeds[0]),
        figure4=ours & panel & listed.ratio.isin(settings.figure4.ratios),
        figure5=ours & (listed.pool == five.pool) & (listed.ratio == five.ratio)
        & listed.bandwidth.isin(five.bandwidths))
