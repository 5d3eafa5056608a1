"""Compiled templates on disk: to compile those of a report takes longer than to render it."""

import contextlib
import os
import pathlib

import jinja2


class CompiledTemplates(jinja2.FileSystemBytecodeCache):
    """They are not needed: what cannot be read is compiled, what cannot be written is not kept."""

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Read one, if it is whole."""
        try:
            super().load_bytecode(bucket)
        except Exception:
            bucket.reset()

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Write one, if there is room."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def compiled_templates() -> CompiledTemplates | None:
    """Beside the templates, as Python keeps its own code, where that can be written."""
    folder = pathlib.Path(__file__).parents[1] / "templates" / "__pycache__"
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        if os.access(folder, os.W_OK):
            return CompiledTemplates(str(folder))
    return None
