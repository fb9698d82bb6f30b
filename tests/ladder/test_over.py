"""A rung over several channels: models, rows, and what is computed again."""

import json

import pytest
from test_ladder import LADDER, tiny  # noqa: F401

from helpers import TINY
from lib import InputError, study
from lib.channels import optional
from lib.channels.parameters import Channel
from lib.ladder import __main__ as command, over, records
from lib.opponent import separation
from lib.pages import channels

OVER = """  snrs_db: [0.0, 10.0]
  over:
    awgn: {about: noise, expect: much, rung: words, also_over: [erasure]}
    erasure: {about: lost, expect: less, rung: words, channel: {name: erasure, p: 0.5, packet: 2}}
    free: {about: free, expect: a, rung: words, snrs_db: [10.0], seeds: [0, 1]}
    qam: {about: points, expect: b, rung: words, snrs_db: [10.0], seeds: [0, 1], symbols: {order: 16, learned: true}}
"""


@pytest.fixture
def several(tiny):  # noqa: F811
    file = tiny / "params" / "tiny.yaml"
    file.write_text(file.read_text() + OVER)
    return file


def test_every_entry_is_computed_once_and_tells_where_its_models_were_tried(several, monkeypatch):
    assert command.main(["tiny"]) == 0
    settings = study.load("tiny")
    table = over.table(settings)
    tried = {(row.entry, row.train_snr_db, row.seed, row.over, row.snr_db) for row in table.itertuples()}
    evaluated = (0.0, 10.0, 14.5)  # the study's, and the SNRs of training
    expected = {(entry, snr, 0, entry, at) for entry in ("awgn", "erasure") for snr in (0.0, 10.0)
                for at in evaluated if at != 10.0 or snr == 10.0}
    expected |= {("awgn", snr, 0, "erasure", snr) for snr in (0.0, 10.0)}
    expected |= {(entry, 10.0, seed, entry, at) for entry in ("free", "qam") for seed in (0, 1) for at in evaluated}
    assert tried == expected and len(table) == len(expected)
    assert table.accuracy.between(0, 1).all() and all(len(draws) == 2 for draws in table.draws)
    assert records.read(settings, "separation")["points"]

    monkeypatch.setattr(command, "Climb", None)  # nothing is left to compute
    assert command.main(["tiny"]) == 0
    several.write_text(several.read_text().replace("p: 0.5", "p: 0.6"))
    changed = study.load("tiny")
    assert records.read(changed, "erasure") is None  # its channel is another now,
    assert records.read(changed, "awgn") is None  # and awgn was tried over it,
    assert records.read(changed, "free") and records.read(changed, "step3")

    shown = channels.Tables(settings)
    assert set(shown.compared.channel) == {"awgn", "erasure"}
    assert shown.by_snr("trained on it").columns.tolist() == ["channel", "0 dB", "10 dB"]
    row = shown.compared.iloc[2]
    assert (row.channel, row.snr_db) == ("erasure", 0.0)
    assert row["trained on noise alone"] == pytest.approx(100 * table[(table.entry == "awgn") & (
        table.over == "erasure") & (table.snr_db == 0)].accuracy.item())
    free, qam = shown.constellations.itertuples(index=False)
    assert free[5] == 0 and qam[5] == pytest.approx(qam[2] - free[2])


def test_without_results_the_tables_say_what_was_expected_and_nothing_else(several):
    shown = channels.Tables(study.load("tiny"))
    assert shown.expectations.expected.tolist() == ["much", "less", "a", "b"]
    assert shown.compared["trained on it"].isna().all() and shown.compared.separation.isna().all()
    assert shown.formats is None and shown.cliffs == []


@pytest.mark.parametrize("old, new, message", [
    ("rung: words, also_over: [erasure]", "rung: none", "its rung must be"),
    ("    free:", "    words:", "its own name none of them"),
    ("also_over: [erasure]", "also_over: [snow]", "no 'snow'"),
    ("  snrs_db: [0.0, 10.0]\n", "", "no SNR to train at"), ("order: 16", "order: 17", "order"),
    ("packet: 2", "packet: 7", "more than the 6"), ("p: 0.5", "p: 1.5", "channel.p"),
    ("start: words,", "start: words, snr_range: [0.0, 5.0],", "draws its own noise")])
def test_what_cannot_be_sent_over_a_channel_is_refused(root, old, new, message):
    whole = LADDER + OVER
    assert old in whole
    (root / "params" / "tiny.yaml").write_text(TINY + whole.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        study.load("tiny")


def test_an_odd_number_of_symbols_has_no_pairs(root):
    whole = (LADDER + OVER).replace("bandwidth: 6", "bandwidth: 7").replace(
        "{name: erasure, p: 0.5, packet: 2}", "{name: fading}")
    (root / "params" / "tiny.yaml").write_text(TINY + whole)
    with pytest.raises(InputError, match="must be even, not 7"):
        study.load("tiny")


def test_the_shipped_records_are_of_todays_parameters_and_whole():
    settings = study.load("channels")
    stored = [name for name in records.ladder(settings).over if (records.folder(settings) / f"{name}.json").exists()]
    for name in stored:
        content = records.read(settings, name)
        assert content is not None, name
        assert json.dumps(content["origin"]) and content["device"]
        assert not content["origin"]["uncommitted_changes"]


def test_an_option_that_was_added_since_and_is_off_leaves_records_as_they_are(several):
    assert command.main(["tiny", "erasure", "qam"]) == 0
    settings = study.load("tiny")
    for name, section, option in (("erasure", "channel", "pilots"), ("qam", "symbols", "gradient")):
        file = records.folder(settings) / f"{name}.json"
        content = json.loads(file.read_text())
        del content["parameters"][section][option]
        file.write_text(json.dumps(content))
        assert records.read(settings, name) == content
    several.write_text(several.read_text().replace("order: 16, learned: true", "order: 16, gradient: noise"))
    assert records.read(study.load("tiny"), "qam") is None and records.read(study.load("tiny"), "erasure")


def test_what_needs_a_missing_package_is_refused_before_anything_is_computed(several, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    several.write_text(several.read_text().replace("{name: erasure, p: 0.5, packet: 2}", "{name: tdl}"))
    monkeypatch.setattr(optional.importlib, "import_module", missing)
    monkeypatch.setattr(command, "Climb", None)
    for asked in ("erasure", "awgn"):  # the second is tried over it
        with pytest.raises(InputError, match="^sionna is not installed"):
            command.main(["tiny", asked])
    with pytest.raises(TypeError):  # goes on to compute, as it needs nothing
        command.main(["tiny", "free"])


def test_a_tapped_delay_line_stores_what_its_images_carry_and_separation_is_said_by_it(several):
    pytest.importorskip("sionna", reason="Sionna is not installed (requirements-channels.txt)")
    several.write_text(several.read_text().replace("{name: erasure, p: 0.5, packet: 2}", "{name: tdl, delay_ns: 0.0}"))
    assert command.main(["tiny", "erasure", "separation"]) == 0
    settings = study.load("tiny")
    rates = records.read(settings, "erasure")["rates"]
    assert set(rates) == {"0", "10"} and all(values == sorted(values) for values in rates.values())
    for rate in (0.3, 1.0, 1.7):  # without a delay spread it is Rayleigh block fading
        known = separation.outage(Channel(name="fading"), 10.0, rate, 6)
        assert separation.outage(Channel(name="tdl"), 10.0, rate, 6, rates["10"]) == pytest.approx(known, abs=0.015)
    shown = channels.Tables(settings).compared
    assert shown[shown.channel == "erasure"].separation.notna().all()
