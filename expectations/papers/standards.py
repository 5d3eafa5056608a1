"""A release in the formats of other tools, by their names: plain JSON, which their own tools read.

What a release does not say is left out, or has the standard's own word for it (SPDX: `noAssertion`).
"""

from collections.abc import Callable
from typing import Any

from expectations.papers.croissant import croissant
from expectations.papers.facts import StandardInput
from expectations.papers.openlineage import openlineage
from expectations.papers.prov import prov
from expectations.papers.spdx import spdx

STANDARDS: dict[str, Callable[[StandardInput], Any]] = {
    "croissant": croissant,
    "openlineage": openlineage,
    "prov": prov,
    "spdx": spdx,
}
