"""A copy of the project whose commands are watched: which results they put in place, which processes they leave.

Shared by the commands of this folder, which are run by hand: they take minutes to hours, and no test waits for them.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]
import helpers  # noqa: E402

PARTS = ("name", "hash", "parameters", "upstream", "upstream_weights", "channels", "metrics", "evaluation", "right",
         "weights")
# Python imports this module by itself at its start: every renaming to a result's final name is noted, by any process.
AUDIT = '''
import os
usual = os.replace
def replace(source, target, **options):
    usual(source, target, **options)
    if os.path.basename(target) == "result.json":
        with open(os.environ["SOAK_LOG"], "a") as log:
            log.write(f"{target}\\n")
os.replace = replace
'''


class Project:
    """A copy of the project, without results, and the commands that are started in it."""

    def __init__(self, folder: Path):
        self.root, self.token = folder / "project", uuid.uuid4().hex
        self.root.mkdir(parents=True)
        helpers.copy_project(self.root)
        (folder / "audit").mkdir()
        (folder / "audit" / "sitecustomize.py").write_text(AUDIT)
        self.log = folder / "results.log"
        self.environment = {**os.environ, "PYTHONPATH": str(folder / "audit"), "SOAK_LOG": str(self.log),
                            "SOAK_TOKEN": self.token, "OMP_NUM_THREADS": "1"}

    def start(self, *arguments: str) -> psutil.Popen:
        """Start `python -m ARGUMENTS` in the copy; what it says goes to said.log, which begins anew."""
        with open(self.root.parent / "said.log", "w") as said:
            return psutil.Popen([sys.executable, "-m", *arguments], cwd=self.root, env=self.environment, stdout=said,
                                stderr=subprocess.STDOUT, start_new_session=True)

    def said(self) -> str:
        """What the last command has said so far."""
        return (self.root.parent / "said.log").read_text()

    def alive(self) -> list[psutil.Process]:
        """All processes that the copy's commands have started, and those that these have."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SOAK_TOKEN") == self.token and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:  # it has just ended, or is another user's
                continue
        return found

    def orphans(self, seconds: float = 20) -> list[psutil.Process]:
        """The processes that are still there after some seconds, though no command is; they are ended."""
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.2)
        left = self.alive()
        for process in left:
            process.kill()
        return left

    def finished(self, study: str = "tiny") -> list[str]:
        """The names of the runs that have a result."""
        folder = self.root / "outputs" / study
        return sorted(str(file.parent.relative_to(folder)) for file in folder.glob("*/*/result.json"))

    def put_in_place(self) -> Counter:
        """How often each result got its name, since the log was begun."""
        return Counter(self.log.read_text().splitlines()) if self.log.exists() else Counter()

    def numbers(self, name: str, study: str = "tiny") -> tuple:
        """All that a run's result says except where, when and by which study it was made."""
        folder = self.root / "outputs" / study / name
        result = json.loads((folder / "result.json").read_text())
        curve = folder / "history.csv"
        history = pd.read_csv(curve).drop(columns="seconds").to_csv() if curve.exists() else ""
        return [result.get(part) for part in PARTS], history

    def faults(self, unbroken: "Project", study: str = "tiny") -> list[str]:
        """In words, what is wrong with the finished study, compared with one that nobody has stopped."""
        found = [f"{path} was put in place {count} times" for path, count in self.put_in_place().items() if count > 1]
        names = self.finished(study)
        if names != unbroken.finished():
            found.append(f"runs are missing: {set(unbroken.finished()) - set(names)}")
        found += [f"{name} has other numbers" for name in names if self.numbers(name, study) != unbroken.numbers(name)]
        outputs = self.root / "outputs" / study
        found += [f"{path} is left" for ending in ("*.unfinished", "*.partial*") for path in outputs.rglob(ending)]
        if not (outputs / "report" / "index.html").exists():
            found.append("there is no report")
        checked = subprocess.run([sys.executable, "-m", "lib", "verify", study], cwd=self.root, text=True,
                                 env=self.environment, capture_output=True, check=False)
        if checked.returncode:
            found.append(f"verify: {checked.stdout}{checked.stderr}")
        return found


def compute(folder: Path) -> Project:
    """The unbroken study to compare with."""
    project = Project(folder)
    process = project.start("lib", "tiny")
    if process.wait():
        sys.exit(f"The unbroken study failed:\n{project.said()}")
    return project


