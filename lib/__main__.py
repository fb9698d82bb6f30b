"""The command line behind ./run_all.sh: a study, and what can be asked of one."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from lib import InputError, results, study
from lib.batch import checks, places
from lib.evidence import manifest, provenance
from lib.execution import estimate, processes, workflow
from lib.ladder import records

FLAGS = ("jobs", "only", "dry_run", "rerun_stale", "upstream", "sample", "snr", "macs", "symbols", "drop")


@dataclass(frozen=True)
class Command:
    """What a first word asks for: how many names may follow it, and which flags it takes."""

    call: Callable
    names: range
    flags: tuple[str, ...] = ()


def main(arguments: list[str]) -> int:
    """Do what is asked; returns the exit code."""
    options = parse(arguments)
    command = COMMANDS.get(options.what, Command(compute, range(0, 1), ("jobs", "only", "dry_run", "rerun_stale")))
    for flag in FLAGS:
        given = getattr(options, flag) is not None and getattr(options, flag) is not False  # 0 is given
        if given and flag not in command.flags:
            raise InputError(f"{options.what} does not take --{flag.replace('_', '-')}.")
    if len(options.names) not in command.names:
        if options.what not in COMMANDS:
            raise InputError(f"{options.what!r} is no command, and of studies only one is taken at a time.")
        raise InputError(f"{USAGE[options.what]}, not {' '.join([options.what, *options.names])}.")
    return command.call(options)


class Parser(argparse.ArgumentParser):
    """What it refuses is one sentence, as everything else."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError."""
        raise InputError(f"{message} (./run_all.sh --help lists what there is).")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line, its values checked."""
    parser = Parser(prog="./run_all.sh")
    parser.add_argument("what", nargs="?", default="quick",
                        help="a profile (quick, desk, gpu, paper) or a YAML file; or " + ", ".join(COMMANDS))
    parser.add_argument("names", nargs="*", help="what is asked about, as " + "; ".join(USAGE.values()))
    parser.add_argument("--jobs", type=int, help="how many cores to use at once (all), and runs on a GPU (1)")
    parser.add_argument("--only", metavar="FIGURE", help=", ".join(study.FIGURES))
    parser.add_argument("--dry-run", action="store_true", help="say what would run and how long it would take")
    parser.add_argument("--rerun-stale", action="store_true", help="compute stale results again")
    parser.add_argument("--upstream", action="store_true", help="recheck: compute all upstream runs again too")
    parser.add_argument("--sample", type=int, metavar="N", help="recheck: N finished runs, drawn at random")
    parser.add_argument("--snr", type=float, metavar="DB", help="choose: the channel's SNR, 14.5 dB if not given")
    parser.add_argument("--macs", type=float, metavar="N", help="choose: multiply-accumulates that the device has")
    parser.add_argument("--symbols", type=float, metavar="N", help="choose: real symbols an image that the channel has")
    parser.add_argument("--drop", type=float, metavar="POINTS",
                        help="choose: how far below the baseline the accuracy may be, 2 points if not given")
    options = parser.parse_intermixed_args(arguments)
    for flag, least in {"jobs": 1, "sample": 1, "macs": 0, "symbols": 0, "drop": 0}.items():
        given = getattr(options, flag)
        if given is not None and not given >= least:  # nan is neither
            raise InputError(f"--{flag} must be at least {least}.")
    checks.check_figure(options.only)
    return options


def compute(options: argparse.Namespace) -> int:
    """Run what is still to do of a study, then its report."""
    settings = study.load(options.what)
    todo = results.pending(settings, options.rerun_stale, options.only)
    total = len(study.runs(settings))
    print(f"{settings.name}: {len(todo)} of {total} runs to do, {remaining(settings, todo)}", flush=True)
    for line in notes(settings, todo, options.rerun_stale):
        print(line, flush=True)
    if options.dry_run:
        for item in todo:
            print(f"  {item.name}")
        return 0
    check_ready(settings, todo)
    code = workflow.snakemake(settings, options.jobs, options.only, options.rerun_stale, report_only=not todo)
    if code == 0:
        print(f"The report is outputs/{settings.name}/report/index.html", flush=True)
    return code


def notes(settings: study.Study, todo: list[study.Run], rerun_stale: bool) -> Iterator[str]:
    """What else to know of finished runs: those that are stale, and those that are made again all the same."""
    old = results.stale(settings)[0]
    if old and not rerun_stale:
        yield f"{len(old)} finished results no longer fit the parameters or code; --rerun-stale computes them again"
    again = sum(places.finished(places.folder_of(settings, item.name)) for item in todo
                if not (rerun_stale and item.name in old))
    if again:
        yield f"{again} of these runs are finished and made again, because their weights are not here"


def check_ready(settings: study.Study, todo: list[study.Run]) -> None:
    """Fail before anything starts when a notebook, or the data set that runs need, is missing or damaged."""
    from lib import data
    for notebook in {item.notebook for item in todo} | set(study.REPORT):
        places.notebook_file(notebook)
    for split in ("train", "test") if todo else ():
        data.load(settings.data.name, settings.data.root, split, settings.data.side)


def remaining(settings: study.Study, todo: list[study.Run]) -> str:
    """An estimate of the time left, in words."""
    if not todo:
        return "nothing left"
    seconds, how = estimate.remaining(settings, todo, provenance.device())
    return f"about {estimate.duration(seconds)} on this machine ({how})"


def report(options: argparse.Namespace) -> int:
    """Make the figures, the claims and the page again from the results there are.

    README.md and docs/ say what gpu and quick say, so they follow when one of these is asked for.
    """
    settings = study.load(options.names[0] if options.names else "quick")
    code = workflow.snakemake(settings, options.jobs, report_only=True)
    if code == 0 and settings.source in ("gpu", "quick"):
        from lib.pages import writing

        for file in writing.refresh():
            print(f"{file.relative_to(study.ROOT)} has new numbers", flush=True)
    return code


def verify(options: argparse.Namespace) -> int:
    """Say which results no longer fit the code and parameters, and which are not what was stored; 1 if any."""
    with_results = [file.stem for file in sorted((study.ROOT / "params").glob("*.yaml"))
                    if (study.ROOT / "outputs" / file.stem).exists()]
    return max([verify_one(study.load(profile)) for profile in options.names or with_results], default=0)


def verify_one(settings: study.Study) -> int:
    """`verify` of one study."""
    listed = study.runs(settings)
    old, unknown = (first + second for first, second in zip(results.stale(settings), records.misfits(settings),
                                                            strict=True))
    finished = [places.folder_of(settings, item.name) for item in listed]
    finished = [folder for folder in finished if places.finished(folder)]
    altered = manifest.altered(settings, listed)
    damaged = [folder / name for folder in finished for name in places.damaged(folder)]
    rungs = len(list(places.folder_of(settings, "ladder").glob("*.json")))
    print(f"{settings.name}: {len(finished)} finished results, {len(old)} stale, {len(altered)} altered, "
          f"{len(unknown)} not in the study" + f"; {rungs} records of a ladder" * bool(rungs))
    for what, names in (("stale", old), ("altered", altered), ("not in the study", unknown),
                        ("started from a re-trained upstream model, whose weights were not kept",
                         results.retrained_upstream(settings)),
                        ("missing or damaged", damaged)):
        for name in names:
            print(f"  {what}: {name}")
    return 1 if old or altered or damaged else 0


def status(options: argparse.Namespace) -> int:
    """Say how far a study is: what is done, what no longer fits, what was broken off, what is left and how long."""
    settings = study.load(options.names[0])
    listed, todo = study.runs(settings), results.pending(settings)
    done = [item for item in listed if places.finished(places.folder_of(settings, item.name))]
    print(f"{settings.name}: {len(done)} of {len(listed)} runs are done, {len(results.stale(settings)[0])} of "
          f"them stale; {len(todo)} to do, {remaining(settings, todo)}")
    for item in listed:  # a finished one too, while it is computed again
        partial = places.folder_of(settings, item.name) / "notebook.partial.ipynb"
        if partial.exists():
            print(f"  under way, failed or broken off: {item.name} ({partial.relative_to(study.ROOT)})")
    for item in todo[:10]:
        print(f"  next: {item.name}")
    if len(todo) > 10:
        print(f"  and {len(todo) - 10} more (./run_all.sh {settings.source} --dry-run lists them)")
    return 0


def recheck(options: argparse.Namespace) -> int:
    """Compute finished runs again, beside, and compare."""
    from lib.evidence import recheck

    profile, *names = options.names
    if bool(names) == bool(options.sample):
        raise InputError(f"{USAGE['recheck']}: either a run or --sample N.")
    return recheck.main(profile, names or recheck.sample(profile, options.sample), options.upstream)


def choose(options: argparse.Namespace) -> int:
    """Print the best measured models within limits."""
    from lib import choose
    from lib.lessons import choice

    table = results.load(options.names[0])
    models = choose.choose(table, 14.5 if options.snr is None else options.snr, options.macs, options.symbols,
                           0.02 if options.drop is None else options.drop / 100)
    print(choice.readable(models).to_string(index=False))
    return 0


def prove(options: argparse.Namespace) -> int:
    """Whether today's code and that of a commit give the same numbers."""
    from lib.evidence import prove

    return prove.main(options.names[0])


def bench(options: argparse.Namespace) -> int:
    """Measure speed on this machine."""
    from lib.deploy import latency
    from lib.speed import bench

    return bench.main() or latency.main()


USAGE = {"verify": "verify [PROFILE]", "recheck": "recheck PROFILE RUN [--upstream] or recheck PROFILE --sample N",
         "choose": "choose PROFILE [--snr DB] [--macs N] [--symbols N] [--drop POINTS]",
         "prove": "prove COMMIT", "status": "status PROFILE", "report": "report [PROFILE]", "bench": "bench"}
COMMANDS = {
    "verify": Command(verify, range(0, 2)), "recheck": Command(recheck, range(1, 3), ("upstream", "sample")),
    "choose": Command(choose, range(1, 2), ("snr", "macs", "symbols", "drop")),
    "prove": Command(prove, range(1, 2)), "status": Command(status, range(1, 2)),
    "report": Command(report, range(0, 2), ("jobs",)), "bench": Command(bench, range(0, 1))}

if __name__ == "__main__":
    processes.command_line(main)
