"""A notebook executed by papermill in this very process: no kernel, no sockets, the same outputs.

IPython's shell, which a Jupyter kernel is built around, runs the cells. What they print goes to the log at once and
into the executed notebook, which also keeps tables, figures and errors with their traceback.
"""

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat.v4
import papermill
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from papermill.engines import Engine, papermill_engines
from traitlets import Type
from traitlets.config import Config

from lib import InputError


def execute(notebook: Path, output: Path, parameters: dict) -> None:
    """Write the executed notebook to `output`, also one that fails; the process is used up by it.

    Raises InputError when the notebook has no such parameter or a cell raised one, and papermill's error otherwise.
    """
    known = papermill.inspect_notebook(literally(notebook))
    unknown = [name for name in parameters if name not in known]
    if unknown:  # papermill would warn, and the notebook would run with its default
        raise InputError(f"The notebook {notebook.stem} has no parameter {unknown[0]}.")
    try:
        papermill.execute_notebook(literally(notebook), literally(output), parameters, engine_name="in_process",
                                   kernel_name="python3", cwd=notebook.parent, progress_bar=False)
    except papermill.PapermillExecutionError as error:
        if error.ename == InputError.__name__:
            raise InputError(error.evalue) from error
        raise


def literally(path: Path) -> str:
    """A path as papermill takes it, for which braces would be places of parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


class InProcess(Engine):
    """Papermill's engine that runs the cells here; papermill keeps the files, the parameters and the timing."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        # No history: it would go into a database in the user's home, shared by all runs.
        shell = Shell.instance(config=Config(HistoryManager={"enabled": False}))
        # Figures become outputs of their cell.
        shell.enable_matplotlib("inline")
        for number, cell in enumerate(nb_man.nb.cells):
            if cell.cell_type != "code" or not cell.source.strip():
                continue
            nb_man.cell_start(cell, number)
            # Saved while it runs, so that a notebook under way can be opened and read.
            succeeded = shell.run(cell, nb_man.autosave_cell)
            if not succeeded:
                # Papermill then raises from what the outputs hold.
                nb_man.cell_exception(cell, number)
            nb_man.cell_complete(cell, number)
            if not succeeded:
                break


# By name, as papermill looks for engines.
papermill_engines.register("in_process", InProcess)


class Publisher(DisplayPublisher):
    """Takes what a cell displays."""

    def publish(self, data: dict, metadata: dict | None = None, *, transient: dict | None = None, update: bool = False,
                **options: Any) -> None:
        self.shell.show("display_data", data, metadata, (transient or {}).get("display_id"), update)

    # What progress bars call before each new line.
    def clear_output(self, wait: bool = False) -> None:
        self.shell.outputs.clear()


class Hook(DisplayHook):
    """Takes the value of a cell's last line."""

    # IPython's own prints a prompt, which no notebook stores.
    def start_displayhook(self) -> None:
        pass

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict, md_dict: dict | None = None) -> None:
        self.shell.show("execute_result", format_dict, md_dict, execution_count=self.prompt_count)

    def finish_displayhook(self) -> None:
        pass


class Shell(InteractiveShell):
    """IPython without a terminal: `outputs` are those of the running cell, as a notebook stores them."""

    display_pub_class = Type(Publisher)
    displayhook_class = Type(Hook)
    outputs = ()
    displayed = None  # {display_id: outputs that `update_display` changes}

    def enable_gui(self, gui: str | None = None) -> None:
        """There is no window system to wait for, which figures in a notebook ask for."""

    def run(self, cell: nbformat.NotebookNode, autosave: Callable[[], None]) -> bool:
        """Run a cell of a notebook and keep its outputs in it; whether it succeeded."""
        self.outputs = cell.outputs
        cell.execution_count = self.execution_count
        with contextlib.redirect_stdout(Stream("stdout", self.outputs, autosave)), \
             contextlib.redirect_stderr(Stream("stderr", self.outputs, autosave)):
            # The shell catches what the cell raises and shows it by `_showtraceback`.
            result = self.run_cell(cell.source, store_history=True)
        # Ctrl-C ends the run, not one cell.
        if isinstance(result.error_in_exec, KeyboardInterrupt):
            raise result.error_in_exec
        return result.success

    def show(self, kind: str, data: dict, metadata: dict | None, display_id: str | None = None, update: bool = False,
             **more: Any) -> None:
        """Append a rich output, or change earlier ones of the same display_id."""
        self.displayed = self.displayed or {}
        earlier = self.displayed.setdefault(display_id, []) if display_id else []
        # Outputs may lie in earlier cells: the same objects, changed in place.
        for output in earlier if update else ():
            output.data, output.metadata = nbformat.from_dict(data), nbformat.from_dict(metadata or {})
        if not update:
            self.outputs.append(nbformat.v4.new_output(kind, data, metadata=metadata or {}, **more))
            earlier.append(self.outputs[-1])

    def _showtraceback(self, etype, evalue, stb):
        """IPython's hook for the traceback of an error in a cell."""
        self.outputs.append(nbformat.v4.new_output("error", ename=etype.__name__, evalue=str(evalue), traceback=stb))


class Stream(io.TextIOBase):
    """Standard output or error of a cell: written through at once, and kept as outputs of the cell."""

    encoding = "utf-8"

    def __init__(self, name: str, outputs: list, autosave: Callable[[], None]):
        self.name, self.outputs, self.autosave = name, outputs, autosave
        self.through = getattr(sys, name)

    def write(self, text: str) -> int:
        self.through.write(text)
        self.through.flush()
        # Joined as Jupyter joins them: an output each `print` would make a notebook of thousands.
        last = self.outputs[-1] if self.outputs else {}
        if last.get("name") == self.name:
            last.text += text
        else:
            self.outputs.append(nbformat.v4.new_output("stream", name=self.name, text=text))
        self.autosave()
        return len(text)

    # Libraries that write past Python ask for it.
    def fileno(self) -> int:
        return self.through.fileno()
