"""The reviewer's page: one HTML file that asks nothing of any host, drawn from a study's results.

    page.write("gpu")  ->  outputs/gpu/report/index.html

Text, tables and figures stand in the file itself, so that it reads and prints without its script;
the script adds what is opened and searched: a card for every run. The same results give the same
bytes.
"""

import json
import os
import re
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from lib import results, study
from lib.batch import places
from lib.claims import choices, judge, points, statistics
from lib.evidence import fingerprint, manifest
from lib.opponent import label as opponent
from lib.report import drawing, tables

HERE = Path(__file__).parent
NOTEBOOKS = {"figure3": "10_figure3", "figure4a": "11_figure4", "figure4b": "11_figure4", "figure5": "12_figure5"}
# Figure 4b has no sentence of its own in the paper.
QUOTES = {  # what the paper says of each figure
    "figure3": "Our proposed approach beats both the JSCC-based BottleNet++ and the digital communication based "
               "BottleNet schemes by a large margin.",
    "figure4a": "Pruning leads to a drop in accuracy; nevertheless, given reasonable pruning ratios of up to 50%, "
                "accuracy drop decreases as we approach very low values of channel SNR.",
    "figure5": "The available bandwidth is a crucial factor in the performance […] the more limited the available "
               "bandwidth is, the sharper the drop in the accuracy with channel SNR."}


def write(profile: str) -> Path:
    """Write the page of a study's results; returns its path."""
    page = places.folder_of(study.load(profile), "report") / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: somebody may have the page open, or stop the command.
    places.replace(page, lambda path: path.write_text(render(profile)))
    return page


def render(profile: str) -> str:
    """The page as text: what `write` stores."""
    settings, table = study.load(profile), results.load(profile)
    cards = _cards(settings)
    place = {card["name"]: number for number, card in enumerate(cards)}
    # Strict: a name that the template has wrong fails here, and is no empty place on the page.
    # Escaped: texts of results are data.
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["frame"] = _html
    drawn = [figure for stem in NOTEBOOKS if (figure := _figure(settings, table, stem, place))]
    for card in cards:  # also those that no figure's list asks for, but that stand in it
        card["figures"] = sorted({*card["figures"], *(each["stem"] for each in drawn if card["name"] in each["runs"])})
    # A study that has no manifest yet has nothing to compare with.
    altered = manifest.altered(settings, study.runs(settings)) if manifest.read(settings) else []
    verdicts = judge.judge(table, settings)
    if altered:  # a verdict must not rest on what somebody has changed
        verdicts = verdicts.assign(verdict="not judged", numbers="results were altered")
        verdicts["under earlier criteria"] = [[] for _ in verdicts.index]
    criteria = judge.criteria_table(verdicts).drop(columns="judged by")
    shown = judge.for_reading(verdicts).assign(**{"rests on": verdicts["rests on"]})
    data = {"profile": settings.source.removeprefix(f"{study.ROOT}/"), "runs": cards}
    return environment.get_template("page.html.j2").render(
        settings=settings, cards=cards, figures=drawn, names=set(place), progress=results.progress(profile),
        verdicts=shown.to_dict("records"), explained=_emphasised(statistics.EXPLAINED),
        altered=altered, criteria=criteria, profile=data["profile"],
        results=table, opponent=opponent,
        steps=tables.step_table(table), ablations=tables.ablation_table(table, settings),
        choices=choices.choices(settings, table), origins=_origins(cards),
        plotted=[card["name"] for card in cards if any(card["name"] in figure["runs"] for figure in drawn)],
        listed=len(study.runs(settings)), images=100 * settings.classes,
        claims_notebook=_notebook(settings, "20_claims"),
        style=Markup((HERE / "page.css").read_text()),
        script=Markup((HERE / "page.js").read_text()),
        # "<" would let a text end the script element that holds it
        data=Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")))


def _emphasised(text):
    """Paragraphs of Markdown with **strong** and *emphasised* words as HTML."""
    # Escaped first, then marked up; ** before *, which it contains.
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", str(escape(text)), flags=re.DOTALL)
    text = re.sub(r"\*(.+?)\*", r"<i>\1</i>", text, flags=re.DOTALL)
    return Markup(text.strip().replace("\n\n", "<br><br>"))


def _html(frame):
    """A table as HTML, numbers to a tenth."""
    html = frame.to_html(index=False, na_rep="", border=0, justify="left", float_format="{:.1f}".format)
    return Markup(re.sub(r"(?<=>)-(?=\d)", "−", html))


def _notebook(settings, name):
    """The file name of an executed notebook of the report, beside the page; None if it is not there."""
    file = places.folder_of(settings, "report") / f"{name}.ipynb"
    return file.name if file.exists() else None


def _cards(settings):
    """What the page tells of every finished run, in the order of the study."""
    # Downstream too: what rests on such a run is not the chain that the others come from.
    again = set(results.retrained_upstream(settings.source, downstream=True))
    cards = []
    for item in study.runs(settings):
        folder = places.folder_of(settings, item.name)
        if not places.finished(folder):
            continue
        result = places.read_result(folder)
        history, curve = folder / "history.csv", None
        if history.exists():
            # By pandas, which writes null for a missing number; `json.dumps` writes NaN, which no
            # browser reads.
            curve = json.loads(pd.read_csv(history).to_json(orient="split", index=False))
        over_snr = {}
        for point in result["evaluation"]:
            # All noise draws of an SNR: the page shows each of them.
            over_snr.setdefault(point["snr_db"], []).append(point["accuracy"])
        cards.append({
            "name": item.name, "step": item.step, "figures": sorted(item.figures), "parameters": result["parameters"],
            "metrics": result["metrics"], "over_snr": sorted(over_snr.items()), "history": curve,
            "upstream": result["upstream"], "retrained_upstream": item.name in again, "hash": result["hash"],
            # Of its notebook and what that rests on: the last step's hash; unknown where none is.
            "code": (fingerprint.stored(result) or [[None]])[-1][-1],
            # Results from before 28 November have hashes of modules there, which nothing asks for
            # any more.
            "provenance": {key: value for key, value in result["provenance"].items() if key != "code"},
            # Relative, so that links hold wherever the project lies.
            "folder": Path(os.path.relpath(folder, places.folder_of(settings, "report"))).as_posix(),
            "notebook": item.notebook})
    return cards


def _origins(cards):
    """By day and commit: which runs were computed when, with which code and where."""
    rows = pd.DataFrame([{**card["provenance"], "step": card["step"]} for card in cards],
                        columns=["end", "commit", "device", "step"])
    # By day, not by the second: else each run would be a line.
    rows["day"], rows["commit"] = rows.end.str[:10], rows.commit.fillna("unknown").str[:8]
    joined = {"device": ("device", lambda column: ", ".join(sorted(set(column)))),
              "steps": ("step", lambda column: ", ".join(column.value_counts(sort=False).index)),
              "runs": ("step", "size")}
    return rows.groupby(["day", "commit"], as_index=False).agg(**joined).sort_values("day", ascending=False)


def _figure(settings, table, stem, place):
    """What the template draws of one figure, from the CSV beside its picture; None where it was not drawn."""
    file = places.folder_of(settings, "figures") / f"{stem}.csv"
    if not file.exists():
        return None
    rows = pd.read_csv(file)
    # A run that has been deleted since the figure was drawn has no card to lead to.
    rows = rows[rows.run.isin(place)]
    if stem == "figure3":
        panels = drawing.trade_off(rows, settings, place)
        numbers = tables.selected_table(points.figure3_models(table, settings))
    else:
        panels = drawing.over_snr(rows, place)
        numbers = tables.accuracy_table(table, settings, stem).reset_index()
    # One legend for both panels, each curve once.
    legend = {curve["label"]: curve for panel in panels for curve in panel["curves"]}
    point = settings.figure5 if stem == "figure5" else settings.figure4.panels.get(stem[-1])
    return {"stem": stem, "title": f"Figure {stem.removeprefix('figure')}", "quote": QUOTES.get(stem, ""),
            "panels": panels, "table": numbers, "runs": set(rows.run), "point": point,
            "legend": list(legend.values()), "notebook": _notebook(settings, NOTEBOOKS[stem]),
            "hollow": "other_weights" in rows and rows.other_weights.any(),
            "tried": rows.groupby("scheme", as_index=False).agg(
                tried=("run", "size"), within=("within", "sum"), selected=("selected", "sum"), holds=("holds", "sum"))
            if stem == "figure3" else None,
            "baseline": 100 * rows.baseline.iloc[0] if "baseline" in rows and len(rows) else None}
