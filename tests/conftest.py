"""Settings that every test shares."""

import collections
import gc
import os
import tempfile
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import stores
import warm
from hypothesis import HealthCheck, settings

from expectations.judge import gx_process

# No deadline: the first call of a kernel compiles it, and a machine may have too much to do. Derandomised: a failure in CI
# is a failure here.
settings.register_profile(
    "lowbackground", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lowbackground")

# Else each process that a test starts would compile all our sources anew, for half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: looking through it for what is gone takes a fifth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most slow tests first, so that no long one is left to one worker at the end."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> None:
    """Of several workers, in a fresh clone, one compiles the kernels; or each would, and what they call as well."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        warm.load_kernels()


@pytest.fixture(scope="session", autouse=True)
def _warm_great_expectations() -> Iterator[None]:
    """A command that is called in a test's own process starts Great Expectations in one that has it imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gx_process, "command", lambda: [*warm.python(), "-m", "expectations.judge.gx_process"])
        yield


@pytest.fixture(scope="session", autouse=True)
def _folders_of_pipelines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Beam makes a folder for each pipeline, and deletes that of one which is run. In tests they are where pytest deletes."""
    below, folder = tempfile.mkdtemp, tmp_path_factory.mktemp("pipelines")

    def mkdtemp(suffix: Any = None, prefix: Any = None, dir: Any = None) -> Any:
        return below(suffix, prefix, folder if prefix == "beam-pipeline-temp" else dir)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkdtemp", mkdtemp)
        yield


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Chromium, for the tests of pages."""
    import browsing

    with browsing.started() as one:
        yield one


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """Chromium without a page: those of a test end with it, for each works on."""
    yield chromium
    for context in chromium.contexts:
        context.close()


@pytest.fixture(scope="session")
def s3_store() -> Iterator[stores.Store]:
    """Moto's server: a store that speaks S3."""
    with stores.s3_server() as store:
        yield store


@pytest.fixture(scope="session")
def gs_store() -> Iterator[stores.Store]:
    """An emulator of Google's storage."""
    with stores.gs_server() as store:
        yield store


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> stores.Store:
    """Each kind of object store, and this process's environment set up for it."""
    found: stores.Store = request.getfixturevalue(f"{request.param}_store")
    stores.use(found, monkeypatch)
    return found
