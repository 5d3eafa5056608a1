"""The engine that a recipe names: its options and workers, loaded, and ended with the run."""

import collections
import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)
from apache_beam.runners.portability.job_server import JobServer
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, create_runner
from apache_beam.runners.worker import sdk_worker

from pipeline.recipe import Recipe, RecipeError, RunnerConfig
from pipeline.redaction import from_environment
from transforms.engine import introspection
from transforms.engine.flush_timer import end_bundles_soon, stop_timed_flush
from transforms.engine.memory import free_outputs
from transforms.engine.progress import NAMESPACE

LOCAL = "FnApiRunner"
TIMER = "data_buffer_time_limit_ms"  # Beam's experiment: docs/decisions/0025
LAST_BUNDLE = 10  # seconds


def load_engine(config: RunnerConfig) -> PipelineRunner:
    """Beam's object of a runner.

    Raises:
      RecipeError: it is not installed, or is no runner.
    """
    try:
        found = create_runner(config.name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        more = "; pip install 'lowbackground[gcp]'" if config.name == "DataflowRunner" else ""
        raise RecipeError(
            f"runner.name: {config.name} cannot be loaded ({' '.join(str(error).split())}){more}"
        ) from None
    if not isinstance(found, PipelineRunner):
        raise RecipeError(f"runner.name: {config.name} is no runner of Beam's")
    return found


@contextmanager
def engine(config: RunnerConfig) -> Iterator[PipelineRunner]:
    """A runner, whose job server, if it has a process of its own, ends when the block does, also on Ctrl-C or a kill.

    Beam ends it when the interpreter does, and our commands end sooner (`cli.main`). Workers in this process end first with what
    they are at: else they would speak of, and write to, what is given up.
    """
    found = load_engine(config)
    if not isinstance(found, PortableRunner):
        yield found
        return
    below, servers = found.default_job_server, []

    def default_job_server(options: PipelineOptions) -> JobServer:
        servers.append(below(options))
        return servers[-1]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    found.default_job_server = default_job_server
    is_main = threading.current_thread() is threading.main_thread()
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT) if is_main]
    if is_main:
        signal.signal(signal.SIGTERM, stop)
    try:
        with _workers_done():
            yield found
    finally:
        for server in servers:
            server.stop()
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def _workers_done() -> Iterator[None]:
    """Wait in the end for bundles that workers in this process are at, for some seconds; of an engine that went away, too."""
    harness, at_work, below = sdk_worker.SdkHarness, list[object](), sdk_worker.SdkHarness._execute

    def execute(self: sdk_worker.SdkHarness, *task: object) -> None:
        at_work.append(task)
        try:
            below(self, *task)
        finally:
            at_work.remove(task)

    harness._execute = execute
    try:
        yield
    finally:
        harness._execute = below
        until = time.monotonic() + LAST_BUNDLE
        while at_work and time.monotonic() < until:
            time.sleep(0.01)


def outlives(config: RunnerConfig) -> bool:
    """Whether a job goes on when the command that sent it ends: neither its engine nor its workers are the command's."""
    said = PipelineOptions(list(config.options)).view_as(PortableOptions)
    if config.name == "DataflowRunner":
        return True
    workers = said.environment_type or ("LOOPBACK" if config.name == "PrismRunner" else "DOCKER")
    return config.name != LOCAL and said.job_endpoint not in (None, "embed") and workers.upper() != "LOOPBACK"


def done_so_far(result: PipelineResult) -> dict[str, int]:
    """What the workers of a job have done so far, by name, as far as its engine tells: for people to look at."""
    result._metrics = None  # Beam's portable runner asks only once
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    except (grpc.RpcError, NotImplementedError):
        return {}
    counts: collections.Counter[str] = collections.Counter()
    for one in found:
        counts[one.key.metric.name] += max(one.committed or 0, one.attempted or 0)
    return dict(counts)


def refuse_unsafe(config: RunnerConfig) -> None:
    """Refuse options that undo what keeps rows safe.

    Raises:
      RecipeError: there is one.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):  # Beam prints how it is used, and ends the process
            said = PipelineOptions(list(config.options))
            direct, standard = said.view_as(DirectOptions), said.view_as(StandardOptions)
            said.get_all_options(retain_unknown_options=True)
    except SystemExit:
        why = complaint.getvalue().strip().rpartition("error: ")[2]
        raise RecipeError(f"runner.options: {why}; write each as --name=value") from None
    if direct.direct_running_mode != "in_memory" or direct.direct_num_workers != 1:
        raise RecipeError(
            "runner.options: --direct_running_mode and --direct_num_workers are not for recipes; say how many tasks run at a "
            "time with runner.workers"
        )
    if any(TIMER in experiment for experiment in said.view_as(DebugOptions).experiments or ()):
        raise RecipeError(f"runner.options: the experiment {TIMER} makes Beam's workers lose rows; leave it out")
    if standard.runner is not None:
        raise RecipeError(f"runner.options: --runner is said as runner.name; write runner: {{name: {standard.runner}}}")


def default_workers() -> int:
    """Tasks at a time if a recipe does not say: half the cores, because a task works ahead on threads of its own."""
    return max(1, (os.cpu_count() or 1) // 2)


def options(recipe: Recipe, tasks: int) -> PipelineOptions:
    """Beam's options. The runner is always said: Beam's own default first tries to download another engine."""
    refuse_unsafe(recipe.runner)
    stop_timed_flush()
    end_bundles_soon()
    introspection.remember()
    free_outputs()
    try:
        flags = [f"--runner={recipe.runner.name}", *from_environment(recipe.runner.options)]
    except KeyError as error:
        raise RecipeError(
            f"runner.options: the environment has no {error.args[0]}; set it, or write the value"
        ) from None
    if recipe.runner.name == LOCAL:
        workers = min(recipe.runner.workers or default_workers(), max(1, tasks))
        # Threads, not processes: the kernels release the GIL, and processes cost memory and hang when one dies.
        if workers > 1:
            flags += ["--direct_running_mode=multi_threading", f"--direct_num_workers={workers}"]
    return PipelineOptions(flags)
