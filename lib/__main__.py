"""The command line behind ./run_all.sh: run a study, verify its results, write its report, measure speed."""

import argparse
import json
import os
import sys

from lib import InputError, results, study
from lib.batch import checks, places
from lib.execution import processes

FLAGS = ("jobs", "only", "dry_run", "rerun_stale")  # a study takes all of them
TAKEN = {"verify": (), "report": ("jobs",), "bench": ()}


def main(arguments):
    """Do what is asked; returns the exit code."""
    parser = argparse.ArgumentParser(prog="./run_all.sh")
    parser.add_argument("what", nargs="?", default="quick",
                        help="a profile (quick, desk, gpu, paper) or a YAML file; or verify, report, bench")
    parser.add_argument("profile", nargs="?", help="for verify and report")
    parser.add_argument("--jobs", type=int, help="how many cores to use at once (all), and runs on a GPU (1)")
    parser.add_argument("--only", metavar="FIGURE", help=", ".join(study.FIGURES))
    parser.add_argument("--dry-run", action="store_true", help="say what would run and how long it would take")
    parser.add_argument("--rerun-stale", action="store_true", help="compute stale results again")
    options = parser.parse_args(arguments)
    if options.jobs is not None and options.jobs < 1:
        raise InputError("--jobs must be at least 1.")
    checks.check_figure(options.only)
    if options.profile and options.what not in ("verify", "report"):
        raise InputError(f"Only one study at a time: {options.what!r} and {options.profile!r} were given.")
    for flag in FLAGS:
        if getattr(options, flag) and flag not in TAKEN.get(options.what, FLAGS):
            raise InputError(f"{options.what} does not take --{flag.replace('_', '-')}.")
    if options.what == "verify":
        return verify([options.profile] if options.profile else shipped())
    if options.what == "bench":
        from lib.speed import bench
        return bench.main()
    if options.what == "report":
        return snakemake(options.profile or "quick", options, report_only=True)
    return compute(options.what, options)


def shipped():
    """The profiles that have results."""
    return [file.stem for file in sorted((study.ROOT / "params").glob("*.yaml"))
            if (study.ROOT / "outputs" / file.stem).exists()]


def compute(profile, options):
    """Run what is still to do of a study, then its report."""
    loaded = study.load(profile)
    todo = results.pending(profile, options.rerun_stale, options.only)
    total = len(study.runs(loaded))
    print(f"{loaded.name}: {len(todo)} of {total} runs to do, {remaining(loaded, todo)}", flush=True)
    for line in notes(loaded, profile, todo, options.rerun_stale):
        print(line, flush=True)
    if options.dry_run:
        for item in todo:
            print(f"  {item.name}")
        return 0
    ready(loaded, todo)
    code = snakemake(profile, options)
    if code == 0:
        print(f"The report is outputs/{loaded.name}/report/index.html", flush=True)
    return code


def notes(loaded, profile, todo, rerun_stale):
    """What else to know of finished runs: those that are stale, and those that are made again all the same."""
    old = results.stale(profile)[0]
    if old and not rerun_stale:
        yield f"{len(old)} finished results no longer fit the parameters or code; --rerun-stale computes them again"
    again = sum(places.finished(places.folder_of(loaded, item.name)) for item in todo
                if not (rerun_stale and item.name in old))
    if again:
        yield f"{again} of these runs are finished and made again, because their weights are not here"


def ready(loaded, todo):
    """Fail before anything starts when a notebook or the data set is missing or damaged."""
    from lib import data
    for notebook in {item.notebook for item in todo} | set(study.REPORT):
        places.notebook_file(notebook)
    for split in ("train", "test"):
        data.load(loaded.data.name, loaded.data.root, split)


def remaining(loaded, todo):
    """An estimate of the time left, from finished runs of this study on this machine or a short measurement."""
    from lib.batch import estimate
    from lib.evidence import provenance

    if not todo:
        return "nothing left"
    seconds, how = estimate.remaining(loaded, todo, provenance.device())
    return f"about {estimate.duration(seconds)} on this machine ({how})"


def snakemake(profile, options, report_only=False):
    """Let Snakemake do the study in this very process, whose end then ends all runs; returns the exit code."""
    from snakemake import cli

    loaded = study.load(profile)
    cores = options.jobs or os.cpu_count()
    processes.serve(loaded)  # its imports take as long as Snakemake's
    try:
        cli.main(["--snakefile", str(study.ROOT / "Snakefile"), "--directory", str(study.ROOT),
                  "--cores", str(cores), "--resources", f"gpu={options.jobs or 1}", "--rerun-incomplete",
                  "--nolock", "--keep-going", "--rerun-triggers", "input", "--force-use-threads", "--quiet", "all",
                  "--config", f"profile={json.dumps(loaded.source)}", f"only={options.only or ''}",
                  f"rerun_stale={int(options.rerun_stale)}", f"report_only={int(report_only)}"])
    except SystemExit as end:
        code = end.code
    if processes.INTERRUPTED.is_set():
        raise KeyboardInterrupt
    if code:
        print(f"{loaded.name}: a run failed; what was finished is kept, and the same command goes on from there.",
              file=sys.stderr)
    return code


def verify(profiles):
    """Say which results no longer fit the code and parameters, and which weights their checksums; 1 if any."""
    found = 0
    for profile in profiles:
        loaded, (old, unknown) = study.load(profile), results.stale(profile)
        folders = [places.folder_of(loaded, item.name) for item in study.runs(loaded)]
        finished = [folder for folder in folders if places.finished(folder)]
        damaged = [folder / name for folder in finished for name in places.damaged(folder)]
        print(f"{loaded.name}: {len(finished)} finished results, {len(old)} stale, {len(unknown)} not in the study")
        for name in old:
            print(f"  stale: {name}")
        for name in results.retrained_upstream(profile):
            print(f"  started from a re-trained upstream model, whose weights were not kept: {name}")
        for name in unknown:
            print(f"  not in the study: {name}")
        for path in damaged:
            print(f"  missing or damaged: {path}")
        found += len(old) + len(damaged)
    return 1 if found else 0


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:  # nobody reads on, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from the last checkpoints.", file=sys.stderr)
        sys.exit(130)
