"""What a training notebook works with: its run's parameters, data, engine, upstream weights, and its result."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from lib import InputError, checkpoint, geometry, study, weights
from lib.batch import checks, places
from lib.batch.places import OUTPUT, read_result, write_json
from lib.evidence import fingerprint, provenance
from lib.execution import by_hand
from lib.networks import structure
from lib.schedule import Schedule
from lib.stage import Stage


class Job(Stage):
    """What a notebook works with: its run's study, data, engine and folder; `finish` stores the result.

    What it does to numbers stands in `Stage`, whose code is part of a run's hash; here is where things lie.
    """

    def __init__(self, item: study.Run, settings: study.Study, folder: Path,
                 session: by_hand.Session | None = None, interactive: bool = False):
        self.session, self.interactive = session or by_hand.Session(), interactive
        # A variant sees the study with its own schedule.
        self.run, self.study, self.folder = item, study.settings_for(settings, item.parameters), Path(folder)
        # Now, not at the end: what is committed or edited while it trains made none of its numbers.
        self.started, self.origin = datetime.now(UTC), provenance.origin()
        super().__init__(settings, item.parameters["seed"], settings.threads_of(item.step))
        # From what upstream results say of themselves: where one is stale, this run inherits that.
        self.made_by = fingerprint.origin(settings, item, [fingerprint.stored(read_result(self.find(name)))
                                                           for name in item.upstream])
        self.folder.mkdir(parents=True, exist_ok=True)

    def find(self, name: str, weights: bool = True) -> Path | None:
        """The folder of a run that this one starts from."""
        return places.find(self.study, name, weights, self.interactive)

    def upstream(self) -> tuple[weights.State, dict]:
        """The weights and the result of the run before this one."""
        self.session.check()
        # A chain: each run starts from one other.
        folder = self.find(self.run.upstream[0])
        places.check_weights(folder)
        return weights.load(folder), read_result(folder)

    def network(self) -> nn.Module:
        """The classification network of the run upstream, rebuilt at its pruned widths, in evaluation mode."""
        state, result = self.upstream()
        return self.rebuild(state, result["channels"], self.study.classes)

    def link(self, link: nn.Module) -> nn.Module:
        """The given link with the weights that step 3, upstream, pretrained."""
        # Step 3 stores the network's weights beside the link's.
        link.load_state_dict(weights.part(self.upstream()[0], "link"))
        return link

    def baseline(self) -> float:
        """Accuracy of the pretrained net without a channel, of this run's seed."""
        self.session.check()
        name = study.name("pretrain", seed=self.seed)
        # Its accuracy alone is asked for, so that its weights need not be here.
        return read_result(self.find(name, weights=False))["metrics"]["accuracy_clean"]

    def fit(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None, loss: Callable,
            schedule: Schedule, stage: str = "", **options: Any) -> pd.DataFrame:
        """`Stage.fit` with a checkpoint in this run's folder.

        A checkpoint is of one code, one set of parameters, the upstream weights it began with, and one engine: with
        any other, training starts anew. By hand, `lib.execution.by_hand` says what else happens.
        """
        self.session.check()
        self.session.begin(model, stage)
        # Each training of a run has a checkpoint of its own.
        return super().fit(model, inputs, targets, loss, schedule, stage, key=self.key(stage),
                           report=self.session.report(f"{self.run.step}{stage}", schedule),
                           checkpoint=self.folder / f"checkpoint{stage}.pt", **options)

    def key(self, stage: str) -> str:
        """What a checkpoint must carry to be resumed."""
        # Not the GPU's name: a run may go on with another one, up to rounding.
        engine = self.engine.device.type, self.engine.bfloat16, self.engine.cuda_graphs
        return f"{self.made_by} {self.upstream_weights()} {stage} {engine}"

    def pruned(self, stage: str, generator: torch.Generator, prune: Callable) -> nn.Module:
        """The network that `prune()` gives, or gave before this run was broken off.

        Then it need not be scored again, and another processor, which might choose another filter, goes on with the
        same network. The random numbers of `generator` go on where they were, too.
        """
        # Apart from the training's checkpoint, which fits only into a network of these widths.
        path, key = self.folder / f"checkpoint{stage}-network.pt", self.key(f"{stage}-network")
        stored = checkpoint.load(path, key, torch.device("cpu"), by_hand.say)
        if stored is None:
            network = prune()
            checkpoint.save(path, key, {"model": network.state_dict(), "channels": structure.channels(network),
                                        "generator": generator.get_state()})
            return network
        # Scoring drew from it; what follows must draw as in an unbroken run.
        generator.set_state(stored["generator"])
        return self.rebuild(stored["model"], stored["channels"], self.study.classes)

    def upstream_weights(self) -> dict:
        """{upstream run: {file: SHA-256 of its weights}}."""
        return {name: read_result(self.find(name)).get("weights") for name in self.run.upstream}

    def finish(self, metrics: dict, *, history: pd.DataFrame | None = None, evaluation: pd.DataFrame | None = None,
               weights: weights.State | None = None, channels: list[int] | None = None,
               half: bool = False, right: dict[str, str] | None = None) -> pd.DataFrame:
        """Store metrics (numbers), learning curves and evaluation (tables) and weights (a state dict).

        `right` says which test images were right, by `evaluation.pack`: `clean`, and `at_snr` at the run's own SNR.

        Under papermill the result waits for the notebook to end; by hand it is final at once, and checkpoints go.
        """
        self.session.check()
        # A later cell may still fail: until the notebook has ended, files have names that nobody
        # takes for results.
        interactive = OUTPUT not in os.environ
        ending = "" if interactive else places.UNFINISHED
        if weights is not None:
            self.save(weights, half, ending)
        if history is not None:
            history.to_csv(self.folder / f"history.csv{ending}", index=False)
        # None where a row has no such number: JSON has no NaN.
        points = pd.DataFrame() if evaluation is None else evaluation.astype(object).where(evaluation.notna(), None)
        result = {
            "name": self.run.name, "step": self.run.step, "study": self.study.name,
            "hash": fingerprint.digest(str(self.made_by)), "made_by": self.made_by,
            "parameters": study.resolved(self.study, self.run), "upstream": self.run.upstream,
            "upstream_weights": self.upstream_weights(), "channels": channels, "metrics": metrics,
            "evaluation": points.to_dict("records"), "right": right or {},
            **({} if weights is None else {"weights": places.weight_files(self.folder, ending)}),
            # Last, since it takes the time at which the run ends.
            "provenance": provenance.record(self, 0 if history is None else history.seconds.sum())}
        # After weights and history: where this file is, they are too.
        write_json(self.folder / f"result.json{ending}", result)
        # Else `execution.atomic` deletes them, once the result is in place.
        if interactive:
            for left in self.folder.glob("checkpoint*.pt"):
                left.unlink()
        return pd.Series(metrics, name=self.run.name).to_frame()

    def save(self, state: weights.State, half: bool, ending: str) -> None:
        """Write the weights' files, each under another name first, then renamed."""
        # `part=part`: bound now, as a lambda in a loop must be.
        for name, part in weights.files(state, half).items():
            places.replace(self.folder / f"{name}{ending}", lambda path, part=part: weights.save(path, part))


def start(step: str, profile: str = "quick", interactive: bool = False, **parameters: Any) -> Job:
    """Begin a run in a notebook; the parameters tell it from other runs of its step.

    By hand, a missing run upstream is computed first at a small study, under outputs/interactive/, and of a
    large one the command that computes it is named. With `interactive`, of two runs upstream the one that was
    computed by hand is taken, else the study's.
    """
    session = by_hand.Session({"study": profile, **parameters}) if OUTPUT not in os.environ else None
    settings, parameters = study.load(profile), checks.run_parameters(step, parameters)
    checks.check_point(settings, parameters)
    item, listed = describe(settings, step, parameters)
    if OUTPUT in os.environ:
        # Else a notebook whose parameters cell was not replaced would store its defaults as this
        # run.
        if not os.environ[OUTPUT].endswith(item.name):
            raise InputError(f"The notebook's parameters say {item.name}, and its folder is {os.environ[OUTPUT]}.")
        return Job(item, settings, os.environ[OUTPUT])
    missing = study.needs(listed, [item.name], lambda name: places.find(settings, name)) - {item.name}
    today = fingerprint.expected(settings, listed.values())
    # Said and not acted upon: what was computed by hand is never thrown away unasked.
    by_hand.describe_upstream(settings, item, today, interactive)
    # In the order of the list, in which what is upstream comes first.
    by_hand.provide(settings, listed, sorted(missing, key=list(listed).index))
    return Job(item, settings, places.interactive_folder(settings, item.name), session, interactive)


def describe(settings: study.Study, step: str, parameters: study.Point) -> tuple[study.Run, dict[str, study.Run]]:
    """The run of these parameters, and {name: run} of all runs, whether or not the study lists it."""
    if step == "baselines" and settings.baselines is None:
        raise InputError(f"The study {settings.name} has no section baselines, which says how other schemes are "
                         "trained.")
    others, extra = [parameters] if step == "baselines" else [], []
    if step != "baselines":  # a model to list, of which step 1 needs no more than its seed
        point = {"pool": 2, "ratio": 0.0, "snr_db": 14.5, "variant": "proposed", **parameters}
        # Any bandwidth does, such as the smallest.
        size = geometry.map_side(point["pool"], settings.data.side, settings.network.name)
        extra = [{"bandwidth": geometry.symbols_per_channel(size), **point}]
    listed = {run.name: run for run in study.runs(settings, extra, others)}
    name = study.name_in(settings, step, **parameters)
    if name not in listed:
        raise InputError(f"The study {settings.name} has no run {name}.")
    # All of them: a chain is refused as a whole, wherever a stop removes nothing.
    for item in listed.values():
        checks.check_prune(settings, listed, item)
    return listed[name], listed
