"""Work on one batch while others are being made, within one task.

Worth it where the work leaves the interpreter free: decompression, compiled kernels, Parquet. Results come in the order of
the items, and an error is raised where its item would have come, so nothing about the outcome depends on the threads.
"""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


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
    threads = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting: collections.deque[concurrent.futures.Future[R]] = collections.deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
