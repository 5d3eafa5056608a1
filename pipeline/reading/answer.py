"""Where a command's answer goes: to standard output, or to a file with the text on the screen."""

import sys
from collections.abc import Mapping
from typing import TypeVar

from expectations.suite.suite import nearest
from pipeline.recipe import RecipeError

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
    """Print `answer`; or write it to `path`, and print `text`.

    Raises:
      RecipeError: the file cannot be written.
    """
    if path is None:
        sys.stdout.write(answer)
        return
    save(answer, path)
    sys.stdout.write(text + f"written to {path}\n")


def save(answer: str, path: str) -> None:
    """Write `answer` to a file, as UTF-8.

    Raises:
      RecipeError: it cannot be written.
    """
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(answer)
    except OSError as error:
        raise RecipeError(f"cannot write {path}: {error.strerror or error}") from error
