"""Secrets in a recipe: kept out of what is written and printed.

`runner.options` are handed to a runner as they are, and people put passwords into them. What an option's name says is
secret is left out of the recipe that a release keeps, of the report, of `check` and of messages. Better is not to write it
down at all: `--name=${VARIABLE}` takes it from the environment when the run starts.
"""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

HIDDEN = "***"
FEWEST = 6  # characters of a value that is looked for in messages
_NAME = r"[\w.-]*(?:secret|token|passw|pwd|credential|api_?key|[_.-]key|auth|sas\b)[\w.-]*"
_OPTION = re.compile(rf"^(-{{0,2}}{_NAME}=)(.+)$", re.IGNORECASE | re.DOTALL)
_ALONE = re.compile(rf"^-{{1,2}}{_NAME}$", re.IGNORECASE)
_IN_JSON = re.compile(rf'("{_NAME}"\s*:\s*")((?:[^"\\]|\\.)*)(")', re.IGNORECASE)
_IN_URL = re.compile(r"(://[^/\s:@]*:)([^/\s@]+)(@)")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_known: set[str] = set()


def redact_options(options: Sequence[str]) -> tuple[str, ...]:
    """Options of a runner without the values of those whose names say that they are secret."""
    shown: list[str] = []
    for option in options:
        is_value = bool(shown) and _ALONE.match(shown[-1]) is not None and not option.startswith("-")
        shown.append(_hidden(option) if is_value else _redacted(option))
    return tuple(shown)


def _redacted(option: str) -> str:
    if match := _OPTION.match(option):
        return match[1] + _hidden(match[2])
    return redact_address(_IN_JSON.sub(lambda match: match[1] + _hidden(match[2]) + match[3], option))


def redact_address(text: str) -> str:
    """An address (`s3://name:password@bucket`) without its password."""
    return _IN_URL.sub(lambda match: match[1] + _hidden(match[2]) + match[3], text)


def without_passwords(value: Any) -> Any:
    """Lists, mappings and text with `redact_address` done to every text in them."""
    if isinstance(value, dict):
        return {key: without_passwords(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_passwords(inner) for inner in value]
    return redact_address(value) if isinstance(value, str) else value


def _hidden(value: str) -> str:
    """What stands for a value; one that is only taken from the environment is no secret yet."""
    if _VARIABLE.fullmatch(value) or value == HIDDEN:
        return value
    if len(value) >= FEWEST:
        _known.add(value)
    return HIDDEN


def redact_message(text: str) -> str:
    """A message without any secret that was found in a recipe of this process."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def from_environment(options: Iterable[str]) -> list[str]:
    """Options with each `${VARIABLE}` taken from the environment.

    Raises:
      KeyError: a variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ[match[1]]
        if len(found) >= FEWEST:
            _known.add(found)
        return found

    return [_VARIABLE.sub(value, option) for option in options]
