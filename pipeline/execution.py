"""A graph run to its end on any engine: shown while it is at work, quiet, counted, and what goes wrong as one line."""

import gc
import logging
import posixpath
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import apache_beam as beam
import grpc
import pyarrow as pa
import typer
from apache_beam.runners.runner import PipelineResult, PipelineState
from apache_beam.runners.worker import sdk_worker
from rich.console import Console

from expectations.errors import BrokenError
from pipeline import heap, log
from pipeline.engines import LOCAL, done_so_far, engine, options, outlives
from pipeline.graph import Job
from pipeline.jobs import endpoint_of, name_of
from pipeline.progress import shown
from pipeline.recipe import Recipe, RecipeError
from transforms.engine import counted, files
from transforms.engine.job_graph import JobGraph
from transforms.engine.staged import staging

JOB_SERVERS = ("PrismJobServer", "FlinkJarJobServer", "SparkJarJobServer")  # loggers
WORKER_DIED = ("SDK worker disconnected", "worker stopped before", "send on closed channel")  # Prism's words for it
IN_A_WORKER = " [while running"  # what Beam puts behind the message of an error that a worker raised
AGAIN = "nothing was released. Run again"
GRAPH, COUNTS = "graph", "counts"  # below an attempt's folder: what the stages need to know, and what they counted


class RunError(BrokenError):
    """The run broke. The message is one line."""


def n_files(job: Job) -> int:
    """Files of the input."""
    return len({piece.path for split in job.splits for piece in split.pieces})


def n_bytes(job: Job) -> int:
    """Their size in storage."""
    return sum(split.n_bytes for split in job.splits)


def put_in(job: Job) -> dict[str, int]:
    """By crossing, elements that the launcher puts in."""
    earlier = {} if job.is_decided else {"splits of earlier releases": len(job.earlier)}
    return {"splits": len(job.splits), **earlier}


def execute(
    recipe: Recipe,
    job: Job,
    console: Console,
    graph: Callable[[beam.Pipeline, Job], object],
    attempt: str,
    wait: bool = True,
) -> str | None:
    """Run a graph of a job to its end, and show how far it is. What stages need to know lies in the attempt's folder.

    Returns:
      What the engine calls the job, if it goes on; nobody waited for it. Else its counts are as they should be.

    Raises:
      RecipeError: it could not go on.
      RunError: a worker failed.
      BrokenError: the engine does not answer, or went away.
    """
    attempt = files.absolute(attempt)
    is_local, goes_on = recipe.runner.name == LOCAL, outlives(recipe.runner)
    if not wait and not goes_on:
        raise RecipeError(
            f"--no-wait: {recipe.runner.name} or its workers end with this command; use a job service (--job_endpoint in "
            "runner.options) with workers of its own, or DataflowRunner"
        )
    sent: list[PipelineResult] = []
    so_far = None if is_local else lambda: done_so_far(sent[0]) if sent else {}
    with plainly(recipe.runner.name), quiet():
        try:
            with engine(recipe.runner) as its, shown(console, n_files(job), n_bytes(job), so_far):
                if is_local:
                    give_memory_back()
                with staging(posixpath.join(attempt, GRAPH)):
                    pipeline = JobGraph(its, options(recipe, len(job.splits)))
                    graph(pipeline, job)
                    pipeline | "Counts" >> counted.Total(posixpath.join(attempt, COUNTS))
                    gc.freeze()  # what is here by now stays
                    gc.set_threshold(2_000, 10, 10)
                    sent.append(pipeline.run())
                    if not wait:
                        return name_of(sent[0])
                    wait_for(sent[0], recipe.runner.name)
        except KeyboardInterrupt:
            if sent and goes_on and left_at_work(console):
                return name_of(sent[0])
            if sent and (goes_on or endpoint_of(recipe.runner)):
                with suppress(Exception):  # it may be at its end already
                    sent[0].cancel()
            raise
        check_counts(attempt, put_in(job))
    return None


def wait_for(result: PipelineResult, name: str) -> None:
    """Wait until a job has done all.

    Raises:
      RunError: it ended otherwise.
    """
    state = result.wait_until_finish() or result.state
    if state != PipelineState.DONE:
        raise RunError(f"{name} ended as {state}; its own log says why")


def left_at_work(console: Console) -> bool:
    """Whether a job whose command was interrupted goes on: as a person says, if one is there to ask."""
    try:
        return console.is_terminal and not typer.confirm("Cancel the job as well?", default=True, err=True)
    except typer.Abort:
        return False


@contextmanager
def plainly(name: str) -> Iterator[None]:
    """Whatever ends a job on an engine, as one line.

    Raises:
      RunError: the job has failed.
      BrokenError: the engine does not answer, or not any more.
    """
    try:
        yield
    except grpc.FutureTimeoutError:
        raise BrokenError(
            "no job server answers; is --job_endpoint in runner.options right, and does it run?"
        ) from None
    except grpc.RpcError as error:
        said = error.details() if isinstance(error, grpc.Call) else error
        raise BrokenError(f"the engine ({name}) went away while the job was at work ({said}); {AGAIN}") from error
    except Exception as error:
        if isinstance(error, RecipeError | BrokenError) and IN_A_WORKER not in str(error):
            raise
        cause = _cause(error)
        if any(words in cause for words in WORKER_DIED):
            raise RunError(f"a worker died at its work: it was killed, or had no more memory; {AGAIN}") from error
        raise RunError(cause) from error


def check_counts(attempt: str, sent: Mapping[str, int]) -> None:
    """Hold what came out of every shuffle of a run that has finished against what went in.

    Args:
      attempt: its folder.
      sent: what the launcher put in.

    Raises:
      RunError: rows were lost or doubled on the way.
    """
    try:
        found = counted.counts(posixpath.join(attempt, COUNTS))
        counted.check(found, sent)
    except counted.LostRowsError as error:
        raise RunError(
            f"{error}; nothing was published. Run again; if it stays, use runner: {{name: FnApiRunner, workers: 1}}"
        ) from error


def _cause(error: BaseException) -> str:
    """The innermost thing that went wrong, on one line, without Beam's trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line for line in lines if line.startswith(("transforms.", "expectations.", "pipeline."))]
    if not own and any(line.startswith("goroutine ") for line in lines):
        lines = [lines[0].partition(", stage: &{")[0]]  # an engine's own trace: of Go, what happened stands first
    line = (own or lines or [type(error).__name__])[-1]
    line = (own and line.partition(": ")[2]) or line  # without its class
    return line.split(IN_A_WORKER)[0]


def give_memory_back() -> None:
    """Make freed memory leave this process, which on this runner holds every worker, also where no command line began it."""
    heap.keep_one()
    pa.set_memory_pool(pa.system_memory_pool())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the engines' chatter off the terminal, unless it is asked for: what matters is an error or in the report."""
    if log.is_wanted():
        yield
        return
    levels = {name: logging.getLogger(name).level for name in ("apache_beam", "great_expectations", "root")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in JOB_SERVERS:  # Beam sets their level when it starts them
        logging.getLogger(name).disabled = True
    sdk_worker.print = lambda *_, **__: None  # of traces, which are in the error as well
    excepthook = threading.excepthook
    threading.excepthook = lambda said: None if _is_beams(said.thread) else excepthook(said)
    is_over = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (
        grpc.RpcError
    ):  # the engine went away, and workers in this process will say so for as long as they are at work
        is_over = False
        raise
    finally:
        if is_over:
            del sdk_worker.print
            threading.excepthook = excepthook
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _is_beams(thread: threading.Thread | None) -> bool:
    """Whether a thread is one of Beam's workers that reads from an engine, which may end first."""
    return thread is not None and thread.name.startswith(("read_grpc", "read_state", "run_worker", "wait_until"))
