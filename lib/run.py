"""One run: a notebook executed by papermill, finished atomically, with its provenance.

    python -m lib.run STUDY RUN     e.g. quick end_to_end/pool2-r0.50-b2048-snr14.5-s0

A run is finished when its result.json exists: it is written last, under another name, then renamed.
"""

import fcntl
import os
import sys
import tempfile
import time

from lib import InputError, forks, study
from lib.batch.places import (
    OUTPUT,
    UNFINISHED,
    check_weights,
    find,
    finished,
    folder_of,
    needs,
    notebook_file,
    put_in_place,
    read_result,
    replace,
)


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
                notebook, output, parameters, kernel_name="python3", cwd=study.ROOT / "notebooks", log_output=True,
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
    from lib.batch import estimate

    for up in sorted(needs(loaded, listed, name) - {name}, key=list(listed).index):
        print(f"{up} is computed first", flush=True)
        execute(loaded, listed[up])
    began = time.monotonic()
    execute(loaded, listed[name])
    done = sum(finished(folder_of(loaded, other)) for other in listed)
    left = [item for item in listed.values() if not finished(folder_of(loaded, item.name))]
    device = read_result(folder_of(loaded, name))["provenance"]["device"]
    seconds, _ = estimate.remaining(loaded, left, device)
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
