"""Versions of what is installed."""

import functools
import importlib.metadata
import re


@functools.cache
def version(package: str) -> str:
    """What `importlib.metadata.version` says, which reads all that a package says of itself as if it were a letter.

    Raises:
      importlib.metadata.PackageNotFoundError: it is not installed.
    """
    found = importlib.metadata.distribution(package)
    said = re.search(r"^Version: *(\S+)", found.read_text("METADATA") or "", re.MULTILINE)
    return said[1] if said else found.version
