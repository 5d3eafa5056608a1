"""The engine that a recipe names: loaded, and ended with the run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.job_server import JobServer
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from pipeline.recipe import RecipeError, RunnerConfig


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

    Beam ends it when the interpreter does, and our commands end sooner (`cli.main`).
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
        yield found
    finally:
        for server in servers:
            server.stop()
        for number, handler in before:
            signal.signal(number, handler)
