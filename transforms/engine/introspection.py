"""What Beam finds out about a function or about its options is found out once (docs/decisions/0045).

For every step of a graph, when it is built, when it is written down and in every bundle, Beam asks Python for the signature of
every method of the step's DoFn, and makes a parser of command lines to look at one option. In a run of a few documents that
was half of the time. Neither answer changes while a process lasts.
"""

import functools
import types
import weakref
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core

_signatures: "weakref.WeakKeyDictionary[types.FunctionType, tuple[list[str], list[Any]]]" = weakref.WeakKeyDictionary()
_views: "weakref.WeakKeyDictionary[PipelineOptions, dict[type, PipelineOptions]]" = weakref.WeakKeyDictionary()


def remember() -> None:
    """Let Beam remember both in this process. It may be called again."""
    core.get_function_args_defaults = _once(core.get_function_args_defaults, _arguments)
    PipelineOptions.view_as = _once(PipelineOptions.view_as, _view)


def _once(function: Any, remembering: Any) -> Any:
    if hasattr(function, "remembers"):
        return function

    @functools.wraps(function)
    def remembered(*args: Any) -> Any:
        return remembering(function, *args)

    remembered.remembers = True  # type: ignore[attr-defined]
    return remembered


def _arguments(find: Any, function: Any) -> tuple[list[str], list[Any]]:
    """Names and defaults of a method's arguments: those of its function, whatever it is bound to."""
    if not (isinstance(function, types.MethodType) and isinstance(function.__func__, types.FunctionType)):
        return find(function)  # type: ignore[no-any-return]
    if function.__func__ not in _signatures:
        _signatures[function.__func__] = find(function)
    names, defaults = _signatures[function.__func__]
    return [*names], [*defaults]


def _view(find: Any, options: Any, cls: type) -> Any:
    """Some options under the names of a class. All views of some options share their values, so one of each will do."""
    views = _views.setdefault(options, {})
    if cls not in views:
        views[cls] = find(options, cls)
    return views[cls]
