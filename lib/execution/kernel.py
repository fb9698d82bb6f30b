"""The kernel that cells run in: whether a person watches, how an error shows, which parameters were injected."""

import ast
import os
import sys
from typing import Any

from lib import InputError


def shell() -> Any:
    """IPython's shell, in which cells run; None in a program."""
    ipython = sys.modules.get("IPython")  # whoever runs in it has imported it
    return ipython.get_ipython() if ipython else None


def live() -> bool:
    """Whether a kernel runs the cells, as JupyterLab's and papermill's do; our batches have none."""
    return hasattr(shell(), "kernel")


def watched() -> bool:
    """Whether somebody has the notebook open: a Jupyter server names the session to the kernels it starts for one."""
    return live() and "JPY_SESSION_NAME" in os.environ


def show_sentences() -> None:
    """Let IPython show of an InputError its sentence alone: what the user can mend needs no traceback."""
    InputError._render_traceback_ = lambda error: [f"InputError: {error}"]  # IPython asks an exception for this


def check_injected() -> None:
    """Raise InputError where papermill has set a parameter that the notebook does not have: it would only warn.

    Papermill puts its values into a cell of their own, below that with the notebook's defaults.
    """
    cells = shell().user_ns.get("In", []) if shell() else []
    for number, cell in enumerate(cells):
        if cell.startswith("# Parameters\n"):
            known = {name for earlier in cells[:number] for name in _assigned(earlier)}
            unknown = [name for name in _assigned(cell) if name not in known]
            if unknown:
                raise InputError(f"The notebook has no parameter {unknown[0]}.")


def _assigned(cell):
    """The names that a cell assigns, in order; none where it is no Python, as with a magic command."""
    try:
        body = ast.parse(cell).body
    except SyntaxError:
        return []
    targets = [target for statement in body if isinstance(statement, ast.Assign | ast.AnnAssign)
               for target in getattr(statement, "targets", None) or [statement.target]]
    return [target.id for target in targets if isinstance(target, ast.Name)]
