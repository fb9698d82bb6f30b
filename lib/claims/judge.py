"""The paper's claims C1–C9 (`claims.yaml` states them), each judged from a study's results."""

from pathlib import Path

import pandas as pd
import yaml

from lib import study
from lib.claims import points, verdicts
from lib.claims.statistics import UNMEASURED
from lib.study import Study

FIGURES = ("figure3", "figure4", "figure5")
CLAIMS = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text())
FIGURE3 = ("C3", "C4", "C5", "C9")  # rest on the accuracy of the unpruned network too
OVER_SNR = ("C6", "C7", "C8")  # of them a narrow network on fewer classes can speak too


def judge(table: pd.DataFrame, settings: Study) -> pd.DataFrame:
    """One row a claim: what the paper says, what decides, the verdict, the numbers and the runs they rest on.

    A claim is judged when all runs that it needs are finished; before, its numbers so far are shown.
    """
    # All claims about Figure 3 are judged on the same models, so that none picks those that suit it.
    models = points.figure3_models(table, settings)
    longer = points.figure3_models(table, settings, "longer_step4")
    judged = {
        "C1": verdicts.c1(settings), "C2": verdicts.c2(table), "C3": verdicts.c3(models, longer),
        "C4": verdicts.c4(models, longer), "C5": verdicts.c5(models), "C6": verdicts.c6(table, settings),
        "C7": verdicts.c7(table, settings), "C8": verdicts.c8(table, settings), "C9": verdicts.c9(models)}
    baseline = table[(table.step == "pretrain") & (table.seed == settings.seeds[0])].run.tolist()
    full_network = settings.network.width == 1.0 and settings.data.name == "cifar100"
    listed, rows = _listed_runs(settings), []
    for claim, text in CLAIMS.items():
        verdict, numbers, runs = judged[claim]
        # "Within the tolerance" means of the unpruned network's accuracy, which is a run too.
        if runs and claim in FIGURE3:
            runs = [*baseline, *runs]
        needed = _needed(claim, listed)
        done = len(needed & set(table.run))
        if not full_network and claim not in OVER_SNR:
            verdict, numbers, runs = UNMEASURED, "the claim is about the full network on all of CIFAR-100", []
        # A verdict from half of the runs could turn with the other half: until then only numbers are shown.
        elif done < len(needed):
            so_far = "" if verdict == UNMEASURED else f"; so far: {numbers}"
            verdict, numbers = UNMEASURED, f"{done} of the {len(needed)} runs it needs{so_far}"
        rows.append({"claim": claim, "the paper says": text["the paper says"], "judged by": text["judged by"],
                     "verdict": verdict, "numbers": numbers, "rests on": list(dict.fromkeys(runs))})
    return pd.DataFrame(rows)


def _needed(claim: str, listed: pd.DataFrame) -> set[str]:
    """Names of the runs without which the claim is not judged."""
    needs = CLAIMS[claim].get("needs")
    return set(listed.query(needs).run) if needs else set()


def _listed_runs(settings: Study) -> pd.DataFrame:
    """One row a run of the study: its step, its parameters, and whether it belongs to Figure 3, 4 or 5."""
    # Columns are named, because a study without other schemes has no column "scheme" for `needs` to look at.
    rows = [{"run": run.name, "step": run.step, **run.parameters,
             **{name: any(figure.startswith(name) for figure in run.figures) for name in FIGURES}}
            for run in study.runs(settings)]
    return pd.DataFrame(rows, columns=["run", "step", "pool", "ratio", "bandwidth", "snr_db", "scheme", *FIGURES])
