"""Great Expectations in a process of its own says what it says in ours, and leaves no process behind."""

import importlib.util
import subprocess
import sys
import time

import psutil
import pyarrow as pa
import pytest

from expectations import contracts
from expectations.imports import LATE_OF_GX, OF_GX
from expectations.judge import gx, gx_process
from expectations.suite.suite import load_suite
from tests.workers import has_ended, seen

REAL = gx_process.command  # before a fixture of every test replaces it


@pytest.fixture(autouse=True)
def _as_a_user_starts_it(monkeypatch):
    """And not by the Python that other tests have ready. It leaves nothing."""
    monkeypatch.setattr(gx_process, "command", REAL)
    yield
    gx_process.stop()


def started():
    return [process for process, command in seen(psutil.Process.cmdline) if gx_process.__name__ in command]


def metrics(*values):
    names = contracts.METRICS.schema.names
    rows = [
        dict.fromkeys(names) | {"metric": "documents", "stage": "after", "slice_kind": "source", "slice": f"s{i}"}
        | {"value": value, "unit": "documents", "n": 10}
        for i, value in enumerate(values)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=contracts.METRICS.schema)


def suite(**limits):
    asked = {"expect": "metric_to_be_between", "metric": "documents", "slice_kind": "source", **limits}
    return load_suite({"expectations": [asked, asked | {"max": 1e9}]})


@pytest.mark.parametrize("values", [(), (10.0, 2.5), (float("nan"), 3.0), (float("inf"),)])
def test_the_other_process_says_the_same(values):
    gx_process.start()
    assert gx_process.validate(metrics(*values), suite(min=3)) == gx.validate(
        metrics(*values).to_pandas(), suite(min=3)
    )


def test_it_says_the_same_of_every_kind_of_question():
    base = {"expect": "metric_to_be_between", "metric": "documents", "slice_kind": "source", "min": 3}
    more = [{"bound": "upper"}, {"slice": "s0"}, {"slice": "s/*"}, {"min_documents": 20}, {"unsure": "inconclusive"}]
    more += [{"severity": "warning"}, {"max": 9, "bound": "lower", "unsure": "inconclusive"}, {"metric": "tokens"}]
    asked = load_suite({"expectations": [base | kind for kind in more]})
    gx_process.start()
    said = gx_process.validate(metrics(10.0, 2.5), asked)
    assert said == gx.validate(metrics(10.0, 2.5).to_pandas(), asked)
    assert {one["status"] for one in said} == {"pass", "fail", "error", "inconclusive"}


def test_it_imports_nothing_that_a_suite_does_not_ask_for():
    code = "import os, sys; from expectations.judge import gx_process; "
    code += "os._exit = lambda code: print(*sys.modules, file=sys.stderr); gx_process._answer()"
    question = gx_process._question(metrics(10.0), suite(min=3))
    done = subprocess.run([sys.executable, "-c", code], input=question, capture_output=True, check=True)
    imported = {*done.stderr.decode().split()}
    assert "great_expectations" in imported
    assert not {*LATE_OF_GX, *OF_GX, "expectations.loading"} & imported


def test_what_it_does_not_import_is_there():
    assert all(importlib.util.find_spec(name) for name in LATE_OF_GX)  # or its name has changed and it is imported


def test_without_a_process_the_work_is_done_here():
    assert gx_process.validate(metrics(10.0), suite(min=3))[0]["status"] == "pass"
    assert not started()


def test_it_is_started_once_and_asked_once():
    gx_process.start()
    gx_process.start()
    assert len(started()) == 1
    gx_process.validate(metrics(1.0), suite(min=3))
    assert not started()


def test_a_process_that_dies_is_an_error_in_one_line():
    gx_process.start()
    started()[0].kill()
    with pytest.raises(gx_process.EngineError, match=r"ended with code -9.*run again"):
        gx_process.validate(metrics(1.0), suite(min=3))


def test_it_ends_with_whoever_started_it():
    start = "import os; from expectations.judge import gx_process; gx_process.start()"
    code = f"{start}; print(gx_process._waiting[0].pid, flush=True); os._exit(1)"
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout)
    limit = time.monotonic() + 120
    while not has_ended(child):
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_it_goes_without_what_only_others_need():
    heavy = "('pyarrow', 'scipy', 'altair', 'botocore', 'numba', 'apache_beam')"
    code = f"import os, sys; os._exit = lambda code: print(*[name for name in {heavy} if name in sys.modules], 'end')"
    code += "; from expectations.judge.gx_process import _answer; _answer()"
    command = [sys.executable, "-P", "-c", code]
    said = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert said.stderr.split()[-1:] == [b"end"], said
