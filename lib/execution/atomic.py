"""One run, executed: its notebook, from the last checkpoint, and its result put in place at the end."""

import fcntl
import os
from pathlib import Path

from lib import study
from lib.batch import places
from lib.evidence import manifest


def execute(settings: study.Study, item: study.Run, folder: Path | None = None) -> None:
    """Execute a run's notebook in `folder` (its place in the study); the result is written last.

    Raises InputError when weights upstream are damaged; what a cell raises, as `lib.execution.notebook` says.
    """
    for upstream in filter(None, (places.find(settings, name) for name in item.upstream)):
        places.check_weights(upstream)
    folder = folder or places.folder_of(settings, item.name)
    source = places.notebook_file(item.notebook)
    folder.mkdir(parents=True, exist_ok=True)
    partial, result = folder / "notebook.partial.ipynb", folder / "result.json"
    before = result.stat().st_mtime_ns if result.exists() else None
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at the same run
        if result.exists() and result.stat().st_mtime_ns != before:
            return  # and it has finished the run meanwhile
        for left in (*folder.glob(f"*{places.UNFINISHED}"), partial):
            left.unlink(missing_ok=True)
        execute_notebook(source, partial, folder, {"study": settings.source, **item.parameters})
        os.replace(partial, folder / "notebook.ipynb")
        places.put_in_place(folder)
        if folder == places.folder_of(settings, item.name):
            manifest.enter_run(settings, item)
        for checkpoint in folder.glob("checkpoint*.pt"):
            checkpoint.unlink()


def execute_notebook(source: Path, output: Path, folder: Path, parameters: dict) -> None:
    """Execute a notebook into `output`; what it stores goes to `folder`."""
    from lib.execution import notebook  # here: a process that only starts runs needs no IPython and no papermill

    os.environ[places.OUTPUT] = str(folder)
    notebook.execute(source, output, parameters)


def report(settings: study.Study, name: str) -> None:
    """Execute a figure or claims notebook into outputs/<profile>/report/; after the claims, write the page."""
    import nbformat

    source, folder = places.notebook_file(name), places.folder_of(settings, "report")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{name}.partial.ipynb"
    execute_notebook(source, partial, folder, {"study": settings.source})
    executed = nbformat.read(partial, 4)
    executed.metadata.pop("papermill")  # paths of this machine
    for number, cell in enumerate(executed.cells):  # the same numbers make the same file: no times, no random names
        cell.id, cell.metadata = str(number), {"tags": cell.metadata.get("tags", [])}
    places.replace(folder / f"{name}.ipynb", lambda path: nbformat.write(executed, path))
    partial.unlink()
    manifest.enter_tables(settings)
    if name == "20_claims":
        from lib.report import page

        page.write(settings.source)
