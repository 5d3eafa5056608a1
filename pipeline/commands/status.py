"""`status`: how far a job is that was sent and left alone; and the end of its run, once it is done."""

import contextlib
import posixpath
from collections.abc import Iterator

import grpc
from apache_beam.runners.runner import PipelineState
from rich.console import Console

from expectations.errors import BrokenError
from pipeline.assembly import done_path
from pipeline.engines import done_so_far
from pipeline.execution import COUNTS, RunError, check_counts, plainly, quiet, wait_for
from pipeline.jobs import SentJob, found_again, read_job
from pipeline.progress import describe, shown
from pipeline.runner import Result, read_result
from pipeline.swap import SENT_JOB, resuming, settle, store_in_use, swap
from transforms.engine import files


def status_of(attempt: str, console: Console, wait: bool = False, cancel: bool = False) -> str | Result:
    """How far a job is, in a line; or what came of its run, which is published here if it is done.

    Args:
      attempt: what `run --no-wait` said.
      console: for how far it is, while this waits.
      wait: until it is done.
      cancel: end it instead.

    Raises:
      RecipeError: there is no such job.
      FolderError: somebody else is at work on the release.
      RunError: the job has failed, or was cancelled; what it has left is deleted.
      BrokenError: its engine does not answer.
    """
    job = read_job(attempt)
    with resuming(job.output, job.release), store_in_use(job.output):
        if cancel:
            return _cancelled(job)
        if not _has_all(job):
            with _settled_if_failed(job), quiet(), plainly(job.runner):
                found = found_again(job)
                if not wait and not PipelineState.is_terminal(found.state):
                    stage, fraction, details = describe(done_so_far(found), job.files, job.input_bytes)
                    return f"{job.job} is at work: {stage} {fraction:.0%}  {details}"
                with shown(console, job.files, job.input_bytes, lambda: done_so_far(found)):
                    wait_for(found, job.runner)
        with _settled_if_failed(job):
            check_counts(job.staging, job.sent)
        files.delete(posixpath.join(job.staging, SENT_JOB))
        try:
            return read_result(swap(job, job.replace))
        finally:
            settle(job.output, job.staging)


def _has_all(job: SentJob) -> bool:
    """Whether a job has done all that it was to do, whatever has become of its engine since."""
    return all(map(files.exists, (done_path(job), posixpath.join(job.staging, COUNTS))))


@contextlib.contextmanager
def _settled_if_failed(job: SentJob) -> Iterator[None]:
    try:
        yield
    except RunError:
        _give_up(job)
        raise


def _give_up(job: SentJob) -> None:
    files.delete(posixpath.join(job.staging, SENT_JOB))
    settle(job.output, job.staging)


def _cancelled(job: SentJob) -> str:
    with contextlib.suppress(BrokenError, grpc.RpcError):  # an engine that is gone has no job
        found_again(job).cancel()
    _give_up(job)
    there = "" if job.endpoint else f"; {job.runner} cannot be asked from here, so cancel it there as well"
    return f"{job.job} is given up, and nothing is released{there}"
