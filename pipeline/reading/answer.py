"""Where a command's answer goes: to standard output, or to a file with the text on the screen."""

import sys
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import orjson

from expectations.escaping import terminal
from expectations.loading import nearest
from pipeline.reading.outputs import save
from pipeline.recipe import RecipeError
from pipeline.redaction import redact_message

Form = TypeVar("Form")


def chosen(name: str, formats: Mapping[str, Form], what: str = "--format") -> Form:
    """The format of that name; `what` is how a user said it.

    Raises:
      RecipeError: there is none.
    """
    refuse_unknown(name, formats, what)
    return formats[name]


def refuse_unknown(name: str, known: Collection[str], what: str = "--format") -> None:
    """Refuse a word that is none of those that are known, with the nearest one; `what` is how a user said it.

    Raises:
      RecipeError: it is none of them.
    """
    if name not in known:
        raise RecipeError(f"{what} {name}: {nearest(name, known)}")


def for_programs(answer: Any) -> str:
    """An answer for programs."""
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode() + "\n"


def deliver(answer: str, path: str | None = None, text: str = "") -> None:
    """Print `answer`; or write it to `path`, which `outputs.check_output` let pass, and print `text`.

    Raises:
      RecipeError: the file cannot be written.
    """
    if path is None:
        sys.stdout.write(terminal(redact_message(answer if answer.endswith("\n") else f"{answer}\n")))
        return
    save(answer, path)
    sys.stdout.write(terminal(f"{text}written to {path}\n"))
