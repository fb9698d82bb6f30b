"""One run: a notebook executed by papermill, finished atomically, with its provenance.

    python -m lib.run STUDY RUN     e.g. quick end_to_end/pool2-r0.50-b2048-snr14.5-s0

A run is finished when its result.json exists: it is written last, under another name, then renamed.
"""

import fcntl
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from lib import InputError, forks, study

ROOT = study.ROOT
UNFINISHED = ".unfinished"  # ends the names of a run's files until its notebook has run to its end
OUTPUT = "STUDY_OUTPUT"  # set for papermill's kernel; absent when a notebook is opened by hand


def folder_of(loaded, name):
    """Where a run of a study lies: under its own name, step 1 under that of the study it is taken from."""
    owner = loaded.pretrain_from if loaded.pretrain_from and name.startswith("pretrain/") else loaded.name
    return ROOT / "outputs" / owner / name


def interactive_folder(loaded, name):
    return ROOT / "outputs" / "interactive" / loaded.name / name


def finished(folder, weights=False):
    """Whether the run is done and, if asked, its weights are here (most are not committed)."""
    return (folder / "result.json").exists() and (not weights or any(folder.glob("model*.safetensors")))


def needs(loaded, listed, target):
    """A run's name and those of the runs to be made before it, because weights upstream are not here."""
    return study.needs(listed, target, lambda name: finished(folder_of(loaded, name), weights=True))


def find(loaded, name, weights=True):
    """The folder of a finished run (with weights): of the study, else (by hand) interactive; None if neither."""
    folders = [folder_of(loaded, name)]
    if "interactive" in os.environ.get(OUTPUT, "interactive"):
        folders.append(interactive_folder(loaded, name))
    return next((folder for folder in folders if finished(folder, weights)), None)


def weight_files(folder, ending=""):
    """{name: SHA-256} of the stored weights; until the run is done, their names have an ending."""
    return {path.name.removesuffix(ending): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.glob(f"model*.safetensors{ending}"))}


def damaged(folder):
    """The weight files that are missing or not those of the result; none where no weights are here at all."""
    found = weight_files(folder)
    stored = read_result(folder).get("weights", {}) if found else {}
    return [name for name, checksum in stored.items() if found.get(name) != checksum]


def check_weights(folder):
    """Raise InputError when weights are not those of the result."""
    for name in damaged(folder)[:1]:
        raise InputError(f"{folder / name} is missing or damaged (its checksum stands in result.json): restore it, "
                         "or delete its folder and it is computed again.")


def execute(loaded, run, folder=None, executor=None):
    """Run a notebook in `folder`, from its last checkpoint; the result is written last.

    `executor` executes it in the place of papermill, with the arguments of `papermill_run`, and may keep no copy.
    """
    for upstream in filter(None, (find(loaded, name) for name in run.upstream)):
        check_weights(upstream)
    folder = folder or folder_of(loaded, run.name)
    notebook = notebook_file(run.notebook)
    folder.mkdir(parents=True, exist_ok=True)
    partial, result = folder / "notebook.partial.ipynb", folder / "result.json"
    before = result.stat().st_mtime_ns if result.exists() else None
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # an orphan of a killed study may still be at it
        if result.exists() and result.stat().st_mtime_ns != before:
            return  # and it has finished the run meanwhile
        for left in (*folder.glob(f"*{UNFINISHED}"), partial):
            left.unlink(missing_ok=True)
        (executor or papermill_run)(notebook, partial, folder, loaded.threads_of(run.step),
                                    {"study": loaded.source, **run.parameters})
        (folder / "notebook.ipynb").unlink(missing_ok=True)
        if partial.exists():
            os.replace(partial, folder / "notebook.ipynb")
        put_in_place(folder)
        for checkpoint in folder.glob("checkpoint*.pt"):
            checkpoint.unlink()


def put_in_place(folder):
    """Give the files of a run whose notebook has run to its end their names, the result last.

    Before new weights an earlier result goes: beside them it would be damaged, and without one the run is to do.
    """
    if any(folder.glob(f"model*{UNFINISHED}")):
        (folder / "result.json").unlink(missing_ok=True)
    for made in (*folder.glob(f"model*{UNFINISHED}"), *folder.glob(f"history.csv{UNFINISHED}"),
                 folder / f"result.json{UNFINISHED}"):
        os.replace(made, made.with_suffix(""))


def notebook_file(name):
    """The path of a notebook; InputError when there is none."""
    path = ROOT / "notebooks" / f"{name}.ipynb"
    if not path.exists():
        raise InputError(f"There is no notebook {name} in {path.parent}.")
    return path


def import_papermill():
    """The module, without an optional checker of jsonschema's that takes 2 s to import and is not needed."""
    sys.modules.setdefault("rfc3987_syntax", None)
    import papermill
    return papermill


def papermill_run(notebook, output, folder, threads, parameters):
    """Execute a notebook into `output`, its kernel told the folder of its results and its CPU threads."""
    papermill = import_papermill()
    from traitlets.config import Config

    os.environ.update({OUTPUT: str(folder), **forks.threading_environment(threads)})
    # A kernel that is interrupted on its way out is no error to print.
    config = Config(KernelManager={"transport": "ipc"}, NotebookClient={"extra_arguments": ["--log-level=CRITICAL"]})
    if forks.KERNEL:
        config.NotebookClient.kernel_manager_class = forks.kernel_manager()
    try:
        # Sockets of this kernel alone, in a folder of its own: on TCP two kernels may race for a port.
        with tempfile.TemporaryDirectory(prefix="kernel-") as sockets:
            config.KernelManager.ip = f"{sockets}/socket"
            papermill.execute_notebook(
                notebook, output, parameters, kernel_name="python3", cwd=ROOT / "notebooks", log_output=True,
                progress_bar=False, stdout_file=sys.stdout, stderr_file=sys.stderr,
                config=config)
    finally:
        del os.environ[OUTPUT]


def report(loaded, notebook):
    """Execute a figure or claims notebook into outputs/<profile>/report/; the claims also as index.html."""
    import nbformat
    from nbconvert import HTMLExporter

    source, folder = notebook_file(notebook), folder_of(loaded, "report")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{notebook}.partial.ipynb"
    papermill_run(source, partial, folder, 1, {"study": loaded.source})
    executed = nbformat.read(partial, 4)
    executed.metadata.pop("papermill")  # paths of this machine
    for number, cell in enumerate(executed.cells):  # the same numbers make the same file: no times, no random names
        cell.id, cell.metadata = str(number), {"tags": cell.metadata.get("tags", [])}
    replace(folder / f"{notebook}.ipynb", lambda path: nbformat.write(executed, path))
    partial.unlink()
    if notebook == "20_claims":
        exporter = HTMLExporter(exclude_input=True, exclude_output_prompt=True)
        page, _ = exporter.from_notebook_node(executed)
        replace(folder / "index.html", lambda path: path.write_text(page))


def replace(path, write):
    """Write a file under another name, then rename it: it is whole or not there."""
    partial = path.with_name(path.name + ".partial")
    write(partial)
    os.replace(partial, path)


def read_result(folder):
    """What a run's result.json holds; InputError when it is none."""
    file = Path(folder) / "result.json"
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}): restore it, or delete its folder and it is computed again."
                         ) from error


def write_json(path, content):
    replace(path, lambda partial: partial.write_text(json.dumps(content, indent=1) + "\n"))


def main(arguments):
    """One run, or one notebook of the report; prints progress over the whole study."""
    if len(arguments) != 2:
        raise InputError("usage: python -m lib.run STUDY RUN")
    profile, name = arguments
    loaded = study.load(profile)
    if name.startswith("report/"):
        report(loaded, name.removeprefix("report/"))
        return
    listed = {run.name: run for run in study.runs(loaded)}
    if name not in listed:
        raise InputError(f"The study {loaded.name} has no run {name}.")
    from lib import estimate

    for up in sorted(needs(loaded, listed, name) - {name}, key=list(listed).index):
        print(f"{up} is computed first", flush=True)
        execute(loaded, listed[up])
    began = time.monotonic()
    execute(loaded, listed[name])
    done = sum(finished(folder_of(loaded, other)) for other in listed)
    left = [item for item in listed.values() if not finished(folder_of(loaded, item.name))]
    device = read_result(folder_of(loaded, name))["provenance"]["device"]
    seconds = sum(estimate.image_passes(loaded, item) for item in left) / estimate.rate(loaded, device)
    print(f"[{done}/{len(listed)}] {name}: {time.monotonic() - began:.0f} s; "
          + (f"about {estimate.duration(seconds)} left" if left else "all runs are done"), flush=True)


def command(arguments):
    """`main`, its errors told in a sentence; returns the exit code."""
    try:
        main(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except Exception as error:
        if type(error).__name__ not in ("PapermillExecutionError", "DeadKernelError"):
            raise
        print(f"{arguments[1]} failed: {getattr(error, 'ename', type(error).__name__)}: "
              f"{getattr(error, 'evalue', error)} (the notebook so far is notebook.partial.ipynb in its folder)",
              file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
