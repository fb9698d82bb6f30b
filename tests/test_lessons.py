"""The lessons as texts, and what they show: the sums by closed forms, the pictures read back from their axes."""

import ast
import inspect
import json
import re
import types

import matplotlib.pyplot as plt
import pandas as pd
import papermill
import pytest
import torch

from helpers import NAMES, folder
from lib import checkpoint, codec, evaluation, flops, geometry, pruning, study, torchvision_ops, training, vgg
from lib.batch import places
from lib.lessons import drawing, measures
from lib.report import system
from lib.stage import Stage

LESSONS = {"00_data": "data", "01_pretrain": "pretrain", "02_prune": "prune", "03_autoencoder": "autoencoder",
           "04_end_to_end": "end_to_end", "05_baselines": "baselines"}
FIGURES = ("10_figure3", "11_figure4", "12_figure5", "20_claims")  # lessons too, on results that are there
BEYOND = ("30_choose_split", "31_transmission", "40_channels", "41_one_model", "42_device", "43_best")
ORDER = [*LESSONS, *FIGURES, "30_choose_split"]
LONGEST = 8  # lines of a cell, imports aside, unless one statement is long


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


# As texts

def cells(lesson, kind):
    content = json.loads((study.ROOT / "notebooks" / f"{lesson}.ipynb").read_text())
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def prose(lesson):
    return "\n\n".join(cells(lesson, "markdown"))


every_lesson = pytest.mark.parametrize("lesson", ORDER[:-1])


@every_lesson
def test_a_lesson_names_its_section_says_what_to_expect_and_is_of_a_lessons_length(lesson):
    opening = cells(lesson, "markdown")[0]
    assert "Sec. II" in opening and "**What to expect**" in opening
    assert 550 <= len(prose(lesson).split()) <= 1200


@every_lesson
def test_a_lesson_has_an_equation(lesson):
    equations = re.findall(r"\$\$(.+?)\$\$", prose(lesson), re.DOTALL)
    assert equations and all(equation.count("{") == equation.count("}") for equation in equations)


@pytest.mark.parametrize("lesson, stage", LESSONS.items())
def test_a_lesson_draws_the_system_with_its_stage_lit(lesson, stage):
    assert stage in system.STAGES
    assert sum(f'system.draw(lit="{stage}")' in cell for cell in cells(lesson, "code")) == 1


@every_lesson
def test_a_lesson_ends_with_three_things_to_try(lesson):
    last = prose(lesson).partition("## Try next")[2]
    assert re.findall(r"^(\d)\. `", last, re.MULTILINE) == ["1", "2", "3"]


@every_lesson
def test_links_lead_to_notebooks_and_to_the_neighbours(lesson):
    links = re.findall(r"\]\(([^)]+)\)", prose(lesson))
    assert [link for link in links if not (study.ROOT / "notebooks" / link).exists()] == []
    place = ORDER.index(lesson)
    neighbours = ORDER[max(0, place - 1):place] + ORDER[place + 1:place + 2]
    assert {f"{name}.ipynb" for name in neighbours} <= set(links)


@every_lesson
def test_an_invariant_is_checked_and_said(lesson):
    checked = [cell for cell in cells(lesson, "code") if "sys.path" not in cell  # which checks where it runs
               and any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell)))]
    assert checked and all("print(" in cell for cell in checked)


@pytest.mark.parametrize("lesson", [*ORDER[:-1], *BEYOND])
def test_papermill_explains_every_parameter(lesson):
    known = papermill.inspect_notebook(str(study.ROOT / "notebooks" / f"{lesson}.ipynb"))
    assert "study" in known
    for name, parameter in known.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float", "bool") and len(parameter["help"]) > 10, name


@every_lesson
def test_cells_are_short(lesson):
    for cell in cells(lesson, "code"):
        lengths = [node.end_lineno - node.lineno + 1 for node in ast.parse(cell).body
                   if not isinstance(node, ast.Import | ast.ImportFrom)]
        longest = max(lengths, default=0)
        assert sum(lengths) <= LONGEST or longest > 5 and sum(lengths) - longest <= 4, cell


@every_lesson
def test_words_stand_before_a_cell_that_computes(lesson):
    content = json.loads((study.ROOT / "notebooks" / f"{lesson}.ipynb").read_text())["cells"]
    kinds = [cell["cell_type"][0] for cell in content]
    assert "ccc" not in "".join(kinds[4:])


def test_nothing_that_draws_returns_what_a_cell_would_print():
    for name, function in inspect.getmembers(drawing, inspect.isfunction):
        if function.__module__ == drawing.__name__:
            assert inspect.signature(function).return_annotation is None, name


def test_executed_lessons_show_pictures_and_no_objects(project):
    for name in NAMES:
        outputs = [output for cell in json.loads((folder(name) / "notebook.ipynb").read_text())["cells"]
                   for output in cell.get("outputs", [])]
        assert not [output for output in outputs if output["output_type"] == "execute_result"], name
        assert len([output for output in outputs if "image/png" in output.get("data", {})]) >= 3, name


# Sums

@pytest.fixture(scope="module")
def counts():
    return measures.operations_by_layer(measures.full_network())


def test_the_papers_network_has_twice_its_156_million_operations(counts):
    assert counts.ours.sum() == flops.count_macs(vgg.vgg16_bn(), (3, 32, 32)) == 313_772_032


def test_each_layers_operations_are_those_of_the_closed_form(counts):
    inputs, sizes = (3, *geometry.CHANNELS), [32 >> pool for pool, layers in enumerate(geometry.BLOCKS)
                                              for _ in range(layers)]
    maps = [size**2 * filters for size, filters in zip(sizes, geometry.CHANNELS, strict=True)]
    expected = [9 * channels * values for channels, values in zip(inputs, maps, strict=False)]
    assert counts.ours.tolist() == expected + [512 * 512, 512 * 512, 512 * 100]
    assert counts["bias"].tolist() == counts["activation"].tolist()[:-1] + [100] == [*maps, 512, 512, 100]
    assert counts["batch norm"].tolist() == [2 * values for values in maps] + [0, 0, 0]
    assert counts.pooling[counts.pooling > 0].tolist() == [maps[last] for last in (1, 3, 6, 9, 12)]


def test_layer_by_layer_ptflops_counts_what_it_counts_for_the_whole(make_network):
    torchvision_ops.mend()
    from ptflops import get_model_complexity_info

    network = make_network()
    whole, _ = get_model_complexity_info(network, (3, 32, 32), as_strings=False, print_per_layer_stat=False,
                                         backend="pytorch", backend_specific_config={"count_functional": False})
    counted = measures.operations_by_layer(network)
    parts = counted[["ours", "bias", "batch norm", "activation", "pooling"]].sum(axis=1)
    assert counted.ptflops.sum() == whole and (parts == counted.ptflops).all()


def test_masking_is_removing_and_changes_no_model(make_network, pictures):
    network, removed = make_network(), {"features.3": [0, 2], "features.40": [1]}
    images = pictures[0][:4].float() / 255
    before = network(images)
    masked = measures.masked(network, removed)(images)
    assert torch.allclose(masked, pruning.remove_filters(network, removed)(images), atol=1e-4)
    assert torch.equal(network(images), before) and not torch.allclose(masked, before, atol=1e-3)


def test_the_chain_is_that_of_the_checkpoints(make_network, pictures, tmp_path):
    images, labels = pictures
    cut, trained = make_network(1), make_network(2)
    job = types.SimpleNamespace(
        folder=tmp_path, key=lambda stage: f"key{stage}", engine=training.CPU, architecture="vgg16_bn",
        study=types.SimpleNamespace(classes=10),
        data=types.SimpleNamespace(test_images=images, test_labels=labels, normalise=lambda part: part.float() / 255))
    job.rebuild = types.MethodType(Stage.rebuild, job)
    checkpoint.save(tmp_path / "checkpoint-7-network.pt", "key-7-network",
                    {"model": cut.state_dict(), "channels": vgg.channels(cut)})
    checkpoint.save(tmp_path / "checkpoint-7.pt", "key-7", {"model": trained.state_dict()})
    state = torch.get_rng_state()
    chain = measures.pruning_chain(job, [4], 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert chain.removed.tolist() == [7, 7] and chain.state.tolist() == ["cut", "trained"]
    assert chain.accuracy.tolist() == [evaluation.accuracy(network, images, labels, job.data.normalise)
                                       for network in (cut, trained)]


def test_evenly_spread_indices_reach_from_the_first_to_the_last():
    assert measures.spread(1000, 3).tolist() == [0, 499, 999] and measures.spread(3).tolist() == [0, 1, 2]


def store(root, name, metrics, upstream=(), **parameters):
    place = root / "outputs" / "quick" / name
    place.mkdir(parents=True)
    (place / "result.json").write_text(json.dumps({
        "name": name, "step": name.split("/")[0], "metrics": metrics, "upstream": list(upstream),
        "parameters": {"pool": None, "snr_db": 14.5, **parameters}, "evaluation": [],
        "provenance": {}}))


def a_job(name, upstream=(), **parameters):
    run = types.SimpleNamespace(name=name, upstream=list(upstream), parameters={"snr_db": 14.5, **parameters})
    settings = study.load("quick")
    return types.SimpleNamespace(run=run, study=settings, seed=0,
                                 find=lambda name, weights=True: places.find(settings, name, weights))


def test_the_four_steps_are_those_that_led_to_the_run(root):
    store(root, "pretrain/s0", {"accuracy_clean": 0.8})
    store(root, "prune/a", {"accuracy_clean": 0.7}, ["pretrain/s0"], ratio=0.5)
    store(root, "prune/b", {"accuracy_clean": 0.4}, ["prune/a"], ratio=0.9)
    store(root, "autoencoder/c", {"accuracy_clean": 0.3, "accuracy_at_snr": 0.2}, ["prune/b"])
    steps = measures.four_steps(a_job("end_to_end/d", ["autoencoder/c"]), 0.6, 0.5)
    assert steps.step.tolist() == ["1 pretrain", "2 prune to 0.5", "2 prune to 0.9", "3 autoencoder", "4 end to end"]
    assert steps["without noise"].tolist() == [0.8, 0.7, 0.4, 0.3, 0.6]
    assert steps["at the SNR"].isna().tolist() == [True, True, True, False, False]
    assert steps["at the SNR"].tolist()[3:] == [0.2, 0.5]


def test_schemes_are_listed_once_by_symbols_with_ours_among_them(root):
    def metrics(scheme, symbols):
        return {"scheme": scheme, "symbols": symbols, "device_macs": 2e6, "accuracy_at_snr": 0.5}

    store(root, "baselines/png", metrics("PNG", 7000))
    store(root, "baselines/other", metrics("JPEG", 900), snr_db=0.0)
    store(root, "baselines/plus", metrics("BottleNet++", 1), pool=2)
    store(root, "end_to_end/pool2-r0.50-b512-snr14.5-s0", metrics("", 512) | {"scheme": "ours (step 4)"}, pool=2)
    table = measures.schemes(a_job("baselines/plus", pool=2), metrics("BottleNet++", 600))
    assert table.scheme.tolist() == ["ours (step 4)", "BottleNet++", "PNG"]
    assert table.symbols.tolist() == [512, 600, 7000] and table["after pooling"].tolist() == ["2", "2", ""]
    assert table["accuracy at 14.5 dB (%)"].tolist() == [50, 50, 50]


def test_every_scheme_says_what_it_sends():
    from lib.schemes.measure import NAMES as SCHEMES

    assert set(measures.SENDS) == {*SCHEMES.values(), "ours (step 4)"}


def test_each_parts_change_is_its_own(make_network):
    def pipeline():
        torch.manual_seed(3)
        return codec.Pipeline(make_network(), 2, codec.link(2, 16, 64, 14.5))

    before, after = pipeline(), pipeline()
    with torch.no_grad():
        for weights in after.link.parameters():
            weights.mul_(1.1)
    assert measures.moved(before, after) == pytest.approx({"device_half": 0, "link": 0.1, "edge_half": 0}, rel=1e-4)


def test_a_run_of_another_scheme_fills_a_pipeline_with_its_weights(make_network, tmp_path):
    job = types.SimpleNamespace(folder=tmp_path, key=lambda stage: f"key{stage}")
    trained, empty = (codec.Pipeline(make_network(seed), 2, codec.link(2, 16, 64, 14.5)) for seed in (1, 2))
    assert not measures.fill(job, empty)
    checkpoint.save(tmp_path / "checkpoint-phase2.pt", "key-phase2", {"model": trained.state_dict()})
    assert measures.fill(job, empty)
    assert all(torch.equal(*pair) for pair in zip(empty.parameters(), trained.parameters(), strict=True))


@pytest.mark.parametrize("call", [
    lambda network: measures.full_network(), measures.operations_by_layer,
    lambda network: measures.masked(network, {"features.0": [0]})], ids=["build", "count", "mask"])
def test_looking_draws_no_random_number_and_leaves_the_mode(make_network, call):
    network = make_network().train()
    state = torch.get_rng_state()
    call(network)
    assert torch.equal(torch.get_rng_state(), state) and all(module.training for module in network.modules())


def test_numbers_are_written_as_a_person_writes_them():
    assert (measures.percent(0.65678), measures.percent(torch.tensor(1.0))) == ("65.7 %", "100.0 %")
    assert [measures.millions(count) for count in (156e6, 1808640, 85504)] == ["156 million", "1.81 million",
                                                                              "85.5 thousand"]


# Pictures

def test_crosses_are_the_filters_that_go_first():
    drawing.scores({"features.0": torch.tensor([0.1, 0.5, 0.9]), "features.3": torch.tensor([0.7, 0.2])},
                   {"features.0": [0, 1]})
    heights = [collection.get_offsets()[:, 1].tolist() for collection in plt.gca().collections]
    assert [pytest.approx(values) for values in heights[:4]] == [[0.9], [0.1, 0.5], [0.7, 0.2], []]


def test_the_chain_goes_down_and_up_at_each_cut():
    chain = pd.DataFrame({"removed": [10, 10, 20, 20], "state": ["cut", "trained"] * 2,
                          "accuracy": [0.5, 0.7, 0.3, 0.6]})
    drawing.pruning_chain(chain, total=40, start=(0, 0.8))
    way, cut, trained = plt.gca().get_lines()
    assert way.get_xdata().tolist() == [0, 25, 25, 50, 50] and way.get_ydata().tolist() == [80, 50, 70, 30, 60]
    assert cut.get_ydata().tolist() == [50, 30] and trained.get_ydata().tolist() == [70, 60]


def test_maps_of_one_shape_share_their_colours_and_gaps_are_empty():
    drawing.in_a_row({"image": torch.zeros(3, 32, 32, dtype=torch.uint8), "map": torch.zeros(3, 4, 4),
                      "restored": torch.full((3, 4, 4), 2.0), "sent": torch.full((1, 2, 2), 7.0)})
    shown = [axis.get_images()[0] for axis in plt.gcf().axes]
    assert [image.get_clim() for image in shown[1:3]] == [(0, 2), (0, 2)]
    assert shown[1].get_array().mask.sum() == 10 * 10 - 3 * 16


def test_symbols_are_drawn_as_sent_and_received():
    drawing.symbols(torch.tensor([-1.0, 1.0]), torch.tensor([-2.0, 2.0]), snr_db=0.0)
    left, right = plt.gcf().axes
    assert left.collections[1].get_offsets().tolist() == [[-1, -2], [1, 2]]
    assert [text.get_text() for text in right.get_legend().get_texts()] == [
        "sent, mean square 1.00", "received, mean square 4.00"]


def test_a_step_without_a_channel_has_one_bar():
    steps = pd.DataFrame({"step": ["1", "4"], "without noise": [0.8, 0.7], "at the SNR": [float("nan"), 0.6]})
    drawing.four_steps(steps, 14.5, chance=0.1)
    clean, noisy = plt.gca().containers
    assert [bar.get_height() for bar in clean] == [80, 70] and noisy[1].get_height() == 60
    assert [text.get_text() for text in plt.gca().texts] == ["80.0 %", "70.0 %", "", "60.0 %"]


def test_each_classs_row_says_how_many_images_it_has(pictures):
    images, labels = pictures
    drawing.examples(images, labels, list("abcdefghij"), rows=4, each=3)
    axis = plt.gca()
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a: 4", "b: 4", "c: 4", "d: 4"]
    mosaic = torch.from_numpy(axis.get_images()[0].get_array().data)
    assert torch.equal(mosaic[32:64, :32], images[labels == 1][0].permute(1, 2, 0))


def test_both_counts_stand_side_by_side(counts):
    drawing.operations(counts)
    ours, theirs = plt.gcf().axes[0].containers
    assert [bar.get_height() for bar in ours] == pytest.approx(counts.ours / 1e6)
    assert [bar.get_height() for bar in theirs] == pytest.approx(counts.ptflops / 1e6)
