"""Work on one batch while the next is being made, within one task."""

import collections
import concurrent.futures
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order, made on a thread of their own, at most `depth` before they are taken.

    Worth it where making an item leaves the interpreter free (decompression, compiled kernels, Parquet). An error is
    raised where its item would have come.
    """
    done = object()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # one thread, so items come in order
        waiting = collections.deque(pool.submit(next, items, done) for _ in range(depth))
        while (item := waiting.popleft().result()) is not done:
            waiting.append(pool.submit(next, items, done))
            yield item  # type: ignore[misc]
