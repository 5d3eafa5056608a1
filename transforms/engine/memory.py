"""Giving freed memory back to the system."""

import ctypes
import sys

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_TRIM = getattr(_LIBC, "malloc_trim", None)  # glibc has it, musl has not


def give_back() -> None:
    """Return what has been freed to the system, where the C library can.

    The arrays of one batch are freed at once, but glibc keeps their pages for every thread that made some, and on the local
    runner all workers are threads of one process (docs/decisions/0006).
    """
    if _TRIM is not None:
        _TRIM(0)
