"""What the engines say while a command works: nowhere by default, on stderr with `--verbose`, in a file with `--log-file`.

Lines are hostile and may hold secrets: both are mended here, as for everything else that is shown.
"""

import logging
import os
import sys
import time

from expectations.escaping import terminal
from pipeline.redaction import redact_message

MARK = "# a log of lowbackground, a run after another; times are in UTC\n"  # what begins so may be added to
SAID = logging.getLogger("lowbackground")  # what a command says beside its answer; the screen has it already
SAID.propagate = False
SAID.addHandler(logging.NullHandler())  # else what has no log would be said twice


class _Harmless(logging.Formatter):
    """Lines without secrets and without anything that a terminal would obey; times in UTC."""

    converter = staticmethod(time.gmtime)  # type: ignore[assignment]  # as the logging cookbook does it

    def format(self, record: logging.LogRecord) -> str:
        return terminal(redact_message(super().format(record)))


class _Screen(logging.Handler):
    """Standard error as it is when a line comes: a live line of progress stands in for it while one is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


class _LogFile(logging.FileHandler):
    """A file that is added to. It is made with its first line, so that a command that is refused leaves none."""

    broken = False

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=True)

    def _open(self):  # type: ignore[no-untyped-def]  # as its parent
        file = super()._open()
        if not os.fstat(file.fileno()).st_size:
            file.write(MARK)
        return file

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (its parent's)
        """A log that cannot be written is said once, and ends nothing."""
        if not self.broken:
            self.broken = True
            sys.stderr.write(f"note: --log-file {terminal(self.baseFilename)}: {sys.exc_info()[1]}; it is not whole\n")


def start(verbose: bool, path: str | None) -> None:
    """From now on, show log lines on stderr, or add them to a file with their times, or both."""
    handlers: list[logging.Handler] = []
    if verbose:
        handlers.append(_Screen())
        handlers[-1].setFormatter(_Harmless("%(levelname)-7s %(name)s: %(message)s"))
    if path is not None:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        handlers.append(_LogFile(path))
        form = "%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s"
        handlers[-1].setFormatter(_Harmless(form, "%Y-%m-%dT%H:%M:%S"))
        SAID.addHandler(handlers[-1])
        SAID.setLevel(logging.INFO)
    if handlers:
        root = logging.getLogger()
        root.handlers[:] = handlers  # without the one that a library made when it was imported
        root.setLevel(logging.INFO)
        logging.captureWarnings(True)


def refuse() -> None:
    """Write to no file after all: it must not be written."""
    for logger in (logging.getLogger(), SAID):
        logger.handlers[:] = [one for one in logger.handlers if not isinstance(one, _LogFile)]


def path() -> str | None:
    """The file that lines go to; None: there is none."""
    return next((one.baseFilename for one in SAID.handlers if isinstance(one, _LogFile)), None)


def is_wanted() -> bool:
    """Whether anybody reads what the engines say."""
    return any(isinstance(one, _LogFile | _Screen) for one in logging.getLogger().handlers)


def is_log(found: bytes) -> bool:
    """Whether a file is a log of ours, which may be added to."""
    return found.startswith(MARK.encode())
