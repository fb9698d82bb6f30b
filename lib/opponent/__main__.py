"""The digital opponent bit by bit, on the stored features of a study's ladder (docs/channels.md).

    python -m lib.opponent channels

Needs the packages of requirements-channels.txt. Each test image is a packet: its quantised features, entropy coded,
filled up with zeros, scrambled, LDPC coded, mapped, sent and decoded at each SNR. Stored in outputs/STUDY/digital.json.
"""

import time

import numpy as np
import torch

from lib import InputError, evaluation, study
from lib.batch import places
from lib.evidence import provenance
from lib.execution import processes
from lib.ladder import over, records
from lib.ladder.__main__ import Climb
from lib.opponent import entropy, packets
from lib.opponent.packets import Format, Modem
from lib.schemes import features as coding

# One image a packet in the ladder's 64 symbols; and, for the length's sake, eight images in one.
FORMATS = {"QPSK, rate 1/2": Format(32, 64, 2), "16-QAM, rate 1/2": Format(64, 64, 4),
           "64-QAM, rate 2/3": Format(128, 64, 6)}
LONG = {"16-QAM, rate 1/2, eight times as long": Format(512, 512, 4)}
STEP_DB = 0.5
PACKETS = 10_000


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
        arrived = modem.arrives((packet + scrambler) % 2, snr_db, generator)
        answers = torch.where(arrived & counts, right.float(), 1 / classes)
        rows.append({"snr_db": snr_db, "lost": (~arrived).float().mean().item(), "packets": len(packet),
                     "normal": packets.normal_approximation(form, snr_db), "accuracy": answers.mean().item()})
        print(f"{snr_db:g} dB: {rows[-1]['lost']:.4f} lost, accuracy {100 * rows[-1]['accuracy']:.2f} %", flush=True)
        if not rows[-1]["lost"]:
            break
    return rows


def main(arguments: list[str]) -> int:
    """Measure all formats and store them; returns the exit code."""
    if len(arguments) != 1:
        raise InputError("usage: python -m lib.opponent STUDY")
    settings, began = study.load(arguments[0]), time.monotonic()
    for name in ("constriction", "sionna.phy"):
        entropy.optional(name)
    climb, found = Climb(settings), {}
    for name, form in FORMATS.items():
        print(name, flush=True)
        costs, packet, counts, right = sent(climb, form)
        found[name] = {"format": vars(form), **costs, "capacity_snr_db": packets.capacity_snr_db(form),
                       "points": cliff(form, packet, counts, right, settings.classes)}
    for name, form in LONG.items():
        print(name, flush=True)
        packet = torch.randint(0, 2, (PACKETS, form.bits), generator=torch.Generator().manual_seed(1)).float()
        everything = torch.ones(PACKETS, dtype=torch.bool)
        points = cliff(form, packet, everything, everything, settings.classes)
        found[name] = {"format": vars(form), "capacity_snr_db": packets.capacity_snr_db(form), "points": points}
    versions = {name: entropy.version(name) for name in ("constriction", "sionna-no-rt")}
    places.write_json(records.folder(settings).parent / "digital.json", {
        "formats": found, "packages": versions, "seconds": time.monotonic() - began, "origin": provenance.origin(),
        "device": provenance.device()})
    return 0


if __name__ == "__main__":
    processes.command_line(main)
