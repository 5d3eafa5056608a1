"""Compiled functions: each for the one set of types that it says, compiled once and kept on disk.

Numba by itself compiles a function anew for every set of types that it meets: for an array that cannot be written beside one
that can, for a constant beside a number. That cost a quarter of the first minute. And it numbers the files of its cache by what
it saw there first, so that two processes that compile one function for different types write over each other, and a
third loads the wrong code. A function that has one set of types has one file, the same whoever writes it.

A kernel is compiled, or loaded, when it is first called. What a kernel is called with must be of its types or safely become
so: an array that can be written may be read, a Python int is an int64. Anything else is a TypeError.
"""

import functools
import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from expectations.imports import hidden

with hidden(
    "scipy", "colorama"
):  # it would look at the version of one, and colour what a template says that does not fit
    import numba
    from llvmlite.binding import ffi  # type: ignore[import-untyped]
    from numba.core import event, types
    from numba.core.caching import FunctionCache
    from numba.core.codegen import CPUCodeLibrary
    from numba.core.compiler import Flags
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.inline_closurecall import InlineWorker
    from numba.core.registry import CPUDispatcher
    from numba.core.runtime import rtsys
    from numba.core.targetconfig import ConfigStack
    from numba.core.types.functions import BaseFunction
    from numba.np import numpy_support

KERNELS: "list[Kernel]" = []  # all whose modules are imported
_SCALARS = {
    "bool": types.boolean,
    "i8": types.int8,
    "i16": types.int16,
    "i32": types.int32,
    "i64": types.int64,
    "u8": types.uint8,
    "u16": types.uint16,
    "u32": types.uint32,
    "u64": types.uint64,
    "f32": types.float32,
    "f64": types.float64,
}
_ARGUMENT = re.compile(r"(\w+)(?:\[(,*)\](!?))?")


class Kernel(CPUDispatcher):  # type: ignore[misc]
    """A function that Numba compiles for one set of types."""

    declared: tuple[types.Type, ...]
    was_compiled = False  # or is being compiled, in this process

    def enable_caching(self) -> None:
        """Keep it on disk."""
        self._cache = _OnDisk(self.py_func)

    def ready(self) -> None:
        """Compile it or load it, if that is not done."""
        if self._can_compile:
            with global_compiler_lock:
                if self._can_compile:  # no other thread was faster
                    # Hidden: what is for matrix products in compiled code, of which there are none.
                    with hidden("scipy.linalg"), _no_search_for_garbage():
                        self.compile(self.declared)
                    self.disable_compile()

    def typeof_pyval(self, val: Any) -> types.Type:
        """The type of an argument, once for each kind of array. Numba's own way imports NumPy's masked arrays to ask about."""
        if type(val) is not np.ndarray or val.dtype.kind not in "biuf" or not val.dtype.isnative:
            return super().typeof_pyval(val)
        layout, readonly = numpy_support.map_layout(val), not val.flags.writeable
        found = types.Array(numpy_support.from_dtype(val.dtype), val.ndim, layout, readonly=readonly)
        self._types_active_call.add(found)
        return found

    def _compile_for_args(self, *args: Any, **kws: Any) -> Any:
        self.ready()
        return self  # which Numba then calls: from now on it finds the one compiled function, or says that types do not match

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """What Numba asks for where another kernel calls this one."""
        self.ready()
        return super().get_call_template(args, kws)


# Makes a function part of every kernel that calls it: Numba copies its code there. It leaves nothing on disk, for called from
# Python it would be compiled for whatever types it meets.
inlined = numba.njit(nogil=True, inline="always")


def kernel(signature: str, allocates: bool = False) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a function a kernel.

    Args:
      signature: the types of its arguments, each `f64`, `u8[]` (a column that is read) or `u8[]!` (one that is written);
        `u32[,]` has two dimensions. Arrays are contiguous.
      allocates: it makes arrays of its own. Of another kernel no counting of references is compiled, which takes a third
        less time; one that makes an array all the same does not compile.
    """
    declared = tuple(map(_type, signature.split()))

    def compiled(function: Callable[..., Any]) -> Kernel:
        one = Kernel(
            function,
            targetoptions={
                "nopython": True,
                "nogil": True,
                "boundscheck": None,
                "no_cfunc_wrapper": True,
                "_nrt": allocates,
            },
        )
        one.enable_caching()
        one.declared = declared
        KERNELS.append(one)
        return one

    return compiled


@contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """The compiler makes hundreds of thousands of objects, of which few are garbage; to look for it was an eighth of its time."""
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.enable()


def _compare_quickly() -> None:
    """Let Numba compare two sets of flags by what was set: for each call that it types it listed them all, some 100,000 times."""
    compared, same = Flags.__eq__, hash(Flags())  # it is made of the names of the flags
    Flags.__eq__ = lambda one, other: (type(other) is Flags and one._values == other._values) or compared(one, other)
    Flags.__hash__ = lambda _: same


def _remember_types() -> None:
    """Let Numba remember what a built-in function gives for some types.

    At each `a + b` it asked dozens of templates anew, and wrote down why each did not fit: a sixth of all compiling.
    """
    ask = BaseFunction.get_call_type

    @functools.wraps(ask)
    def remembered(function: Any, context: Any, args: Any, named: Any) -> Any:
        if named:
            return ask(function, context, args, named)
        known = function.__dict__.setdefault("_known", {})
        key = context, args, ConfigStack.top_or_none()  # as Numba's own memory of what it compiled for a function
        if key not in known:
            known[key] = ask(function, context, args, named)
        return known[key]

    BaseFunction.get_call_type = remembered  # type: ignore[method-assign, assignment]


def _read_once() -> None:
    """Let Numba read an inlined function once, and not at each of its calls. It copies what it read before it changes that."""
    read = InlineWorker.run_untyped_passes
    known: dict[Any, Any] = {}

    @functools.wraps(read)
    def remembered(worker: Any, function: Any, enable_ssa: bool = False) -> Any:
        if enable_ssa:  # of a function of Numba's own
            return read(worker, function, enable_ssa)
        worker.flags.enable_ssa = enable_ssa  # as reading leaves it
        if function not in known:
            known[function] = read(worker, function)
        return known[function]

    InlineWorker.run_untyped_passes = remembered  # type: ignore[method-assign, assignment]


def _optimise_once() -> None:
    """Let LLVM pass over a kernel once, with all that it calls.

    Numba lets it pass over each function first, and twice over the whole, for the sake of counted references.
    """

    @functools.wraps(CPUCodeLibrary._optimize_functions)
    def laid_out(library: Any, module: Any) -> None:
        module.data_layout = library._codegen._data_layout

    @functools.wraps(CPUCodeLibrary._optimize_final_module)
    def optimise(library: Any) -> None:
        passes, built = library._codegen._module_pass_manager()
        passes.run(library._final_module, built)

    CPUCodeLibrary._optimize_functions = laid_out
    CPUCodeLibrary._optimize_final_module = optimise


_compare_quickly()
_remember_types()
_read_once()
_optimise_once()
# Each call of LLVM, thousands for a run, told whoever listens that it begins and ends: a quarter of loading kernels.
ffi.lib._lock._cblist.clear()


class _OnDisk(FunctionCache):  # type: ignore[misc]
    """Numba's cache of one function, loaded without what only compiling needs: hundreds of modules, a table of types."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What is on disk for these types, or None."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


class _Watch(event.Listener):  # type: ignore[misc]
    """Marks what is compiled and not loaded, when that begins."""

    def on_start(self, event: event.Event) -> None:
        found = event.data["dispatcher"]
        if isinstance(found, Kernel):
            found.was_compiled = True

    def on_end(self, event: event.Event) -> None:
        """Nothing: the mark stays."""


event.register("numba:compile", _Watch())


def n_compiled() -> tuple[int, int]:
    """How many kernels this process had to compile so far, and how many more it may have to: the imported ones not yet used."""
    unused = sum(not one.was_compiled and not one.overloads for one in KERNELS)
    return sum(one.was_compiled for one in KERNELS), unused


def _type(argument: str) -> types.Type:
    match = _ARGUMENT.fullmatch(argument)
    assert match, argument
    name, commas, written = match.groups()
    if commas is None:
        return _SCALARS[name]
    return types.Array(_SCALARS[name], len(commas) + 1, "C", readonly=not written)
