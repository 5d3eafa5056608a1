"""Templates as Jinja compiled them, kept beside them as Python keeps its modules: compiling those of a report takes longer than
all else that publishes a small release.
"""

import contextlib
import functools
import hashlib
import os
import pathlib
import sys

import jinja2

PACKAGE = pathlib.Path(__file__).parents[1]


class KeptTemplates(jinja2.FileSystemBytecodeCache):
    """What is kept is of one template and of all our code, for Jinja computes constants when it compiles."""

    def __init__(self) -> None:
        super().__init__(str(PACKAGE / "templates" / "__pycache__"))

    def get_source_checksum(self, source: str) -> str:
        """A digest of a template and of what it may call."""
        return super().get_source_checksum(_code() + source)

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """What was kept of a template, if anything can be read."""
        with contextlib.suppress(OSError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Keep a template, unless Python keeps nothing either, or the folder cannot be written."""
        if not sys.dont_write_bytecode:
            with contextlib.suppress(OSError):
                os.makedirs(self.directory, exist_ok=True)
                super().dump_bytecode(bucket)


@functools.cache
def _code() -> str:
    digest = hashlib.sha256(jinja2.__version__.encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
