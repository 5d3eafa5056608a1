"""Licences as SPDX expressions, and which of them a recipe allows.

What a row or its source say is read by the `license-expression` package, SPDX's own list in it; names that data sets use and
SPDX does not ("Apache 2.0", an address at creativecommons.org) are read too. What is not understood, and nothing, is `unknown`,
which lists may name like any other licence. Of a choice (`MIT OR GPL-3.0-only`) one allowed licence is enough, of a sum
(`AND`) all must be.
"""

import fnmatch
import functools
import re
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, field_validator

from expectations.loading import Strict, nearest

UNKNOWN = "unknown"
_NOTHING = ("", "unknown", "none", "null", "n/a", "na", "other", "not specified", "unspecified", "noassertion")
_CC_ADDRESS = re.compile(
    r"^(?:https?://)?(?:www\.)?creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)/([0-9.]+)(?:/.*)?$"
)
_CC_NAME = re.compile(r"^(?:creative commons |cc)[ -]?(by(?:[ -](?:nc|nd|sa))*|0)[ -]?v?([0-9]\.[0-9])?$")
_NAMES = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "mit license": "MIT",
    "the mit license": "MIT",
    "bsd": "BSD-3-Clause",
    "odc-by": "ODC-By-1.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
    "gfdl": "GFDL-1.3-or-later",
    "psf": "PSF-2.0",
    "open government licence v3.0": "OGL-UK-3.0",
    "creative commons zero": "CC0-1.0",
}


_lock = threading.Lock()  # the package builds its tables when it first parses, and threads would see half of them


@functools.cache
def _spdx() -> Any:
    from license_expression import get_spdx_licensing  # late: most runs name no licence

    return get_spdx_licensing()


def _parsed(text: str) -> Any:
    """An expression of SPDX's licences; None if it is none."""
    from license_expression import ExpressionError, ParseError

    with _lock:
        try:
            return _spdx().parse(text, validate=True, strict=True)
        except (ExpressionError, ParseError):
            return None


@functools.lru_cache(maxsize=1 << 16)
def normalised(said: str) -> str:
    """What is said of a licence as an SPDX expression; `UNKNOWN` where that says nothing."""
    text = " ".join(said.split())[:1000]
    low = text.lower()
    if low in _NOTHING:
        return UNKNOWN
    if page := _CC_ADDRESS.match(low):
        zero = page[1] == "publicdomain" and page[2] == "zero"
        text = f"CC0-{page[3]}" if zero else f"CC-{page[2]}-{page[3]}"
    elif name := _CC_NAME.match(low):
        text = f"CC{name[1]}-1.0" if name[1] == "0" else f"CC-{name[1].replace(' ', '-')}-{name[2] or '4.0'}"
    found = _parsed(_NAMES.get(low, text))
    return UNKNOWN if found is None else str(found)


def normalise(said: pa.StringArray) -> pa.StringArray:
    """A column of what is said, as SPDX expressions; `UNKNOWN` for nothing. string[n], no nulls."""
    different = said.fill_null("").dictionary_encode()
    words = pa.array([normalised(one) for one in different.dictionary.to_pylist()], pa.string())
    return words.take(different.indices)


class LicenceConfig(Strict):
    """Which licences may be in a release."""

    allow: tuple[str, ...] = Field(
        (), description="SPDX licences, `*` for any part, or unknown; none but these; empty: all that are not denied"
    )
    deny: tuple[str, ...] = Field((), description="likewise; none of these")

    @field_validator("allow", "deny")
    @classmethod
    def _are_licences(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one if one == UNKNOWN or "*" in one else _known(one) for one in names)

    @property
    def asks(self) -> bool:
        """Whether anything is asked."""
        return bool(self.allow or self.deny)

    def of(self, licences: pa.StringArray) -> npt.NDArray[np.bool_]:
        """Which documents may not be in the release, by their licences in SPDX's form. bool[n]."""
        different = licences.dictionary_encode()
        wrong = np.array([not allowed(one, self) for one in different.dictionary.to_pylist()] or [False])
        return wrong[different.indices.to_numpy()]


def _known(name: str) -> str:
    found = normalised(name)
    if found == UNKNOWN:
        raise ValueError(f"{name!r} is no SPDX licence; {nearest(name, [UNKNOWN, *_spdx().known_symbols])}")
    if getattr(_parsed(found), "operator", None) is not None:
        raise ValueError(f"{name!r} is an expression; list its licences one by one")
    return found


@functools.lru_cache(maxsize=1 << 16)
def allowed(licence: str, config: LicenceConfig) -> bool:
    """Whether a licence, or a choice or sum of licences, may be in a release."""
    if licence == UNKNOWN:
        return _may(licence, config)
    return _holds(_parsed(licence), config)


def _holds(expression: Any, config: LicenceConfig) -> bool:
    parts = getattr(expression, "args", ())
    if parts and expression.operator.strip() in ("OR", "AND"):
        each = [_holds(part, config) for part in parts]
        return any(each) if expression.operator.strip() == "OR" else all(each)
    names = [str(expression)]
    base = getattr(expression, "license_symbol", None)  # of a licence with an exception
    return _may(names[0], config, None if base is None else str(base))


def _may(name: str, config: LicenceConfig, base: str | None = None) -> bool:
    """An exception only adds to what a licence allows: it is denied and allowed with it, or by its own name."""
    names = [name, *([base] if base else [])]

    def listed(patterns: tuple[str, ...]) -> bool:
        return any(fnmatch.fnmatchcase(one.lower(), pattern.lower()) for one in names for pattern in patterns)

    return not listed(config.deny) and (not config.allow or listed(config.allow))
