"""Snakemake, called for a study: in this very process, whose end then ends all runs, and with its errors in short."""

import json
import logging
import os
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path

from lib import InputError, study
from lib.batch import places
from lib.execution import machine, processes

PRIVATE = ".snakemake"  # what Snakemake and other tools keep, in the project's folder
# How Snakemake's errors begin that say no more than the failed run has said.
OF_RUNS = ("Error in rule", "RuleException", "WorkflowError:\nAt least one job", "Exiting because a job")


def snakemake(settings: study.Study, jobs: int | None, only: str | None = None, rerun_stale: bool = False,
              report_only: bool = False) -> int:
    """Let Snakemake do a study, `jobs` runs or cores at once (all cores); returns the exit code.

    Raises InputError where it cannot write, and KeyboardInterrupt after a signal.
    """
    check_writable(settings)
    from snakemake import cli

    processes.serve(settings, not report_only)  # its imports take as long as Snakemake's
    os.environ.pop("SNAKEMAKE_PROFILE", None)  # the user's settings for other workflows
    os.environ["XDG_CACHE_HOME"] = str(study.ROOT / PRIVATE / "cache")  # the usual one is in a home that may be closed
    errors, code, since = Errors(), 0, time.time_ns()
    logging.getLogger("snakemake").addHandler(errors)
    try:
        cli.main(["--snakefile", str(study.ROOT / "Snakefile"), "--directory", str(study.ROOT),
                  "--cores", str(jobs or machine.cores()), "--resources", f"gpu={jobs or 1}",
                  "--rerun-incomplete", "--nolock", "--keep-going", "--rerun-triggers", "input",
                  "--force-use-threads", "--quiet", "all", "--workflow-profile", "none", "--drop-metadata",
                  "--config", f"profile={json.dumps(settings.source)}", f"only={only or ''}",
                  f"rerun_stale={int(rerun_stale)}", f"report_only={int(report_only)}", f"since={since}"])
    except SystemExit as end:
        code = end.code
    finally:
        logging.getLogger("snakemake").removeHandler(errors)
        shutil.rmtree(study.ROOT / PRIVATE / "done" / settings.name / str(since), ignore_errors=True)
    if processes.INTERRUPTED.is_set():
        raise KeyboardInterrupt
    if code:
        errors.tell(settings)
    return code


def check_writable(settings: study.Study) -> None:
    """Raise InputError for a folder that a study must write into, and cannot."""
    for folder in (study.ROOT / PRIVATE, places.folder_of(settings, "report")):
        if not machine.writable(folder):
            raise InputError(f"{folder} cannot be written, and what the study {settings.name} makes goes there.")


class Errors(logging.Handler):
    """Keeps what Snakemake says of errors, which `--quiet all` would lose; those of runs say so themselves."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        text = record.getMessage().strip()
        if text and not text.startswith(OF_RUNS):
            self.texts.append(text)

    def tell(self, settings: study.Study) -> None:
        """Print the last line of each error, and where all of it stands."""
        for text in self.texts:
            print(f"Snakemake: {text.splitlines()[-1].strip()}", file=sys.stderr)
        try:
            log = f" (all that Snakemake says: {self.store(settings)})" if self.texts else ""
        except OSError as error:  # as where the disk is full
            log = f" (what Snakemake says cannot be kept: {error})"
        print(f"{settings.name}: {'the study' if self.texts else 'a run'} failed{log}; what was finished is kept, "
              "and the same command goes on from there.", file=sys.stderr)

    def store(self, settings: study.Study) -> Path:
        """Append the errors to a log, whose path below the project is returned."""
        log = Path(PRIVATE, "log", f"{settings.name}.errors.log")
        (study.ROOT / log).parent.mkdir(parents=True, exist_ok=True)
        with open(study.ROOT / log, "a") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')}\n" + "\n".join(self.texts) + "\n\n")
        return log
