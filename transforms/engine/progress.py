"""What has been done so far, for people to look at. Never for accounting: a retried bundle counts twice."""

import collections
import threading


class RunCounts:
    """Counts by name that every thread of this process adds to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: collections.Counter[str] = collections.Counter()

    def add(self, **counts: int) -> None:
        """Add to some counts."""
        with self._lock:
            self._counts.update(counts)

    def snapshot(self) -> dict[str, int]:
        """The counts now."""
        with self._lock:
            return dict(self._counts)

    def reset(self) -> None:
        """Start again from nothing."""
        with self._lock:
            self._counts.clear()


# One per process, because workers of the local runner are threads of it. On another runner its own page shows progress.
TALLY = RunCounts()
