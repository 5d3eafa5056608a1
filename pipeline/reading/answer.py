"""Where a command's answer goes: to standard output, or to a file with the text on the screen."""

import sys
from collections.abc import Mapping
from typing import TypeVar

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
    if name not in formats:
        raise RecipeError(f"{what} {name}: {nearest(name, list(formats))}")
    return formats[name]


def deliver(answer: str, path: str | None, text: str) -> None:
    """Print `answer`; or write it to `path`, which `outputs.check_output` let pass, and print `text`.

    Raises:
      RecipeError: the file cannot be written.
    """
    if path is None:
        sys.stdout.write(terminal(redact_message(answer)))
        return
    save(answer, path)
    sys.stdout.write(terminal(f"{text}written to {path}\n"))
