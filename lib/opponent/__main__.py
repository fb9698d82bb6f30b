"""The digital opponent bit by bit, on the stored features of a study's ladder (docs/channels.md).

    python -m lib.opponent channels

Needs the packages of requirements-channels.txt. Each test image is a packet: its quantised features, entropy coded,
filled up with zeros, scrambled, LDPC coded, mapped, sent and decoded at each SNR. Stored in outputs/STUDY/digital.json,
format by format; one that is there is not measured again.
"""

import json
import time
from importlib import metadata

import numpy as np
import torch

from lib import InputError, evaluation, study
from lib.batch import places
from lib.channels.optional import optional
from lib.execution import processes
from lib.ladder import over, records
from lib.ladder.__main__ import Climb
from lib.opponent import entropy, packets
from lib.opponent.packets import Format, Modem
from lib.schemes import features as coding

# One image a packet in the ladder's 64 symbols; and, for the length's sake, one that is eight times as long.
FORMATS = {"16-QAM, rate 1/2": Format(64, 64, 4), "64-QAM, rate 2/3": Format(128, 64, 6),
           "QPSK, rate 1/2": Format(32, 64, 2)}
LONG = {"16-QAM, rate 1/2, eight times as long": Format(512, 512, 4)}
PACKAGES = ("constriction", "sionna-no-rt")
STEP_DB = 0.5
PACKETS, FEW = 10_000, 1000  # near the cliff, and where more than half are lost


def grid(form: Format) -> list[float]:
    """SNRs from below the capacity's to where nothing is lost any more, or nearly."""
    first = STEP_DB * round(packets.capacity_snr_db(form) / STEP_DB)
    return [first + STEP_DB * step for step in range(-1, 12)]


def chosen(climb: Climb, form: Format) -> coding.FeatureCode:
    """The feature code with which most training images arrive and are right, when the channel loses none."""
    known, labels = over.learning_set(climb)
    tried = torch.linspace(0, len(known) - 1, over.TRIED).long()

    def right(code):
        received, bits = code(known[tried])
        answers = evaluation.right(climb.classifier, received, labels[tried], torch.Tensor.float)
        return (answers & (bits <= form.bits)).float().mean().item()

    # Their mean length may be half of the packet, so that nearly all fit, or nearly the whole of it.
    codes = []
    for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        part = Format(round(share * form.bits), form.symbols, form.order)
        codes += coding.feature_codes(known, form.symbols, packets.capacity_snr_db(part))
    return max(codes, key=right)


def sent(climb: Climb, form: Format) -> tuple[dict, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(what the code costs, packets float [N, bits], which images fit into theirs, which are right if it arrives)."""
    code, test = chosen(climb, form), climb.test_features.float()
    levels, coder = entropy.levels_of(code, test), entropy.Coder(code, *test.shape[2:])
    messages = [coder.message(image) for image in levels.numpy()]
    lengths = np.array([len(message) for message in messages])
    estimated = coding.code_bits(levels.byte(), code.frequencies).numpy()
    filled = np.zeros((len(messages), form.bits), np.uint8)
    for row, message in zip(filled, messages, strict=True):
        row[:len(message)] = message[:form.bits]
    right = evaluation.right(climb.classifier, code(test)[0], climb.stage.data.test_labels, torch.Tensor.float)
    return ({"bits": lengths.mean(), "estimated_bits": estimated.mean(), "longest_excess": float(
             (lengths - estimated).max()), "fit": float((lengths <= form.bits).mean()),
             "accuracy": right.float().mean().item()},
            torch.from_numpy(filled).float(), torch.from_numpy(lengths <= form.bits), right)


def cliff(form: Format, packet: torch.Tensor, counts: torch.Tensor, right: torch.Tensor, classes: int) -> list[dict]:
    """For each SNR of the grid: the share of packets lost, and the accuracy, with chance for what does not arrive."""
    modem, generator = Modem(form), torch.Generator().manual_seed(0)
    # The same for all, and known to both ends: without it much of a packet would be one constellation point.
    scrambler = torch.randint(0, 2, (form.bits,), generator=generator).float()
    rows = []
    for snr_db in grid(form):
        scrambled = (packet + scrambler) % 2
        arrived = modem.arrives(scrambled[:FEW], snr_db, generator)
        if arrived.float().mean() >= 0.5:
            arrived = torch.cat([arrived, modem.arrives(scrambled[FEW:], snr_db, generator)])
        tried = slice(len(arrived))
        answers = torch.where(arrived & counts[tried], right[tried].float(), 1 / classes)
        rows.append({"snr_db": snr_db, "lost": (~arrived).float().mean().item(), "packets": len(arrived),
                     "normal": packets.normal_approximation(form, snr_db), "accuracy": answers.mean().item()})
        print(f"{snr_db:g} dB: {rows[-1]['lost']:.4f} lost, accuracy {100 * rows[-1]['accuracy']:.2f} %", flush=True)
        if not rows[-1]["lost"]:
            break
    return rows


def measure(climb: Climb, name: str) -> dict:
    """One format: test images as packets or, of a long one, random bits."""
    began = time.monotonic()
    print(name, flush=True)
    if name in FORMATS:
        form = FORMATS[name]
        costs, packet, counts, right = sent(climb, form)
    else:
        form, costs = LONG[name], {}
        packet = torch.randint(0, 2, (PACKETS, form.bits), generator=torch.Generator().manual_seed(1)).float()
        counts = right = torch.ones(PACKETS, dtype=torch.bool)
    return {"format": vars(form), **costs, "capacity_snr_db": packets.capacity_snr_db(form),
            "points": cliff(form, packet, counts, right, climb.settings.classes),
            "packages": {package: metadata.version(package) for package in PACKAGES},
            "seconds": time.monotonic() - began, **records.made_here()}


def main(arguments: list[str]) -> int:
    """Measure the formats that are not stored yet, and store each; returns the exit code."""
    if len(arguments) != 1:
        raise InputError("usage: python -m lib.opponent STUDY")
    settings = study.load(arguments[0])
    file = records.folder(settings).parent / "digital.json"
    found = json.loads(file.read_text())["formats"] if file.exists() else {}
    todo = [name for name, form in {**FORMATS, **LONG}.items() if found.get(name, {}).get("format") != vars(form)]
    if todo:
        for name in ("constriction", "sionna.phy.mapping"):
            optional(name)
        climb = Climb(settings)
        for name in todo:
            found[name] = measure(climb, name)
            places.write_json(file, {"formats": found})
    return 0


if __name__ == "__main__":
    processes.command_line(main)
