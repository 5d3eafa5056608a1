"""Jobs that go on without the command that sent them: what is left of one, and how another command finds it again."""

import dataclasses
import posixpath

import grpc
import orjson
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.job_server import ExternalJobServer
from apache_beam.runners.portability.portable_runner import PipelineResult as PortableResult
from apache_beam.runners.runner import PipelineResult

from expectations.errors import BrokenError
from pipeline.assembly import Attempt
from pipeline.recipe import RecipeError, RunnerConfig
from pipeline.swap import SENT_JOB
from transforms.engine import files

FORMAT = "lowbackground.job/1"


class JobLeftError(BrokenError):
    """A job goes on without this command. The message says how to come back to it."""


@dataclasses.dataclass(frozen=True)
class SentJob(Attempt):
    """A job at work on an attempt.

    Attributes:
      runner: Beam's name of the engine.
      endpoint: of its job service; empty if it has none that we can ask.
      job: what the engine calls it.
      replace: whether it may replace a release.
      sent: by crossing, elements that the launcher put in.
      files, input_bytes: of the input, to show how far it is.
    """

    runner: str
    endpoint: str
    job: str
    replace: bool
    sent: dict[str, int]
    files: int
    input_bytes: int

    def leave(self) -> JobLeftError:
        """Write it down where `read_job` finds it, and say how to come back."""
        about = {"format": FORMAT, **dataclasses.asdict(self)}
        files.write(posixpath.join(self.staging, SENT_JOB), orjson.dumps(about))
        return JobLeftError(
            f"Job {self.job} goes on. `lowbackground status {self.staging}` says how far it is, and publishes the release "
            "when it is done; --wait waits for that, --cancel ends it."
        )


def read_job(attempt: str) -> SentJob:
    """The job of an attempt.

    Raises:
      RecipeError: there is none.
    """
    attempt = attempt.rstrip("/")
    try:
        about = orjson.loads(files.read(posixpath.join(attempt, SENT_JOB)))
    except (OSError, orjson.JSONDecodeError):
        about = {}
    if about.pop("format", None) != FORMAT:
        raise RecipeError(f"{attempt} is no job that was sent; `run --no-wait` says what to give here")
    return SentJob(**{**about, "staging": attempt, "output": posixpath.dirname(posixpath.dirname(attempt)) or "."})


def endpoint_of(config: RunnerConfig) -> str:
    """Where the job service of a runner is, if its recipe says so."""
    return PipelineOptions(list(config.options)).view_as(PortableOptions).job_endpoint or ""


def name_of(result: PipelineResult) -> str:
    """What an engine calls a job. One that a Flex Template starts has no name yet when its launcher ends."""
    if isinstance(result, PortableResult):
        return str(result._job_id)
    return str(result.job_id()) if getattr(result, "_job", None) else "of the template"


def found_again(job: SentJob) -> PipelineResult:
    """Beam's handle of a job.

    Raises:
      BrokenError: its engine does not answer, or cannot be asked from here.
    """
    if not job.endpoint:
        raise BrokenError(
            f"{job.runner} cannot be asked from here; its own page or tool says how job {job.job} is doing"
        )
    try:
        service = ExternalJobServer(job.endpoint, timeout=20).start()
        asked = beam_job_api_pb2.GetJobStateRequest(job_id=job.job)
        service.GetState(asked, timeout=20)  # else the next two would say only later that there is no such job
        messages = service.GetMessageStream(beam_job_api_pb2.JobMessagesRequest(job_id=job.job))
        return PortableResult(service, job.job, messages, service.GetStateStream(asked))
    except (grpc.RpcError, grpc.FutureTimeoutError):
        raise BrokenError(
            f"{job.endpoint} does not answer, or does not know of job {job.job}; start its job service again, or give the job "
            f"up with --cancel and run again"
        ) from None
