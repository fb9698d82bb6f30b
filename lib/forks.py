"""Runs that start in a second: forked from one process that has imported torch, pandas, papermill, the kernel, lib.

A run by itself spends eight seconds of a processor on imports, twice what a small one trains. While
`./run_all.sh` works, it keeps one such process (`server`) at hand, and each job of Snakemake is a small client:

    python -m lib.forks STUDY RUN     as `python -m lib.run STUDY RUN`, faster where there is a server
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

ADDRESS = "STUDY_FORKS"  # the environment variable that names the server's socket
COMPUTING = ("torch._dynamo",  # what the first optimizer of a process imports
             "lib.claims.judge", "lib.evaluation", "lib.report.paper_figures", "lib.job", "lib.pruning", "lib.schemes")
KERNEL = None  # in a forked run: where it tells its future kernel, forked beforehand, how to start


@contextlib.contextmanager
def server():
    """Keep a server for the time of the context; yields the environment that lets clients find it."""
    with tempfile.TemporaryDirectory(prefix="forks-") as folder:
        environment = {**os.environ, ADDRESS: f"{folder}/socket"}
        process = subprocess.Popen(
            [sys.executable, "-m", "lib.forks", "--serve"], stdin=subprocess.DEVNULL, start_new_session=True,
            cwd=Path(__file__).parent.parent, env={**environment, **threading_environment(1),
                 "MPLBACKEND": "module://matplotlib_inline.backend_inline"})
        try:
            yield environment
        finally:
            process.terminate()
            process.wait()


def threading_environment(threads):
    """How OpenMP shall wait: spinning for long costs a busy machine ten times, not at all half the speed of one."""
    return {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}


def serve(address):
    """Fork a process for every client, for ever; once a file of lib is edited, send the clients away."""
    parent, version = os.getppid(), code_version()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        listener.settimeout(5)
        preload()
        while os.getppid() == parent:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                if code_version() == version and os.fork() == 0:
                    connection.settimeout(None)
                    listener.close()
                    forked(connection)


def preload():
    """Import what runs and notebooks need. Nothing may compute here: threads do not survive a fork."""
    from lib import run

    run.import_papermill()
    for module in ("ipykernel.ipkernel", "ipykernel.kernelapp", "nbconvert", *COMPUTING):
        importlib.import_module(module)


def code_version():
    return sorted((path.name, path.stat().st_mtime_ns) for path in Path(__file__).parent.rglob("*.py"))


def forked(connection):
    """In the child: do the client's run with its standard streams, tell it the exit code, end."""
    global KERNEL
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        request, streams, _, _ = socket.recv_fds(connection, 65536, 2)
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
            os.close(stream)
        KERNEL = Kernel(connection)
        threading.Thread(target=die_with, args=(connection,), daemon=True).start()
        from lib import run
        status = run.command(json.loads(request))
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(bytes([status]))
    os._exit(status)


def die_with(connection):
    """End this process when the client has gone: the user's Ctrl-C reaches the client alone."""
    connection.recv(1)
    with contextlib.suppress(ProcessLookupError):
        os.kill(KERNEL.pid, signal.SIGKILL)
    os._exit(1)


class Kernel:
    """A forked process that waits to become the run's kernel; behaves as the Popen that jupyter_client expects."""

    stdin = stdout = stderr = None

    def __init__(self, client):
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            client.close()
            become_kernel(theirs)
        theirs.close()
        self.connection, self.returncode = ours, None

    def start(self, command, cwd, env):
        """Let it run the kernel of this command line."""
        self.connection.sendall(json.dumps([command, cwd, env]).encode())
        self.connection.close()

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self):
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def send_signal(self, number):
        os.kill(self.pid, number)


def become_kernel(connection):
    try:
        os.setsid()
        with connection.makefile("rb") as stream:
            message = stream.read()
        if message:
            command, cwd, env = json.loads(message)
            os.chdir(cwd)
            os.environ.update(env)
            from ipykernel.kernelapp import IPKernelApp
            IPKernelApp.launch_instance(argv=command[command.index("-f"):], parent_handle=os.getppid())
    finally:
        os._exit(1 if sys.exc_info()[0] else 0)


def kernel_manager():
    """The class of the kernel manager that uses the forked kernel, for papermill."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.provisioning import LocalProvisioner

    class Provisioner(LocalProvisioner):
        async def launch_kernel(self, cmd, **options):
            KERNEL.start(cmd, options.get("cwd") or os.getcwd(), options["env"])
            self.process, self.pid, self.pgid = KERNEL, KERNEL.pid, KERNEL.pid
            return self.connection_info

    class Manager(AsyncKernelManager):
        async def _async_pre_start_kernel(self, **options):
            self.kernel_id = self.kernel_id or "forked"
            self.provisioner = Provisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
            return await super()._async_pre_start_kernel(**options)

    return Manager


def client(arguments):
    """The run's exit code, from the server; without one, this process does the run itself."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(os.environ[ADDRESS])
            socket.send_fds(connection, [json.dumps(arguments).encode()], [1, 2])
            answer = connection.recv(1)
        except (KeyError, OSError):
            answer = b""
    if answer:
        return answer[0]
    from lib import run
    return run.command(arguments)


if __name__ == "__main__":
    from lib import forks  # this very module under its name, whose KERNEL lib.run reads

    if sys.argv[1:] == ["--serve"]:
        forks.serve(os.environ[ADDRESS])
    else:
        try:
            sys.exit(client(sys.argv[1:]))
        except KeyboardInterrupt:
            sys.exit(130)
