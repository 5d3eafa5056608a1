"""Several workers in this process, without Beam's timer, which loses rows (docs/decisions/0025)."""

from apache_beam.runners.portability.fn_api_runner import worker_handlers


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
