"""Progress on a terminal: a live line; in a pipe: a plain line now and then."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from transforms.progress import TALLY

PLAIN_EVERY = 5.0  # seconds


@contextmanager
def shown(console: Console, files: int, input_bytes: int) -> Iterator[None]:
    """Show what the workers of this process have done until the block ends."""
    TALLY.reset()
    stop = threading.Event()
    watch = _live if console.is_terminal else _plain
    thread = threading.Thread(target=watch, args=(console, stop, files, input_bytes), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def describe(counts: dict[str, int], files: int, input_bytes: int) -> tuple[str, float, str]:
    """`(stage, fraction of the stage that is done, details)` from the counts so far."""
    documents = counts.get("documents", 0)
    if counts.get("documents_to_write"):
        total, done = counts["documents_to_write"], counts.get("documents_written", 0)
        return "emit", done / total, f"{done:,} of {total:,} documents written"
    if counts.get("files", 0) >= files:
        return "decide", 0.0, f"{documents:,} documents: duplicates, ratio, measures, verdict"
    seen = max(documents, counts.get("documents_read", 0))
    fraction = counts.get("input_bytes", 0) / input_bytes if input_bytes else 0.0
    return "survey", fraction, f"{counts.get('files', 0):,} of {files:,} files, {seen:,} documents"


def _live(console: Console, stop: threading.Event, files: int, input_bytes: int) -> None:
    columns = (
        SpinnerColumn(), TextColumn("[bold]{task.fields[stage]:<7}"), BarColumn(30), TextColumn("{task.fields[details]}"),
        TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task: TaskID | None = None
        current, started, first = "", time.monotonic(), 0
        while not stop.wait(0.1):
            counts = TALLY.snapshot()
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


def _plain(console: Console, stop: threading.Event, files: int, input_bytes: int) -> None:
    started, current, said = time.monotonic(), "", 0.0
    while not stop.wait(0.1):
        counts = TALLY.snapshot()
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
