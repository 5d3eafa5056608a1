"""What is made once for all threads of a process: tables, models."""

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def once(most: int | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`functools.lru_cache` of which one thread makes a value, and others that ask for it meanwhile wait.

    Without the lock each of eight workers makes all tables of its own when the first documents come, one after the other, for
    they are made in Python, and throws them away.

    Args:
      most: values that are kept; by default all.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        lock, known = threading.RLock(), functools.lru_cache(most)(function)

        @functools.wraps(function)
        def asked(*words: P.args, **named: P.kwargs) -> R:
            with lock:
                return known(*words, **named)  # type: ignore[arg-type]

        return asked

    return decorated
