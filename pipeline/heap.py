"""One heap for all threads of this process, so that what one of them frees is there for the next (docs/decisions/0006, 0056)."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h


def keep_one() -> None:
    """Let glibc's allocator have one arena and hand back large blocks at once, and Arrow use that allocator.

    Left alone, glibc keeps what large arrays of short-lived threads leave behind, and so does Arrow's own allocator. Both look
    at this once, glibc when a second thread asks for memory, Arrow when it is first asked for some: call it before either.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, 4 << 20)
        mallopt(M_TRIM_THRESHOLD, 8 << 20)  # twice the other, as by glibc's own rule; unsaid it stays 128 KB
