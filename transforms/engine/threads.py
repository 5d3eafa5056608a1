"""Work on one batch while others are being made within one task, and on one task beside the next.

Worth it where the work leaves the interpreter free: decompression, compiled kernels, Parquet. Results come in the order of
the items, and an error is raised where its item would have come, so nothing about the outcome depends on the threads.
"""

import collections
import concurrent.futures
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from transforms.engine.memory import give_back

T = TypeVar("T")
R = TypeVar("R")
THREADS = os.cpu_count() or 1


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order, made on a thread of their own, at most `depth` before they are taken."""
    done = object()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # one thread, so items come in order
        waiting = collections.deque(pool.submit(next, items, done) for _ in range(depth))
        while (item := waiting.popleft().result()) is not done:
            waiting.append(pool.submit(next, items, done))
            yield item  # type: ignore[misc]


def spread(work: Callable[[T], R], items: Iterator[T]) -> Iterator[R]:
    """`map(work, items)` on a thread for each core, at most one item more than that in hand."""
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        waiting: collections.deque[concurrent.futures.Future[R]] = collections.deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@functools.cache
def _shared_pool() -> concurrent.futures.ThreadPoolExecutor:
    """One pool for all DoFns of this process, so that a fused stage has no more work in hand than there are cores."""
    return concurrent.futures.ThreadPoolExecutor(THREADS)


class Beside(beam.DoFn, Generic[T, R]):
    """A DoFn whose `work` on an element runs beside that on the next ones, on a thread for each core.

    Outputs come in the order of the elements. Only for elements in the global window, which all of ours are.
    """

    def work(self, element: T, *sides: Any) -> Sequence[R]:
        """What becomes of one element, given the side inputs."""
        raise NotImplementedError

    def start_bundle(self) -> None:
        """Nothing is waiting."""
        self._waiting: collections.deque[concurrent.futures.Future[Sequence[R]]] = collections.deque()

    def process(self, element: T, *sides: Any) -> Iterator[R]:
        """Start on it; hand over what is done, at the latest when all threads have work and one more waits."""
        self._waiting.append(_shared_pool().submit(self.work, element, *sides))
        while self._waiting and (self._waiting[0].done() or len(self._waiting) > THREADS):
            yield from self._waiting.popleft().result()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """The rest."""
        while self._waiting:
            yield from map(GlobalWindows.windowed_value, self._waiting.popleft().result())
        give_back()
