"""What threads share is made by one of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from transforms.kernels.once import once


def test_of_many_threads_that_ask_at_once_one_makes_the_value() -> None:
    made, begin = [], threading.Barrier(8)

    @once()
    def table(name: str) -> list[str]:
        made.append(name)
        time.sleep(0.05)  # the others ask meanwhile
        return [name]

    def ask(name: str) -> list[str]:
        begin.wait()
        return table(name)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, ["a", "b"] * 4))
    assert sorted(made) == ["a", "b"]
    assert len({id(one) for one in found}) == 2


def test_a_failure_is_not_kept_and_a_value_may_need_itself_made_for_another() -> None:
    tries = []

    @once(most=1)
    def halved(n: int) -> int:
        tries.append(n)
        if len(tries) == 1:
            raise OSError("not yet")
        return 0 if n == 0 else 1 + halved(n // 2)

    with pytest.raises(OSError, match="not yet"):
        halved(5)
    assert halved(5) == 3
    assert halved(5) == 3
    assert tries == [5, 5, 2, 1, 0]
