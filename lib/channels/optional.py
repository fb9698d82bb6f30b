"""Packages that only some channels and the digital opponent need (requirements-channels.txt)."""

import importlib
from typing import Any

from lib import InputError


def optional(name: str) -> Any:
    """An optional package or one of its modules; InputError where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{error.name or name} is not installed: requirements-channels.txt names what this "
                         "needs.") from error
