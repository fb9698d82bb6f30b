"""One run, executed: its notebook, from the last checkpoint, and its result put in place at the end."""

import fcntl
import functools
import os
from pathlib import Path

from lib import study
from lib.batch import places
from lib.evidence import manifest


def execute(settings: study.Study, item: study.Run, folder: Path | None = None, since: int | None = None) -> None:
    """Execute a run's notebook in `folder` (its place in the study); the result is written last.

    Another process may finish the run meanwhile, or has since it was listed as one to do, at the clock time `since`
    in ns: then its result is taken.
    Raises InputError when weights upstream are damaged; what a cell raises, as `lib.execution.notebook` says.
    """
    # Before anything starts: a damaged file would fail within the notebook, or train on wrong
    # weights.
    for upstream in filter(None, (places.find(settings, name) for name in item.upstream)):
        places.check_weights(upstream)
    folder = folder or places.folder_of(settings, item.name)
    source = places.notebook_file(item.notebook)
    # The lock lies in the folder of the run, so that other runs are not held up.
    folder.mkdir(parents=True, exist_ok=True)
    partial, before = folder / "notebook.partial.ipynb", places.stored_at(folder)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at the same run
        now = places.stored_at(folder)
        if now and (now != before or since and now > since):
            return
        # Of a run that was killed; its checkpoints stay, and it goes on from them.
        for left in (*folder.glob(f"*{places.UNFINISHED}"), partial):
            left.unlink(missing_ok=True)
        execute_notebook(source, partial, folder, {"study": settings.source, **item.parameters})
        # Before the result, which says that all else is there.
        os.replace(partial, folder / "notebook.ipynb")
        # By hand, a run enters no study's manifest.
        own = folder == places.folder_of(settings, item.name)
        enter = functools.partial(manifest.enter_run, settings, item, places.UNFINISHED) if own else (lambda: None)
        places.put_in_place(folder, enter)
        # Last: killed before this, the run is finished all the same.
        for checkpoint in folder.glob("checkpoint*.pt"):
            checkpoint.unlink()


def execute_notebook(source: Path, output: Path, folder: Path, parameters: dict) -> None:
    """Execute a notebook into `output`; what it stores goes to `folder`."""
    from lib.execution import notebook  # here: a process that only starts runs needs no IPython and no papermill

    # By the environment: where a run is stored is none of its parameters.
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
    # The page shows the executed claims notebook, so it comes after that.
    if name == "20_claims":
        from lib.report import page

        page.write(settings.source)
