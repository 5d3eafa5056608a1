"""Giving memory back to the system: what has been freed, and what Beam's workers hold on to when a bundle is done."""

import ctypes
import functools
import sys
import time

from apache_beam.runners.worker.bundle_processor import DataOutputOperation

OFTEN = 0.2  # seconds between bundles after which memory is given back
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_TRIM = getattr(_LIBC, "malloc_trim", None)  # glibc has it, musl has not


def give_back() -> None:
    """Return what has been freed to the system, where the C library can.

    The arrays of one batch are freed at once, but glibc keeps their pages for every thread that made some, and on the local
    runner all workers are threads of one process (docs/decisions/0006).
    """
    if _TRIM is not None:
        _TRIM(0)


def free_outputs() -> None:
    """Let Beam's workers of this process free the buffer of each output with its bundle. It may be called again.

    A worker keeps the steps of a stage for its next bundle, and each of them a buffer as large as the most that it ever wrote
    at a time, up to 16 MB. Every bundle gets buffers of its own, so nobody looks at the old ones (docs/decisions/0056). What
    its accumulators left goes too.
    """
    finish, trimmed = DataOutputOperation.finish, [0.0]
    if hasattr(finish, "frees"):
        return

    @functools.wraps(finish)
    def finish_and_free(self: DataOutputOperation) -> None:
        finish(self)
        self.output_stream = None
        now = time.monotonic()
        if now - trimmed[0] > OFTEN:  # not for each output of each small bundle: a look takes milliseconds
            trimmed[0] = now
            give_back()

    finish_and_free.frees = True  # type: ignore[attr-defined]
    DataOutputOperation.finish = finish_and_free
