"""Beam's timers of workers in this process: one that loses rows (docs/decisions/0025), and one that bundles wait for (0082)."""

from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.worker import statesampler

SAMPLED = 10  # milliseconds


def stop_timed_flush() -> None:
    """Let Beam's local workers hand over what they have encoded by its size and at the end of a bundle, never by the clock.

    Beam's timer thread empties the buffer that a worker is writing an element to. Both ends of the local runner take its
    interval from this constant, where 0 means that there is no timer; for the workers of every other runner that is Beam's
    default. The experiment of the same name does not reach the local runner.
    """
    if not hasattr(worker_handlers, "DATA_BUFFER_TIME_LIMIT_MS"):
        raise RuntimeError(
            "this version of Beam has another name for its timer; use the one that pyproject.toml asks for"
        )
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0


def end_bundles_soon() -> None:
    """Let Beam's workers look every 10 ms at which step a bundle is, and not every 200.

    A bundle ends when the thread that looks has woken up again, after 100 ms on average if it took more than a second. A run
    of the local runner is some forty bundles, one after the other.
    """
    statesampler.StateSampler.__init__.__defaults__ = (SAMPLED,)  # of the one argument that has a default
