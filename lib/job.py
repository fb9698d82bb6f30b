"""What a training notebook works with: its run's parameters, data, engine, upstream weights, and its result."""

import os
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from lib import InputError, cpu, data, geometry, provenance, run, study, training, vgg
from lib.run import OUTPUT, find, interactive_folder, read_result, write_json


class Job:
    """What a notebook works with: its run's study, data, engine and folder; `finish` stores the result."""

    def __init__(self, item, loaded, folder):
        self.run, self.study, self.folder = item, study.of_run(loaded, item.parameters), Path(folder)
        self.started, self.origin = datetime.now(UTC), provenance.origin(item.notebook)
        self.data = data.dataset(loaded.data.name, loaded.data.root)
        self.engine = engine(loaded)
        self.data.mean, self.data.std = (t.to(self.engine.device) for t in (self.data.mean, self.data.std))
        self.seed = item.parameters["seed"]
        self.fingerprint = provenance.fingerprint(loaded, item)
        self.key = provenance.fingerprint(loaded, item, with_code=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        cpu.keep_memory()
        torch.set_num_threads(loaded.threads_of(item.step))
        torch.manual_seed(self.seed)

    def upstream(self):
        """The model and the result of the run before this one."""
        folder = find(self.study, self.run.upstream[0])
        run.check_weights(folder)
        return load_weights(folder), read_result(folder)

    def network(self):
        """The classification network of the run upstream, rebuilt at its pruned widths, in evaluation mode."""
        state, result = self.upstream()
        network = vgg.vgg16_bn(self.study.classes, channels=result["channels"])
        network.load_state_dict(part_of(state, "network") or state)
        return self.engine.place(network).eval()

    def link(self, link):
        """The given link with the weights that step 3, upstream, pretrained."""
        link.load_state_dict(part_of(self.upstream()[0], "link"))
        return link

    def baseline(self):
        """Accuracy of the pretrained net without a channel, of this run's seed."""
        name = study.name("pretrain", seed=self.seed)
        return read_result(find(self.study, name, weights=False))["metrics"]["accuracy_clean"]

    def fit(self, model, inputs, targets, loss, schedule, stage="", **options):
        """`training.fit` with this run's engine and checkpoint.

        `stage` tells the fits of a run, or of a pruning chain, apart: each draws its own images, crops and noise.
        A checkpoint is of one engine: on another device or in another precision, training starts anew.
        """
        seed = self.seed + zlib.crc32(stage.encode())
        engine = self.engine.device.type, self.engine.bfloat16, self.engine.cuda_graphs
        return training.fit(model, inputs, targets, loss, schedule, seed=seed, engine=self.engine,
                            checkpoint=self.folder / f"checkpoint{stage}.pt", key=f"{self.key}{stage} {engine}",
                            report=self.say, **options)

    @staticmethod
    def say(line):
        """Print at once, so that progress shows while the notebook runs."""
        print(line, flush=True)

    def finish(self, metrics, *, history=None, evaluation=None, weights=None, channels=None, half=False):
        """Store metrics (numbers), learning curves and evaluation (tables) and weights (a state dict).

        Under papermill the result waits for the notebook to end; by hand it is final at once.
        """
        by_hand = OUTPUT not in os.environ
        ending = "" if by_hand else run.UNFINISHED
        if weights is not None:
            save_weights(self.folder, weights, half, ending)
        if history is not None:
            history.to_csv(self.folder / f"history.csv{ending}", index=False)
        result = {
            "name": self.run.name, "step": self.run.step, "study": self.study.name, "hash": self.fingerprint,
            "parameters": study.resolved(self.study, self.run), "upstream": self.run.upstream,
            "upstream_weights": {up: read_result(find(self.study, up)).get("weights") for up in self.run.upstream},
            "channels": channels, "metrics": metrics,
            "evaluation": [] if evaluation is None else evaluation.to_dict("records"),
            **({} if weights is None else {"weights": run.weight_files(self.folder, ending)}),
            "provenance": provenance.record(self, 0 if history is None else history.seconds.sum())}
        write_json(self.folder / f"result.json{ending}", result)
        return pd.Series(metrics, name=self.run.name).to_frame()


def start(step, profile="quick", **parameters):
    """Begin a run in a notebook; the parameters tell it from other runs of its step.

    By hand, a missing run upstream is computed first at a small study, under outputs/interactive/, and of a
    large one the command that computes it is named.
    """
    loaded, parameters = study.load(profile), study.point(step, parameters)
    study.check(loaded, **parameters)
    item, listed = describe(loaded, step, parameters)
    if OUTPUT in os.environ:
        if not os.environ[OUTPUT].endswith(item.name):
            raise InputError(f"The notebook's parameters say {item.name}, and its folder is {os.environ[OUTPUT]}.")
        return Job(item, loaded, os.environ[OUTPUT])
    for name in item.upstream:
        folder = find(loaded, name)
        if folder and run.read_result(folder)["hash"] != provenance.fingerprint(loaded, listed[name]):
            print(f"{folder.relative_to(run.ROOT)}, which this run starts from, no longer fits the parameters or code; "
                  "without that folder it is computed again", flush=True)
    missing = study.needs(listed, item.name, lambda name: find(loaded, name)) - {item.name}
    for name in sorted(missing, key=list(listed).index):
        if loaded.data.name != "mini":
            raise InputError(f"{name} has not been computed: ./run_all.sh {loaded.source} computes it "
                             f"(or python -m lib.run {loaded.source} {name}).")
        print(f"{name} is computed first", flush=True)
        run.execute(loaded, listed[name], interactive_folder(loaded, name))
    return Job(item, loaded, interactive_folder(loaded, item.name))


def describe(loaded, step, parameters):
    """The run of these parameters, and {name: run} of all runs, whether or not the study lists it."""
    if step == "baselines" and loaded.baselines is None:
        raise InputError(f"The study {loaded.name} has no section baselines, which says how other schemes are trained.")
    extra = []
    others = [parameters] if step == "baselines" else []
    if step in ("prune", "autoencoder", "end_to_end"):
        extra = [{"bandwidth": geometry.SYMBOLS_PER_CHANNEL[parameters["pool"]], "snr_db": 14.5, "variant": "proposed",
                  **parameters}]
    listed = {run.name: run for run in study.runs(loaded, extra, others)}
    name = study.name(step, **parameters)
    if name not in listed:
        raise InputError(f"The study {loaded.name} has no run {name}.")
    for item in listed.values():
        study.check_prune(loaded, listed, item)
    return listed[name], listed


def engine(loaded):
    """The GPU where there is one, and its CUDA graphs only there; bfloat16 on a CPU only if it multiplies it itself."""
    size, bfloat16 = loaded.evaluation.batch_size, loaded.precision == "bfloat16"
    if not torch.cuda.is_available():
        return training.Engine(bfloat16=bfloat16 and cpu.multiplies_bfloat16(), batch_size=size)
    torch.set_float32_matmul_precision("high")
    return training.Engine(torch.device("cuda"), bfloat16, loaded.cuda_graphs, size)


def save_weights(folder, state, half, ending=""):
    """Safetensors; `half`: rounded to half precision, in two shards (the pretrained net, which is committed)."""
    state = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    if not half:
        run.replace(folder / f"model.safetensors{ending}", lambda path: save_file(state, path))
        return
    state = rounded(state)
    names, shards = sorted(state), ([], [])
    for name in sorted(names, key=lambda n: -state[n].numel()):
        min(shards, key=lambda shard: sum(state[n].numel() for n in shard)).append(name)
    for number, shard in enumerate(shards, 1):
        run.replace(folder / f"model-{number:05d}-of-00002.safetensors{ending}",
                 lambda path, shard=shard: save_file({name: state[name] for name in shard}, path))


def rounded(state):
    """The state dict as the committed file will give it back: floats in half precision."""
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}


def load_weights(folder):
    """The state dict of a run, in float32."""
    state = {}
    for file in sorted(folder.glob("model*.safetensors")):
        state |= load_file(file)
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def part_of(state, name):
    return {key.removeprefix(name + "."): value for key, value in state.items() if key.startswith(name + ".")}
