"""Beam's other engine, Prism, and workers of its in processes of their own, for tests and for benchmarks.

Prism is made by `go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0` (three minutes of CPU, once).
"""

import contextlib
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import apache_beam as beam
import psutil
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

ROOT = pathlib.Path(__file__).parents[1]


def prism() -> str | None:
    """Where Prism is, if it is here."""
    folders = [os.environ.get("GOBIN"), os.path.expanduser("~/go/bin")]
    found = shutil.which("prism") or shutil.which("prism", path=os.pathsep.join(filter(None, folders)))
    return found if found and os.path.getsize(found) > 1 << 20 else None


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


Seen = TypeVar("Seen")


def seen(look: Callable[[psutil.Process], Seen], pid: int | None = None) -> list[tuple[psutil.Process, Seen]]:
    """What is seen of each process that `pid` (this one by default), or one that it started, has started.

    One that ends between the list and the look is left out: any of them may, at any time.
    """
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append((one, look(one)))
    return found


def has_ended(pid: int) -> bool:
    """Whether a process is no more, or is only waited for."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def prisms_of(pid: int) -> list[psutil.Process]:
    """Engines that this process, or one that it started, has started."""
    return [one for one, name in seen(psutil.Process.name, pid) if name == "prism"]


@contextlib.contextmanager
def serving(command: Callable[[int], list[str]], **how: object) -> Iterator[str]:
    """A server of this machine in a process of its own, killed in the end with all that it has started.

    Args:
      command: its words, for a port. One that was free a moment ago may be taken: then the server ends, and has another.
      how: it is started.
    """
    for _ in range(5):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(command(port), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **how)  # type: ignore[call-overload]
        try:
            if _listens(server, port):
                yield f"localhost:{port}"
                return
        finally:
            seen(psutil.Process.kill, server.pid)
            server.kill()
            server.wait()
    raise AssertionError(f"no server: {' '.join(command(port))}")


def _listens(server: "subprocess.Popen[bytes]", port: int) -> bool:
    """Wait until a server listens. It may end before, or not have begun after five minutes."""
    until = time.monotonic() + 300
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
            return True
        time.sleep(0.1)
    return False


@contextlib.contextmanager
def worker_pool(
    folder: pathlib.Path,
    dies_after: str | None = None,
    python: Sequence[str] = (sys.executable,),
    pool: Sequence[str] | None = None,
) -> Iterator[str]:
    """Workers in a folder of their own, with temporary files of their own: nothing is shared but what has absolute paths.

    Args:
      folder: of theirs; it is made.
      dies_after: a step after which a worker is killed.
      python: what runs them, and stands for `python`.
      pool: what runs the pool that starts them, if that is another Python.
    """
    for name in ("tmp", "bin"):
        (folder / name).mkdir(parents=True)
    worker = folder / "bin" / "python"  # what the pool starts its workers by
    worker.write_text(f'#!/bin/sh\nexec {shlex.join([*python, "-m", "tests.dying_worker"])} "$@"\n')
    worker.chmod(0o755)
    more = {"DIES_AFTER": dies_after} if dies_after else {}
    its = environment(TMPDIR=str(folder / "tmp"), PATH=f"{worker.parent}{os.pathsep}{os.environ['PATH']}", **more)
    command = [*(pool or python), "-m", "apache_beam.runners.worker.worker_pool_main"]
    with serving(lambda port: [*command, f"--service_port={port}"], cwd=folder, env=its) as address:
        yield address


@contextlib.contextmanager
def job_service() -> Iterator[str]:
    """Prism as a service that outlives commands."""
    with serving(lambda port: [str(prism()), f"--job_port={port}", "--serve_http=false"]) as address:
        yield address


@contextlib.contextmanager
def spread_over(n: int) -> Iterator[None]:
    """What is run in this process has its steps in `n` environments. Prism has a worker for each, and one that idles."""
    if n == 1:
        yield
        return
    start = beam.Pipeline.run

    def run(self: beam.Pipeline, *args: object) -> object:
        names: list[str] = []

        class Visitor(PipelineVisitor):
            def visit_transform(self, node: AppliedPTransform) -> None:
                name = node.full_label.partition("/")[0]
                names.extend([name] if name not in names else [])
                hint = str((1 + names.index(name) % n) << 30)
                node.resource_hints = {"beam:resources:min_ram_bytes:v1": hint.encode()}

        self.visit(Visitor())
        return start(self, *args)

    beam.Pipeline.run = run
    try:
        yield
    finally:
        beam.Pipeline.run = start
