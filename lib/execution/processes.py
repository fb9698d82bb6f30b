"""Runs as processes of their own, forked from a server that has imported everything and read the data set.

A run by itself spends eight seconds on imports, twice what a small one trains; a forked one starts at once, and leaves
nothing to the next. The standard library keeps the server (`multiprocessing`, start method forkserver).
"""

import contextlib
import hashlib
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from lib import SPINCOUNT, InputError, study
from lib.execution import machine

CONTEXT = multiprocessing.get_context("forkserver")
ENVIRONMENT = {
    # No threads before the fork; a run sets the number of its own (`torch.set_num_threads`).
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "GOMP_SPINCOUNT": SPINCOUNT,
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MATPLOTLIBRC": os.devnull}  # what a study draws does not depend on the user's settings
RUNNING = set()  # processes that have been started and not joined
# Starting a process looks after all others, and of two threads that ask after the same one, one would read nothing and
# take it for failed: one thread at a time starts or joins.
LOCK = threading.Lock()
INTERRUPTED = threading.Event()  # no run starts any more


def version() -> str:
    """A hash over the source files of lib."""
    # All of lib: what the server has imported is fixed, whichever file is edited.
    files = sorted((study.ROOT / "lib").rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


VERSION = version()


def serve(settings: study.Study, with_data: bool = True) -> None:
    """Start the server, if there is none: it imports everything by itself, while this process goes on.

    Notebooks of the report need no data set (not `with_data`).
    Raises InputError where papermill or IPython are missing.
    """
    # Looked for, not imported: that takes seconds, and the server does it.
    for name in ("papermill", "IPython"):
        if importlib.util.find_spec(name) is None:
            raise InputError(f"Runs are notebooks, executed by papermill and IPython: {name} is missing here "
                             "(pip install papermill ipython).")
    private = study.ROOT / ".snakemake"
    if machine.writable(private):
        (private / "ipython").mkdir(parents=True, exist_ok=True)
    # Before the server starts, which passes its environment on.
    os.environ.update(ENVIRONMENT, IPYTHONDIR=str(private / "ipython"))
    if not machine.writable(Path(os.path.expanduser("~"))):  # where matplotlib would keep its list of fonts
        os.environ["MPLCONFIGDIR"] = str(private / "matplotlib")
    if len(os.fsencode(tempfile.gettempdir())) > 60:  # the path of a socket may have 107 bytes
        tempfile.tempdir = "/tmp"
    os.environ["STUDY_DATA"] = json.dumps([settings.data.name, settings.data.root, settings.data.side] * with_data)
    # The server imports lib too, wherever this command was called.
    folders = [str(study.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))
    CONTEXT.set_forkserver_preload(["lib.execution.preload"])
    forkserver.ensure_running()


def start(settings: study.Study, name: str, function: Callable, *arguments: Any,
          quiet: bool = False) -> BaseProcess:
    """Start `function(settings, *arguments)` in a process of its own, which if `quiet` prints only errors; returns it.

    Raises InputError once a file of lib has been edited: the result would name code that did not make it.
    """
    # A forked process has the lib of the server's start, and its result would name today's.
    if version() != VERSION:
        raise InputError("lib has been edited since this command began, so no further run starts: "
                         "the same command goes on.")
    with LOCK:
        process = _forked(settings, target=child, args=(function, settings, *arguments), name=name,
                          kwargs={"quiet": quiet})
        RUNNING.add(process)
    # The signal may have come while it started.
    if INTERRUPTED.is_set():
        process.terminate()
    return process


def _forked(settings, **options):
    """A process, started; once more where the server is killed just then, as by a machine whose memory runs out."""
    for _ in range(2):
        serve(settings, not options["name"].startswith("report/"))
        process = CONTEXT.Process(**options)
        with contextlib.suppress(EOFError, ConnectionError):
            process.start()
            return process
    raise InputError(f"{options['name']} cannot start: the process that runs are forked from was ended twice, as where "
                     "memory has run out.")


def join(process: BaseProcess) -> int:
    """Wait for a process; returns its exit code. An exception meanwhile, as by Ctrl-C, ends the process."""
    try:
        # Outside of the lock: others start and end meanwhile.
        connection.wait([process.sentinel])
    except BaseException:
        process.terminate()
        raise
    finally:
        with LOCK:
            process.join()
            RUNNING.discard(process)
    if process.exitcode >= 0 or INTERRUPTED.is_set():
        return process.exitcode
    killed_by = signal.Signals(-process.exitcode).name  # it could not say so itself; SIGKILL: memory has run out
    print(f"{process.name} failed: it was ended by {killed_by}", file=sys.stderr, flush=True)
    return 1


def run(settings: study.Study, name: str, function: Callable, *arguments: Any) -> int:
    """Call `function(settings, *arguments)` in a process of its own, named `name`; returns its exit code."""
    return join(start(settings, name, function, *arguments))


def stop_on_signals() -> None:
    """Let SIGINT and SIGTERM end all runs, then this process by a KeyboardInterrupt in its main thread."""
    def stop(number, frame):
        INTERRUPTED.set()
        # A copy, since other threads start and join meanwhile.
        for process in list(RUNNING):
            process.terminate()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def command_line(main: Callable[[list[str]], int]) -> None:
    """End this process with what `main(arguments)` returns, and with a sentence where it cannot go on.

    The exit code is 2 for an InputError, 130 for a signal, 1 for a file that cannot be written (a full disk) or read.
    """
    machine.open_closed_streams()
    stop_on_signals()
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:  # nobody reads on, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"{type(error).__name__}: {error}; what was finished is kept.", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from the last checkpoints.", file=sys.stderr)
        # 128 and the number of SIGINT, as shells have it.
        sys.exit(130)


def child(function: Callable, *arguments: Any, quiet: bool = False) -> None:
    """In the forked process: call the function, say in one sentence what fails, and end.

    The exit code is 2 for an InputError, as on the command line, and 1 for any other.
    """
    from papermill import PapermillExecutionError

    threading.Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the parent decides
    # By descriptor: libraries write past Python's `sys.stdout`.
    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    name = multiprocessing.current_process().name
    try:
        function(*arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except PapermillExecutionError as error:
        message = " ".join(str(error.evalue).split())
        partial = f"{name.removeprefix('report/') if name.startswith('report/') else 'notebook'}.partial.ipynb"
        print(f"{name} failed: {error.ename}: {message} (the notebook so far is {partial} in its folder)",
              file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # outside the notebook: a file that cannot be read or written, which it names
        print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def end_with_parent() -> None:
    """End this process at once when the one that started it has gone, also by SIGKILL: nobody else would.

    Linux's PR_SET_PDEATHSIG would not do: the parent of a forked process is the server, which lives on meanwhile.
    """
    multiprocessing.parent_process().join()
    # At once: `sys.exit` in a thread would end the thread alone.
    os._exit(1)
