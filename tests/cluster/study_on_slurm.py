"""A study on a Slurm cluster that misbehaves: its numbers must be those of a local run, to the bit.

    tests/cluster/one_node_slurm.sh start
    PYTHON tests/cluster/study_on_slurm.py

PYTHON has the study's packages and snakemake-executor-plugin-slurm 2.8.0. The tests' tiny study is computed in a copy
of the project by jobs of the cluster. Meanwhile a job is cancelled, the node is drained and resumed, the controller
is restarted, and the command that submits is ended; a second call finishes the study. The exit code is 1 if anything
was wrong.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "soak"))
import watched  # noqa: E402

ANSWER = 240  # seconds to wait for something that the cluster does
BEGAN = time.monotonic()
# The profile that is delivered, but for what a cluster of one node without accounting and GPU lacks.
HERE = ("--slurm-no-account", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3",
        "--jobs", "3", "--latency-wait", "5", "--set-resources", "run:gpu=0", "run:mem_mb=1000", "run:runtime=30",
        "report:mem_mb=1000", "report:runtime=30")


def main() -> int:
    """Locally, then on the cluster; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="on-slurm-") as folder:
        say("the study on this machine alone")
        project = watched.Project(Path(folder, "cluster"))
        unbroken = watched.compute(Path(folder, "local"))
        first = submit(project)
        say("submitted")
        try:
            trouble(project)
        except TimeoutError as error:
            first.terminate()
            sys.exit(f"{error}:\n{project.said()[-4000:]}")
        first.terminate()
        say(f"the submitting command was ended by SIGTERM: exit code {first.wait(ANSWER)}, "
            f"{len(project.finished())} results, {len(jobs())} jobs left")
        until(lambda: not jobs(), "jobs are still there")
        second = submit(project)
        code = second.wait()
        say(f"the same command again: exit code {code}, {len(project.finished())} results")
        faults = [f"it failed:\n{project.said()[-4000:]}"] if code else []
        faults += project.faults(unbroken)
        computed = sum(project.put_in_place().values())
    for fault in faults:
        print(f"WRONG: {fault}")
    say(f"{computed} results were put in place by jobs of the cluster, {len(faults)} faults")
    return 1 if faults else 0


def trouble(project):
    """Cancel a job while it computes; drain the node, resume it; restart the controller."""
    until(lambda: running("run"), "no job runs")
    number, name = running("run")[0]
    time.sleep(8)  # into its training
    slurm("scancel", number)
    say(f"job {number} ({name}) was cancelled; Snakemake tries a cancelled run once more")
    until(lambda: [one for one in running("run") if one[0] != number], "the cancelled run was not tried again")
    node = slurm("hostname", "-s").strip()
    slurm("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=trial")
    say(f"the node is drained ({slurm('sinfo', '-h', '-o', '%T').strip()}), {len(project.finished())} results")
    until(lambda: slurm("squeue", "-h", "-t", "PENDING", "-o", "%i").strip(), "no job waits for the drained node")
    say("a job waits for it")
    slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    say(f"the node is resumed ({slurm('sinfo', '-h', '-o', '%T').strip()})")
    until(lambda: len(jobs("RUNNING")) >= 2, "no two jobs run at once")
    say(f"{len(jobs('RUNNING'))} jobs run at once")
    subprocess.run([ROOT / "tests/cluster/one_node_slurm.sh", "restart"], check=True)
    say(f"the controller was restarted: {len(jobs())} jobs, {len(project.finished())} results")


def submit(project):
    """Start Snakemake with the delivered profile."""
    return project.start("snakemake", "--workflow-profile", "params/cluster/slurm", *HERE, "--config", "profile=tiny")


def slurm(*command):
    """What a command of Slurm's says."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def jobs(state=""):
    """(number, name) of the cluster's jobs."""
    lines = slurm("squeue", "-h", "-o", "%i %k", *(["-t", state] if state else [])).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines]


def running(rule):
    """(number, name) of the running jobs of a rule."""
    return [job for job in jobs("RUNNING") if rule in job[-1]]


def until(condition, otherwise):
    """Wait until something is true; TimeoutError with a sentence if it does not become so."""
    deadline = time.monotonic() + ANSWER
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} after {ANSWER} s")
        time.sleep(0.5)


def say(text):
    """A line of the log."""
    print(f"[{time.monotonic() - BEGAN:5.0f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
