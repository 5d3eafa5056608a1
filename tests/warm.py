"""A Python that has imported the product already, for the tests that call a command: a real process in a hundredth of the time.

`[*warm.python(), "-m", "pipeline.cli", ...]` is to a test what `[sys.executable, "-m", "pipeline.cli", ...]` is: a process
with its own folder, environment, streams and exit code. Behind it is one process for each worker of pytest, which imports
everything, loads every kernel, and forks each time it is asked. What is about importing itself, about the environment at
that moment, or about signals to the process calls `sys.executable`.

    python warm.py SOCKET serve        # the process that is forked; ends with its standard input
    python -I -S warm.py SOCKET ...    # what is called; imports next to nothing
"""

import os
import sys

FDS = 3  # standard input, output, error
PYTHON = sys.executable  # which a test may replace


def python() -> list[str]:
    """The command that stands for `sys.executable`. The first call starts what is forked; nobody waits for it here."""
    return _call(_socket())


def executable(path: str, *words: str) -> str:
    """A program at `path` that is `python()` with these words: for what can only be told one file, as `sys.executable` is."""
    import shlex

    with open(path, "x") as file:
        file.write(f'#!/bin/sh\nexec {shlex.join([*python(), *words])} "$@"\n')
    os.chmod(path, 0o755)
    return path


def _call(path: str) -> list[str]:
    return [PYTHON, "-I", "-S", os.path.abspath(__file__), path]


_started: list[str] = []


def _socket() -> str:
    if not _started:
        import atexit
        import subprocess
        import tempfile

        folder = tempfile.mkdtemp(prefix="warm-")  # the name of a socket must be short
        _started.append(os.path.join(folder, "socket"))
        command = [PYTHON, os.path.abspath(__file__), _started[0], "serve"]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=os.path.dirname(os.path.dirname(__file__)))

        def stop() -> None:
            assert server.stdin is not None
            server.stdin.close()
            server.wait()

        atexit.register(stop)
    return _started[0]


def call(path: str, words: list[str]) -> int:
    """Be the process: hand over what a process has, and wait for its exit code."""
    import _socket
    import array
    import marshal
    import time

    request = marshal.dumps((words, os.getcwd(), dict(os.environ)))
    with_fds = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", range(FDS)))]
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    for left in range(6000, -1, -1):
        try:
            connection.connect(path)
            break
        except OSError:  # it is being started
            if not left:
                raise
            time.sleep(0.02)
    connection.sendmsg([len(request).to_bytes(8, "little")], with_fds)
    connection.sendall(request)
    answer = connection.recv(1)
    if not answer:
        os.write(2, b"the warm process is gone\n")
        return 70
    return answer[0]


def serve(path: str) -> None:
    """Import, and fork for each call until standard input ends."""
    import select
    import shutil
    import signal
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(64)
        _import_all(path)
        # Waited for, so that their CPU time counts as this process's.
        signal.signal(signal.SIGCHLD, _reap)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                _keep(connection)
            connection.close()
    shutil.rmtree(os.path.dirname(path))  # here, since whoever started this may have been killed


def _reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _import_all(path: str) -> None:
    import gc
    import logging

    import tqdm

    from expectations.judge import gx_process

    tqdm.tqdm.monitor_interval = 0  # no thread, which would be lost
    logging.getLogger().setLevel(logging.ERROR)  # as the command line does before it imports Beam
    load_kernels()
    gx_process.rehearse()
    # A command that this process becomes starts it warm, too.
    gx_process.command = lambda: [*_call(path), "-m", gx_process.__name__]
    gc.collect()
    gc.freeze()  # pages of what is here by now stay shared


def load_kernels() -> None:
    """Import every module, and load every kernel. The first process of a machine compiles them, and the others wait for it."""
    import fcntl
    import importlib
    import pkgutil
    import tempfile

    import expectations
    import pipeline
    import transforms
    from transforms.kernels.compiled import KERNELS

    for package in (pipeline, transforms, expectations):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(("pipeline.cli", "pipeline.console")):  # the screen looks at the environment
                importlib.import_module(module.name)
    with open(os.path.join(tempfile.gettempdir(), f"lowbackground-tests-{os.getuid()}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for one in KERNELS:
            one.ready()


def _keep(connection: object) -> None:
    """Fork once more: this one waits for the process and says how it ended."""
    import contextlib
    import marshal
    import select
    import signal
    import socket

    assert isinstance(connection, socket.socket)
    size, fds, _, _ = socket.recv_fds(connection, 8, FDS)
    with connection.makefile("rb") as file:
        words, cwd, environment = marshal.loads(file.read(int.from_bytes(size, "little")))
    child = os.fork()
    if child == 0:
        connection.close()
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        _become(words, cwd, environment)
    for fd in fds:
        os.close(fd)
    if hasattr(os, "pidfd_open") and connection in select.select([connection, os.pidfd_open(child)], [], [])[0]:
        os.kill(child, signal.SIGTERM)  # what was called is gone, stopped by somebody who meant this
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        connection.send(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def _become(words: list[str], cwd: str, environment: dict[str, str]) -> None:
    """Run `-m MODULE ...` or `-c CODE ...` as Python does, and end."""
    import importlib.util
    import tempfile
    import time
    import traceback
    import types

    os.chdir(cwd)
    sys.path[:1] = [cwd, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None  # it is where this environment says
    sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8"), os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, errors="backslashreplace")
    how, what, *rest = words
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if how == "-m":
        main.__spec__ = importlib.util.find_spec(what)
        assert main.__spec__ is not None
        assert main.__spec__.origin is not None
        code = main.__spec__.loader.get_code(what)  # type: ignore[union-attr]
        main.__file__ = main.__spec__.origin
        sys.argv = [main.__file__, *rest]
    else:
        assert how == "-c", words
        code = compile(what, "<string>", "exec")
        sys.argv = ["-c", *rest]
    try:
        exec(code, vars(main))
    except SystemExit as error:
        sys.stdout.flush()
        os._exit(error.code if isinstance(error.code, int) else int(error.code is not None))
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[2:] == ["serve"]:
        serve(sys.argv[1])
    else:
        os._exit(call(sys.argv[1], sys.argv[2:]))
