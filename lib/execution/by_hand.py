"""A run whose notebook was opened by hand: what it starts from, and cells that run twice, late or out of order."""

import importlib
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from lib import InputError, study
from lib.batch import places
from lib.evidence import fingerprint, provenance
from lib.execution import atomic, estimate, kernel, processes
from lib.schedule import Schedule

SMALL = 5000  # training images, up to which a notebook computes by itself what it starts from
EPOCH = re.compile(r"(?:epoch|resumed after epoch) (\d+)(?:/| of )\d+(?:: (loss \S+), .*?([^,]*images/s))?")


def provide(settings: study.Study, listed: dict[str, study.Run], missing: list[str]) -> None:
    """Compute runs that are missing, in this order, into outputs/interactive/.

    Of a large study InputError names the command that does, and how long it takes here.
    """
    if missing and settings.data.counts[1] > SMALL:
        seconds, _ = estimate.remaining(settings, [listed[name] for name in missing], provenance.device())
        folder = places.folder_of(settings, missing[-1])
        what = "The weights of {} are not here" if places.finished(folder) else "{} has not been computed"
        raise InputError(f"{what.format(missing[-1])}: python -m lib.run {settings.source} {missing[-1]} makes it, in "
                         f"about {estimate.duration(seconds)} on this machine (./run_all.sh {settings.source} makes "
                         "the whole study).")
    for number, name in enumerate(missing, 1):
        print(f"{name} is computed first ({number} of {len(missing)})", flush=True)
        folder = places.interactive_folder(settings, name)
        if processes.run(settings, name, atomic.execute, listed[name], folder):
            raise InputError(f"{name} has failed, which this run starts from: what it said stands above.")


def describe_upstream(settings: study.Study, item: study.Run, today: dict[str, list], interactive: bool) -> None:
    """Print which folders a run starts from, made when, whether they still fit, and how to take other ones."""
    for name in item.upstream:
        taken = places.find(settings, name, interactive=interactive)
        other = places.find(settings, name, interactive=not interactive)
        if taken is None:
            continue
        print(f"starts from {_made(taken)}", flush=True)
        if other != taken:
            print(f"not from {_made(other)}: for that, jobs.start(…, interactive={not interactive})", flush=True)
        if fingerprint.differences(places.read_result(taken), today[name]):
            print(f"{taken.relative_to(study.ROOT)}, which this run starts from, no longer fits the parameters or "
                  "code; without that folder it is computed again", flush=True)


def _made(folder):
    """A run's folder and when it was made."""
    ended = places.read_result(folder).get("provenance", {}).get("end", "")
    return f"{folder.relative_to(study.ROOT)}, made {ended[:16].replace('T', ' ') or 'at an unknown time'}"


class Session:
    """What a job remembers of the notebook that began it; of a batch, nothing.

    `parameters` are those that the job was started with, the study's name among them.
    """

    registered = None  # what this kernel calls before each cell, since the latest start of a job

    def __init__(self, parameters: dict[str, Any] | None = None):
        self.shell, self.begun, self.random_states = kernel.shell() if parameters else None, {}, {}
        namespace = self.shell.user_ns if self.shell else {}
        # Only those that the notebook has as variables: a start may also be given plain values.
        self.parameters = {name: value for name, value in (parameters or {}).items()
                           if name in namespace and namespace[name] == value}
        if self.shell:
            # The first optimizer of a process imports it: interrupted there, the kernel would be left with half of it.
            importlib.import_module("torch._dynamo")
            if Session.registered:
                self.shell.events.unregister("pre_run_cell", Session.registered)
            Session.registered = self.repeat_random_numbers
            self.shell.events.register("pre_run_cell", Session.registered)

    def check(self) -> None:
        """Raise InputError when a parameter has been changed since the job was started."""
        for name, value in self.parameters.items():
            now = self.shell.user_ns.get(name, value)
            if now != value:
                raise InputError(f"{name} is {now!r} now, and this job was started with {value!r}: run the cell with "
                                 "jobs.start again, then those after it.")

    def repeat_random_numbers(self, info: Any) -> None:
        """Before a cell: one that is run again begins with the random numbers of its first time."""
        torch.set_rng_state(self.random_states.setdefault(info.raw_cell, torch.get_rng_state()))

    def begin(self, model: nn.Module, stage: str) -> None:
        """Before a training: a model that is trained again begins as it did the first time, interrupted or not."""
        if self.shell is None:
            return
        trained, state = self.begun.get(stage, (None, None))
        if trained is model:
            model.load_state_dict(state)
        else:
            self.begun[stage] = model, {name: value.clone() for name, value in model.state_dict().items()}

    def report(self, name: str, schedule: Schedule) -> Callable[[str], None]:
        """What takes the lines of a training: a bar where somebody watches, else each is printed."""
        return Bar(name, schedule.epochs) if self.shell and kernel.watched() else say


def say(line: str) -> None:
    """Print at once, so that progress shows while the notebook runs."""
    print(line, flush=True)


class Bar:
    """A training's progress: epochs, time left, loss and rate."""

    def __init__(self, name: str, epochs: int):
        from tqdm.auto import tqdm  # here: only a kernel needs it

        self.bar = tqdm(total=epochs, desc=name, unit="epoch")

    def __call__(self, line: str) -> None:
        """Take a line of `lib.training.fit`; what is no epoch is printed."""
        found = EPOCH.match(line)
        if not found or not found[2]:
            say(line)
        if found:
            self.bar.set_postfix_str(", ".join(part.strip() for part in found.groups()[1:] if part), refresh=False)
            self.bar.update(int(found[1]) - self.bar.n)
        if self.bar.n == self.bar.total:
            self.bar.close()
