"""Great Expectations in a process of its own, started early so that nobody waits for its import.

The import costs about two seconds of a core and holds the interpreter's lock while it lasts, so on a thread it would slow
down whatever runs beside it. `start` begins it; the next `validate` asks that process, or does the work here when there is
none. This module imports next to nothing, so that `start` can be the first thing that a command does.
"""

import copy
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

from expectations.errors import BrokenError

if TYPE_CHECKING:
    import pyarrow as pa

    from expectations.suite.suite import Suite

_lock = threading.Lock()
_waiting: list[subprocess.Popen[bytes]] = []


class EngineError(BrokenError):
    """The process of Great Expectations ended without an answer. The message is one line."""


def command() -> list[str]:
    """What is started."""
    return [sys.executable, "-P", "-m", "expectations.judge.gx_process"]


def start() -> None:
    """Start importing Great Expectations in a process that ends after one question, or when this process does."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with _lock:
        if not _waiting:
            _waiting.append(subprocess.Popen(command(), **pipes))  # type: ignore[call-overload]  # noqa: S603 (our own module)


def validate(metrics: "pa.Table", suite: "Suite") -> list[dict[str, Any]]:
    """What `gx.validate` says of a metrics table (`contracts.METRICS`) and a resolved suite.

    Raises:
      EngineError: the process that was started ended without an answer.
    """
    with _lock:
        process = _waiting.pop() if _waiting else None
    if process is None:
        from expectations.judge import gx  # late: it is slow to import

        return gx.validate(metrics.to_pandas(), suite)
    answer, errors = process.communicate(_question(metrics, suite))
    if process.returncode:
        last = (errors.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise EngineError(f"Great Expectations ended with code {process.returncode}: {last}; run again")
    return json.loads(answer)  # type: ignore[no-any-return]


def stop() -> None:
    """End a process that nobody will ask."""
    with _lock:
        while _waiting:
            process = _waiting.pop()
            process.kill()
            process.communicate()


def _question(metrics: "pa.Table", suite: "Suite") -> bytes:
    """Columns as `to_pandas` makes them, so that who answers needs no Arrow, which is a quarter of its memory."""
    columns = {name: metrics[name].to_numpy() for name in metrics.schema.names}
    return pickle.dumps((columns, suite.model_dump_json()))


def rehearse() -> None:
    """Judge something here, since much is imported only then."""
    import pandas

    from expectations.judge import gx

    about = {"metric": "documents", "stage": "after", "slice_kind": "overall", "slice": None, "bound": "value"}
    asked = {"min": 1, "max": None, "min_documents": 0, "unsure": "fail", "severity": "critical"}
    nothing = pandas.DataFrame(columns=[*about], dtype=object)
    gx.validate(nothing, _read(json.dumps({"expectations": [about | asked]})))


def _read(suite: str) -> "Suite":
    """A suite that was written as JSON, for whoever only looks at it."""
    return json.loads(suite, object_hook=lambda fields: types.SimpleNamespace(**fields))  # type: ignore[no-any-return]


def copy_fields_quickly() -> None:
    """Let Pydantic 1 copy the fields of a model by their slots: it copies 4,000 while Great Expectations is imported.

    `copy.deepcopy` does the same by way of pickle's protocol, which was a third of the import.
    """
    from pydantic.v1.fields import FieldInfo, ModelField

    as_they_are = {type(None), bool, int, str, type, types.FunctionType}

    def copied(field: Any, memo: dict[int, Any]) -> Any:
        new = memo[id(field)] = object.__new__(type(field))
        for name in field.__slots__:
            if hasattr(field, name):
                value = getattr(field, name)
                setattr(new, name, value if type(value) in as_they_are else copy.deepcopy(value, memo))
        return new

    FieldInfo.__deepcopy__ = ModelField.__deepcopy__ = copied  # type: ignore[attr-defined]


def _answer() -> None:
    """The process: import, rehearse, wait for the question, answer it on what was standard output."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # so that nothing a library prints mixes with the answer
    gc.disable()  # it ends after one question, and nearly all that it makes stays until then
    from expectations.imports import LATE_OF_GX, OF_GX, hidden, late

    with hidden(*OF_GX):
        with late(*LATE_OF_GX):
            import pandas

            from expectations.judge import gx

            copy_fields_quickly()
            rehearse()
        question = sys.stdin.buffer.read()
        if question:  # else the other side is gone
            columns, suite = pickle.loads(question)  # noqa: S301 (of the process that started this one)
            results = gx.validate(pandas.DataFrame(columns), _read(suite))
            out.write(json.dumps(results, allow_nan=False).encode())
    out.close()
    os._exit(0)  # leaving the ordinary way takes longer than the answer


if __name__ == "__main__":
    _answer()
