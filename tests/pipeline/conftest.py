"""`TEST_WORKERS=4 pytest tests/pipeline`: every run of the graph that does not say its workers, on so many."""

import os
from collections.abc import Iterator

import pytest

from pipeline import engines


@pytest.fixture(scope="session", autouse=True)
def workers() -> Iterator[None]:
    """As on a machine with twice as many cores."""
    asked = os.environ.get("TEST_WORKERS")
    with pytest.MonkeyPatch.context() as patch:
        if asked:
            patch.setattr(engines, "default_workers", lambda: int(asked))
        yield
