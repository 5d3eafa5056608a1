"""What Beam finds out about a function, a DoFn or its options is found out once (docs/decisions/0045).

For every step of a graph, when it is built, when it is written down and in every bundle, Beam asks Python for the signature of
every method of the step's DoFn, for their types and for their source, and makes a parser of command lines to look at one option.
In a run of a few documents that was half of the time. None of these answers changes while a process lasts.
"""

import bz2
import dis
import functools
import inspect
import itertools
import types
import weakref
from collections.abc import Callable
from typing import Any

from apache_beam.internal import cloudpickle_pickler, pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.transforms import core, userstate
from apache_beam.typehints.decorators import IOTypeHints

Answers = weakref.WeakKeyDictionary[Any, Any]
_views: "weakref.WeakKeyDictionary[PipelineOptions, dict[type, PipelineOptions]]" = weakref.WeakKeyDictionary()


def remember() -> None:
    """Let Beam remember in this process. It may be called again."""
    core.get_function_args_defaults = _once(core.get_function_args_defaults, _function, _copied)
    core._check_fn_use_yield_and_return = _once(_yields_and_returns, _code)  # for which it reads the source
    userstate.get_dofn_specs = _once(userstate.get_dofn_specs, _kind)
    if not hasattr(IOTypeHints.from_callable, "answers"):
        of_methods = _once(IOTypeHints.from_callable, _function)
        IOTypeHints.from_callable = lambda function: None if _says_no_types(function) else of_methods(function)
        IOTypeHints.from_callable.answers = of_methods.answers  # type: ignore[attr-defined]
    if not hasattr(PipelineOptions.view_as, "answers"):
        find = PipelineOptions.view_as
        PipelineOptions.view_as = lambda options, cls: _view(find, options, cls)
        PipelineOptions.view_as.answers = _views
        # They are named when a view is made, and were sorted again for each look at one.
        PipelineOptions._visible_option_list = _names(PipelineOptions._visible_option_list)
    # A step's arguments are copied by pickle, and are mostly none.
    pickler.roundtrip = _copy
    # For the smallest steps too it asked for the memory that millions of bytes want, eight megabytes each time.
    cloudpickle_pickler.bz2 = _Bz2
    # The local worker's cache of side inputs, which it shares with the runner: it saves no reading, since they are in this
    # process already, and weighs each by a walk over every module that is imported.
    worker_handlers.STATE_CACHE_SIZE_MB = 0
    # Every type that is said keeps the stack it was said on, as text. Our graph is typed, which a test says.
    IOTypeHints._make_origin = lambda *_, **__: []


def _once(find: Any, key: Callable[[Any], Any], given: Callable[[Any], Any] = lambda answer: answer) -> Any:
    """A function of one argument that remembers its answers by `key`, but for arguments without one."""
    if hasattr(find, "answers"):
        return find
    answers: Answers = weakref.WeakKeyDictionary()

    @functools.wraps(find)
    def remembered(asked: Any) -> Any:
        what = key(asked)
        if what is None:
            return find(asked)
        if what not in answers:
            answers[what] = find(asked)
        return given(answers[what])

    remembered.answers = answers  # type: ignore[attr-defined]
    return remembered


def _function(method: Any) -> types.FunctionType | None:
    """A method's function, whatever it is bound to."""
    is_method = isinstance(method, types.MethodType) and isinstance(method.__func__, types.FunctionType)
    return method.__func__ if is_method else None


def _code(function: Any) -> types.CodeType | None:
    """What was made of a function's source, whatever the function is bound to or closes over."""
    function = getattr(function, "__func__", function)
    return function.__code__ if isinstance(function, types.FunctionType) else None


def _yields_and_returns(process: Any) -> bool:
    """Whether a method yields elements and also returns something, which nobody would see."""
    code = _code(process)
    if code is None or not code.co_flags & inspect.CO_GENERATOR:
        return False
    steps = [*dis.get_instructions(code)]
    returned = [before.argval for before, step in itertools.pairwise(steps) if step.opname == "RETURN_VALUE"]
    returned += [step.argval for step in steps if step.opname == "RETURN_CONST"]  # Python 3.12 and on
    return any(value is not None for value in returned)


def _kind(dofn: core.DoFn) -> Any:
    """What a DoFn's methods are those of: its class, or itself where it calls a function."""
    return dofn if isinstance(dofn, core.CallableWrapperDoFn) else type(dofn)


def _says_no_types(function: Any) -> bool:
    """Whether this is a lambda, or another function that says no types by itself and wraps none that does."""
    return isinstance(function, types.FunctionType) and not (function.__annotations__ or vars(function))


def _copied(found: tuple[list[str], list[Any]]) -> tuple[list[str], list[Any]]:
    """Names and defaults of a method's arguments, to change."""
    names, defaults = found
    return [*names], [*defaults]


def _names(find: Callable[[PipelineOptions], list[str]]) -> Callable[[PipelineOptions], list[str]]:
    """The names of some options, once."""
    found: weakref.WeakKeyDictionary[PipelineOptions, list[str]] = weakref.WeakKeyDictionary()

    def names(options: PipelineOptions) -> list[str]:
        if options not in found:
            found[options] = find(options)
        return found[options]

    return names


def _copy(value: Any) -> Any:
    """What comes out of pickle: of nothing, nothing."""
    return pickler.desired_pickle_lib.roundtrip(value) if value or type(value) not in (tuple, dict) else type(value)()


class _Bz2:
    """The module, as Beam uses it."""

    decompress = staticmethod(bz2.decompress)

    @staticmethod
    def compress(data: bytes, compresslevel: int) -> bytes:
        """In blocks of 100 KB, whatever is asked for: what is smaller comes out as short."""
        return bz2.compress(data, 1)


def _view(find: Any, options: Any, cls: type) -> Any:
    """Some options under the names of a class. All views of some options share their values, so one of each will do."""
    views = _views.setdefault(options, {})
    if cls not in views:
        views[cls] = find(options, cls)
    return views[cls]
