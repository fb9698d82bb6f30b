"""README.md and docs/ say what the results say: each number is looked up, and looked up rightly."""

import json
import re
from statistics import mean

import pandas as pd
import pytest

from lib import InputError, study
from lib.claims import choices
from lib.pages import numbers, writing

# What a text may say without looking it up: parameters of the study, and numbers of the paper and of others.
SAID = (
    r"[Rr]atios?\s+0\.\d+", r"14\.5 dB", r"3\.11 to 3\.13",
    r"24\.3·10⁶",  # Sec. III: operations after pooling 2 at ratio 0.5
    r"rate of 0\.1\b",  # Sec. II-D, step 3; also the pretraining of others
    r"“2 %”",  # Sec. III: what may be lost in Figure 3
    r"TR 38\.901",  # the name of a document
    r"3 % above",  # from when on a loss counts as having risen
    r"95 % confidence",
    r"72\.9 % \(weiaicunzai", r"73\.7 % \(chenyaofo")  # baselines of others


@pytest.fixture(scope="module")
def gpu():
    return writing.environment().globals["gpu"]


def raw(name, profile="gpu"):
    return json.loads((study.ROOT / "outputs" / profile / name / "result.json").read_text())


def at(result, snr_db):
    return 100 * mean(point["accuracy"] for point in result["evaluation"] if point["snr_db"] == snr_db)


def models(stem, seeds=(0, 1, 2)):
    return [raw(f"end_to_end/{stem}-s{seed}") for seed in seeds]


def test_the_committed_pages_are_what_the_results_give():
    assert writing.refresh(check=True) == []


def test_a_changed_accuracy_changes_the_pages(gpu, monkeypatch):
    table = gpu.table.copy()
    point = (table.run == "end_to_end/pool2-r0.50-b2048-snr14.5-s0") & (table.snr_db == 14.5)
    table.loc[point, "accuracy"] += 0.01
    monkeypatch.setattr(gpu, "table", table)
    assert {file.name for file in writing.refresh(check=True)} == {"README.md", "findings.md", "best.md"}


def test_a_number_edited_by_hand_is_found(monkeypatch, tmp_path):
    pages = writing.pages()
    readme = study.ROOT / "README.md"
    edited = tmp_path / "README.md"
    edited.write_text(readme.read_text().replace("65.7 %", "66.7 %"))
    monkeypatch.setattr(writing, "pages", lambda: {edited: pages[readme]})
    assert writing.refresh(check=True) == [edited]
    assert writing.refresh() == [edited] and edited.read_text() == pages[readme]


def test_accuracy_is_the_mean_over_seeds_and_draws(gpu):
    found = models("pool2-r0.50-b2048-snr14.5")
    point = {"pool": 2, "ratio": 0.5, "bandwidth": 2048, "snr_db": 14.5}
    assert gpu.accuracy(**point) == pytest.approx(mean(at(result, 14.5) for result in found))
    assert gpu.accuracy(at=-5, **point) == pytest.approx(mean(at(result, -5.0) for result in found))
    assert gpu.accuracy(seed=1, **point) == pytest.approx(at(found[1], 14.5))


def test_span_is_that_of_the_seeds(gpu):
    found = [at(result, 10.0) for result in models("pool2-r0.50-b1024-snr10")]
    assert gpu.span(pool=2, ratio=0.5, bandwidth=1024, snr_db=10) == pytest.approx(max(found) - min(found))


def test_clean_accuracy_of_steps_1_and_2(gpu):
    whole = [raw(f"pretrain/s{seed}")["metrics"]["accuracy_clean"] for seed in range(3)]
    pruned = [raw(f"prune/pool4-r0.50-s{seed}")["metrics"]["accuracy_clean"] for seed in range(3)]
    assert gpu.clean(step="pretrain") == pytest.approx(100 * mean(whole))
    assert gpu.clean(step="prune", pool=4, ratio=0.5) == pytest.approx(100 * mean(pruned))


def test_below_compares_the_same_half(gpu):
    [model] = models("pool1-r0.70-b2048-snr14.5", [0])
    half = mean(point["accuracy_reporting"] for point in model["evaluation"] if point["snr_db"] == 14.5)
    expected = 100 * (raw("pretrain/s0")["metrics"]["accuracy_reporting_clean"] - half)
    point = {"pool": 1, "ratio": 0.7, "bandwidth": 2048, "snr_db": 14.5, "seed": 0}
    assert gpu.below("reporting", **point) == pytest.approx(expected)


def test_operations_and_symbols(gpu):
    found = models("pool2-r0.50-b512-snr14.5")
    macs = mean(result["metrics"]["device_macs"] for result in found) / 1e6
    assert gpu.macs(pool=2, ratio=0.5, bandwidth=512, snr_db=14.5) == pytest.approx(macs)
    jpeg = raw("baselines/jpeg-level95-snr14.5-s0")["metrics"]
    assert gpu.symbols(scheme="JPEG", picture_quality=95) == jpeg["symbols"]
    assert gpu.symbols("symbols_with_header", scheme="JPEG", picture_quality=95) == jpeg["symbols_with_header"]


def test_other_schemes_and_variants_are_found_by_name(gpu):
    separation = raw("baselines/separation-pool2-r0.50-b1024-snr14.5-s0")
    without_gdn = raw("end_to_end/pool2-r0.50-b512-snr14.5-s0-no_gdn")
    assert gpu.accuracy(scheme="Separation", pool=2, bandwidth=1024, at=0) == pytest.approx(at(separation, 0.0))
    assert gpu.accuracy(pool=2, ratio=0.5, bandwidth=512, snr_db=14.5, variant="no_gdn") == pytest.approx(
        at(without_gdn, 14.5))


def test_a_rising_loss_is_counted(gpu):
    files = (study.ROOT / "outputs" / "gpu" / "autoencoder").glob("*/history.csv")
    losses = {f"autoencoder/{file.parent.name}": [float(line.split(",")[1]) for line in
                                                 file.read_text().splitlines()[1:]] for file in files}
    expected = {run for run, loss in losses.items() if loss[-1] > 1.03 * min(loss)}
    assert expected and set(gpu.rising(0.03)) == expected


def test_a_model_that_was_not_trained_is_an_error(gpu):
    with pytest.raises(KeyError, match="no result"):
        gpu.accuracy(pool=2, ratio=0.6, bandwidth=2048, snr_db=14.5)
    with pytest.raises(KeyError, match="no evaluation at 3 dB"):
        gpu.accuracy(pool=2, ratio=0.5, bandwidth=2048, snr_db=14.5, at=3)


@pytest.mark.parametrize(("value", "text"), [
    (63.088, "63.1"), (-0.12, "−0.1"), (-0.04, "0.0"), (7323, "7,323"), (-1, "−1"), (float("nan"), ""), ("x-y", "x-y")])
def test_how_numbers_are_written(value, text):
    assert numbers.as_text(value) == text


def test_parameters_and_lists_in_a_sentence():
    assert [numbers.short(value) for value in (0.5, 14.5, -5.0)] == ["0.5", "14.5", "−5"]
    assert numbers.listed([1.0, 2.0, 3.0]) == "1.0, 2.0 and 3.0"
    assert numbers.listed([1.0]) == "1.0"


def test_a_table_keeps_bars_and_brackets_as_text():
    assert numbers.markdown(pd.DataFrame({"a": ["x|y<z>"], "b": [0.25]})).splitlines() == [
        "| a | b |", "| --- | --- |", r"| x\|y&lt;z> | 0.2 |"]


def test_a_sentence_that_no_longer_fits_is_an_error():
    assert numbers.sure(True) == ""
    with pytest.raises(ValueError, match="no longer fits"):
        numbers.sure(False)


def test_a_page_that_no_longer_fits_is_named_with_its_line_and_none_is_written(monkeypatch):
    line = next(number for number, text in enumerate((writing.TEMPLATES / "best.md.j2").read_text().splitlines(), 1)
                if "> longer.accuracy and" in text)
    monkeypatch.setitem(writing.environment().globals["best"].of["fresh_half_longer_logits"], "accuracy", None)
    readme = (study.ROOT / "README.md").read_text()
    with pytest.raises(InputError, match=f"best.md.j2, line {line}, does not fit the results: .* verify says which"):
        writing.refresh()
    assert (study.ROOT / "README.md").read_text() == readme


def test_the_numbers_in_the_texts_of_the_choices_are_those_of_the_results(gpu):
    """They stand in choices.yaml, because a page of another study says them too."""
    effects = {choice: text["effect"] for part in choices.TEXTS.values() for choice, text in part.items()}
    half = {"pool": 2, "ratio": 0.5, "bandwidth": 512, "snr_db": 14.5, "seed": 0}
    kept = {variant: gpu.accuracy(variant=variant, **half) for variant in ("proposed", "magnitude", "random")}
    lost = sorted(gpu.accuracy(variant="longer_step4", **point) - gpu.accuracy(**point) for point in (
        {"pool": item.pool, "ratio": item.ratio, "bandwidth": item.bandwidth, "snr_db": item.snr_db, "seed": 0}
        for item in gpu.settings.ablations if "longer_step4" in item.variants))
    step_3, clean = gpu.runs[gpu.runs.step == "autoencoder"], gpu.clean(step="pretrain", seed=0)
    model = {"pool": 2, "ratio": 0.5, "bandwidth": 2048}
    matched, fixed = gpu.accuracy(snr_db=-5, **model), gpu.accuracy(snr_db=14.5, at=-5, **model)
    with_header = gpu.runs[gpu.runs.symbols_with_header > gpu.runs.symbols]
    header = (with_header.symbols_with_header - with_header.symbols).groupby(with_header.scheme).agg(["min", "max"])
    assert (header["max"] - header["min"] <= 1).all()  # it never changes, but each count is rounded
    readings = numbers.Numbers("readings")
    few = {variant: f"{readings.accuracy(pool=5, ratio=0, bandwidth=8, snr_db=14.5, variant=variant):.1f}"
           for variant in readings.settings.ablations[0].variants}
    for choice, said in {
            "pretrain": f"ends at {clean:.1f} %",
            "Taylor scores": "Taylor {proposed:.1f}, magnitude {magnitude:.1f}, random {random:.1f} %".format(**kept),
            "autoencoder": f"in {len(gpu.rising(0.03))} of {len(step_3)} runs",
            "end to end": f"lose {lost[0]:.1f} to {lost[-2]:.1f} points at {len(lost) - 1} points of gpu, "
                          f"and {lost[-1]:.0f} with 8 symbols",
            "rate of the link in step 4":
                "{link_lr_1em3}, {link_lr_1em2} and {link_lr_1em1} % instead of {proposed} %".format(**few),
            "gradients and first epochs of training":
                "{clipped_step3} and {warm_step3} % instead of {proposed} %".format(**few),
            "SNR of training": f"{matched:.0f} % (matched) against {fixed:.0f} % (fixed)",
            "JPEG: header": f"by {header['max']['JPEG']:,.0f} symbols",
            "BottleNet: codec": f"by {header['max']['BottleNet']:,.0f} symbols"}.items():
        assert said.replace("six", "6") in effects[choice].replace("six", "6"), choice


def typed(text):
    """The measured numbers (percentages, decimals) that a template says without looking them up."""
    prose = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|```.*?```|`[^`]*`|\]\([^)]*\)", " ", text, flags=re.S)
    return re.findall(r"\d+(?:\.\d+)? ?%|\d+\.\d+", re.sub("|".join(SAID), " ", prose))


def test_what_counts_as_typed():
    assert typed("reaches 63.1 % at ratio 0.5, 14.5 dB, {{ gpu.accuracy(snr_db=2.5) }} %, `1.5`") == ["63.1 %"]
    assert typed("63 % and 0.6 points") == ["63 %", "0.6"]


@pytest.mark.parametrize("file", sorted(writing.TEMPLATES.glob("*.j2")), ids=lambda file: file.name)
def test_no_measured_number_is_typed_into_a_template(file):
    assert typed(file.read_text()) == []


def test_readme_types_none_outside_its_blocks():
    assert typed(writing.MARKED.sub("", (study.ROOT / "README.md").read_text())) == []


def test_readme_is_short_and_names_the_commands():
    text = (study.ROOT / "README.md").read_text()
    assert len(text.split()) <= 1100
    assert "./run_all.sh test" in text and "--depth 1" in text


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/findings.md", "docs/choices.md",
                                  "docs/results.md", "docs/paper-schedule.md", "docs/your-own-study.md",
                                  "docs/cluster.md", "docs/channels.md", "docs/networks.md", "docs/your-own-data.md"])
def test_every_link_within_the_repository_resolves(page):
    file = study.ROOT / page
    for link in re.findall(r"\]\(([^)]+)\)", file.read_text()):
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve()
        assert target.exists(), link
        headings = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in
                    re.findall(r"^#+ (.*)$", target.read_text(), re.M)] if anchor else []
        assert not anchor or anchor in headings, link
