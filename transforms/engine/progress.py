"""What has been done so far, for people to look at. Never for accounting: a retried bundle counts twice."""

import collections
import threading

from apache_beam.metrics import Metrics

NAMESPACE = "lowbackground.progress"


class RunCounts:
    """Counts by name that every thread of this process adds to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: collections.Counter[str] = collections.Counter()
        self._untold: collections.Counter[str] = collections.Counter()

    def add(self, **counts: int) -> None:
        """Add to some counts."""
        with self._lock:
            self._counts.update(counts)
            self._untold.update(counts)

    def tell(self) -> None:
        """Let Beam know what was added since, on a bundle's own thread: it has no counters on others."""
        if not self._untold:
            return
        with self._lock:
            news, self._untold = self._untold, collections.Counter()
        for name, count in news.items():
            Metrics.counter(NAMESPACE, name).inc(count)

    def snapshot(self) -> dict[str, int]:
        """The counts now."""
        with self._lock:
            return dict(self._counts)

    def reset(self) -> None:
        """Start again from nothing."""
        with self._lock:
            self._counts.clear()
            self._untold.clear()


# One per process: workers of the local runner are threads of the launcher's. From others, Beam's metrics bring it.
TALLY = RunCounts()
