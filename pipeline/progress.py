"""Progress on a terminal: a live line; in a pipe: a plain line now and then."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from expectations.escaping import terminal
from expectations.wording import plural
from transforms.engine.progress import TALLY
from transforms.kernels.compiled import n_compiled

PLAIN_EVERY = 5.0  # seconds
LOOK_EVERY, POLL_EVERY = 0.1, 1.0  # seconds, at workers of this process and of an engine that has to be asked
PATIENCE = 2.0  # seconds that a command may work without a word


SoFar = Callable[[], dict[str, int]]  # what was done so far, by name


@contextmanager
def shown(console: Console, files: int, input_bytes: int, so_far: SoFar | None = None) -> Iterator[None]:
    """Show what workers have done until the block ends: as `so_far` says, or else those of this process."""
    TALLY.reset()
    stop = threading.Event()
    watch = _live if console.is_terminal else _plain
    args = console, stop, files, input_bytes, so_far or TALLY.snapshot, POLL_EVERY if so_far else LOOK_EVERY
    thread = threading.Thread(target=watch, args=args, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def steps(console: Console) -> Iterator[Callable[[str], None]]:
    """Show what is being done, once it takes long, until the block ends; it calls what it gets with each step's words."""
    stop = threading.Event()
    step = [""]
    watch = _live_step if console.is_terminal else _plain_step
    thread = threading.Thread(target=watch, args=(console, stop, step), daemon=True)
    thread.start()
    try:
        yield lambda words: step.__setitem__(0, words)
    finally:
        stop.set()
        thread.join()


def _live_step(console: Console, stop: threading.Event, step: list[str]) -> None:
    if stop.wait(PATIENCE):
        return
    columns = SpinnerColumn(), TextColumn("{task.fields[step]}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None, step="")
        while not stop.wait(0.1):
            progress.update(task, step=terminal(step[0]))


def _plain_step(console: Console, stop: threading.Event, step: list[str]) -> None:
    started, wait = time.monotonic(), PATIENCE
    while not stop.wait(wait):
        wait = PLAIN_EVERY
        console.print(f"{time.monotonic() - started:6.1f} s  {step[0]}", markup=False)


@contextmanager
def compiling(console: Console) -> Iterator[None]:
    """Say that kernels are compiled, if some are, and how many, until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_say_compiled, args=(console, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _say_compiled(console: Console, stop: threading.Event) -> None:
    told, said = 0, -PLAIN_EVERY
    while not stop.wait(0.1):
        done, unused = n_compiled()
        if done > told and time.monotonic() - said >= PLAIN_EVERY:
            told, said = done, time.monotonic()
            line = f"compiling kernels, once for this machine: {done} of at most {done + unused}"
            console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def read_so_far(console: Console, n_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show how much of some bytes is read until the block ends; it calls what it gets with the size of each piece."""
    if console.is_terminal:
        columns = TextColumn("checksums"), BarColumn(30), DownloadColumn(), TextColumn("left"), TimeRemainingColumn()
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=n_bytes)
            yield lambda size: progress.advance(task, size)
        return
    started = said = time.monotonic()
    done = 0

    def read(size: int) -> None:
        nonlocal done, said
        done += size
        if (now := time.monotonic()) - said >= PLAIN_EVERY:
            said = now
            console.print(
                f"{now - started:6.1f} s  checksums {done / n_bytes:.0%}  {done:,} of {plural(n_bytes, 'byte')}"
            )

    yield read


def describe(counts: dict[str, int], files: int, input_bytes: int) -> tuple[str, float, str]:
    """`(stage, fraction of the stage that is done, details)` from the counts so far."""
    documents = counts.get("documents", 0)
    if counts.get("documents_to_write"):
        total, done = counts["documents_to_write"], counts.get("documents_written", 0)
        return "emit", done / total, f"{done:,} of {plural(total, 'document')} written"
    if counts.get("files", 0) >= files:
        return "decide", 0.0, f"{plural(documents, 'document')}: duplicates, ratio, measures, verdict"
    seen = max(documents, counts.get("documents_read", 0))
    fraction = counts.get("input_bytes", 0) / input_bytes if input_bytes else 0.0
    return "survey", fraction, f"{counts.get('files', 0):,} of {plural(files, 'file')}, {plural(seen, 'document')}"


def _live(console: Console, stop: threading.Event, files: int, input_bytes: int, so_far: SoFar, every: float) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.fields[stage]:<7}"),
        BarColumn(30),
        TextColumn("{task.fields[details]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task: TaskID | None = None
        current, started, first = "", time.monotonic(), 0
        while not stop.wait(every):
            counts = so_far()
            stage, fraction, details = describe(counts, files, input_bytes)
            done = _documents(counts, stage)
            if stage != current:
                if task is not None:
                    progress.remove_task(task)
                current, started, first = stage, time.monotonic(), done
                total = None if stage == "decide" else 1.0
                task = progress.add_task("", total=total, stage=stage, details=details, rate="")
            assert task is not None
            rate = (done - first) / max(time.monotonic() - started, 0.1)
            progress.update(task, completed=fraction, details=details, rate=f"{rate:,.0f}/s" if rate else "")


def _plain(console: Console, stop: threading.Event, files: int, input_bytes: int, so_far: SoFar, every: float) -> None:
    started, current, said = time.monotonic(), "", 0.0
    while not stop.wait(every):
        counts = so_far()
        stage, fraction, details = describe(counts, files, input_bytes)
        now = time.monotonic()
        if stage != current or now - said >= PLAIN_EVERY:
            current, said = stage, now
            percent = f" {fraction:.0%}" if stage != "decide" else ""
            console.print(f"{now - started:6.1f} s  {stage}{percent}  {details}", highlight=False, soft_wrap=True)


def _documents(counts: dict[str, int], stage: str) -> int:
    if stage == "emit":
        return counts.get("documents_written", 0)
    return max(counts.get("documents", 0), counts.get("documents_read", 0)) if stage == "survey" else 0
