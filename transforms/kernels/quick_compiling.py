"""Numba while it compiles a kernel of ours: what it would type, read or optimise again is done once (docs/decisions/0085).

Only then: what another part of the process compiles is compiled as ever. Numba's names that are used here have no promise, and
`pyproject.toml` says of which versions they are.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from expectations.imports import hidden

with hidden("scipy", "colorama"):  # as in `compiled`
    from llvmlite.binding import ffi  # type: ignore[import-untyped]
    from numba.core.codegen import CPUCodeLibrary
    from numba.core.compiler import Flags
    from numba.core.inline_closurecall import InlineWorker
    from numba.core.targetconfig import ConfigStack
    from numba.core.types.functions import BaseFunction

_compared, _SAME = Flags.__eq__, hash(Flags())  # it is made of the names of the flags
_ask = BaseFunction.get_call_type
_read = InlineWorker.run_untyped_passes
_was_read: dict[Any, Any] = {}


@contextmanager
def quickly() -> Iterator[None]:
    """Let Numba compile or load as a kernel of ours needs it. Only under its own lock: no other thread compiles meanwhile."""
    theirs = [(owner, name, getattr(owner, name)) for owner, name, _ in _OURS]
    # Each call of LLVM, thousands for a run, tells whoever listens that it begins and ends: a quarter of loading kernels.
    listeners = ffi.lib._lock._cblist
    listening, looked = listeners[:], gc.isenabled()
    try:
        for owner, name, own in _OURS:
            setattr(owner, name, own)
        listeners.clear()
        gc.disable()  # the compiler makes hundreds of thousands of objects, of which few are garbage: to look was an eighth
        yield
    finally:
        if looked:
            gc.enable()
        listeners[:] = listening
        for owner, name, their in theirs:
            setattr(owner, name, their)


def _equal(one: Any, other: Any) -> bool:
    """Two sets of flags, by what was set: for each call that Numba types it lists them all, some 100,000 times."""
    return (type(other) is Flags and one._values == other._values) or _compared(one, other)


def _remembered(function: Any, context: Any, args: Any, named: Any) -> Any:
    """What a built-in function gives for some types.

    At each `a + b` Numba asks dozens of templates anew, and writes down why each does not fit: a sixth of all compiling.
    """
    if named:
        return _ask(function, context, args, named)
    known = function.__dict__.setdefault("_known", {})
    key = context, args, ConfigStack.top_or_none()  # as Numba's own memory of what it compiled for a function
    if key not in known:
        known[key] = _ask(function, context, args, named)
    return known[key]


def _read_once(worker: Any, function: Any, enable_ssa: bool = False) -> Any:
    """An inlined function, read once and not at each of its calls. Numba copies what it read before it changes that."""
    if enable_ssa:  # of a function of Numba's own
        return _read(worker, function, enable_ssa)
    worker.flags.enable_ssa = enable_ssa  # as reading leaves it
    if function not in _was_read:
        _was_read[function] = _read(worker, function)
    return _was_read[function]


def _lay_out(library: Any, module: Any) -> None:
    """No pass over each function: there is one over the whole."""
    module.data_layout = library._codegen._data_layout


def _optimise_once(library: Any) -> None:
    """One pass over a kernel, with all that it calls. Numba passes twice, for the sake of counted references."""
    passes, built = library._codegen._module_pass_manager()
    passes.run(library._final_module, built)


_OURS: tuple[tuple[type, str, Callable[..., Any]], ...] = (
    (Flags, "__eq__", _equal),
    (Flags, "__hash__", lambda _: _SAME),
    (BaseFunction, "get_call_type", _remembered),
    (InlineWorker, "run_untyped_passes", _read_once),
    (CPUCodeLibrary, "_optimize_functions", _lay_out),
    (CPUCodeLibrary, "_optimize_final_module", _optimise_once),
)
