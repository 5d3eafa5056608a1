"""The command line: where it begins and how it ends. `console/` has the commands.

Exit codes: 0 passed; 1 the gate failed; 2 the recipe or the command line is wrong; 3 the input is unusable; 4 the run
broke; 5 its job is still at work. A warning alone never fails.
"""

import contextlib
import gc
import os
import sys
import traceback

import typer

from expectations.errors import BrokenError, UserError
from expectations.imports import lean
from expectations.judge import gx_process
from pipeline import heap, log
from pipeline.console import asking, care, detectors, giving, judging, looking, making  # noqa: F401 (each adds its commands)
from pipeline.console.application import BROKE, INTERRUPTED, WRONG, app, complain, err


def main() -> None:
    """Run a command; say what is wrong in one line, never in a trace. What is not a verdict never ends in its exit codes."""
    heap.keep_one()
    # A command begins by importing a million objects that stay, and a fifth of that time went into looking for garbage
    # among them. A run sets it back (`execution.execute`).
    gc.set_threshold(1_000_000, 50, 100)
    lean()
    code = BROKE
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows less than UTF-8 sees escapes, and not a trace
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _code_of_command()
        log.SAID.info("exit code %d", code)
        gx_process.stop()  # nobody asked it if the command went wrong
        if "transforms.engine.cache_folder" in sys.modules and (
            said := sys.modules["transforms.engine.cache_folder"].note
        ):
            complain(f"note: {said}")
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # the reader of a pipe may be gone, and has read what it wanted
        pass
    except OSError as error:  # what was said is lost, on a full disk perhaps: nobody may take it for a pass
        code = BROKE
        with contextlib.suppress(OSError):
            os.write(2, f"error: the output cannot be written: {error.strerror}\n".encode())
    except BaseException:  # noqa: S110 (a second Ctrl-C; the code is what it is)
        pass
    # Not sys.exit: threads that Beam leaves behind may be inside C++ while the interpreter shuts down, and then the process
    # aborts (seen once in some hundred runs) after all its work is done and published.
    os._exit(code)


def _code_of_command() -> int:
    """Run the command. An exit code is its own only if it says so; whatever else ends it is a run that broke."""
    if "" in sys.argv[1:]:  # which would be this folder to one command and / to another
        complain("error: a word of the command is empty; was a variable of the shell not set?")
        return WRONG
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        complain("Stopped.")
        return BROKE
    except BrokenPipeError:
        return BROKE
    except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
        if isinstance(error, SystemExit) and _completes():
            return error.code if isinstance(error.code, int) else 0
        what = "Stopped." if isinstance(error, KeyboardInterrupt) else f"error: a library ended the command ({error!r})"
        complain(what)
        return BROKE
    except Exception as error:
        if os.environ.get("LOWBACKGROUND_TRACE"):
            traceback.print_exc()
            return BROKE
        if hasattr(error, "show") and hasattr(
            error, "exit_code"
        ):  # the command line library's: the command line is wrong
            error.show()
            return int(error.exit_code)
        code = _explained(error)
        if code == BROKE:
            log.SAID.error("where it broke", exc_info=error)
        return code
    if code == INTERRUPTED:
        complain("Stopped.")
        return BROKE
    return code if isinstance(code, int) else 0


def _completes() -> bool:
    """Whether all that is asked for is completion in a shell, which the command line library does and ends with an exit."""
    asked = any(word in ("--install-completion", "--show-completion") for word in sys.argv[1:2])
    return asked or any(name.endswith("_COMPLETE") and name.startswith("_") for name in os.environ)


def _explained(error: Exception) -> int:
    code = _exit_code_of(error)
    said = str(error).replace("\n", "\\n")  # names from elsewhere may hold line breaks; a message is one line
    if code is not None:
        err.print(f"error: {said}", style="red")
        return code
    if isinstance(error, OSError) and error.strerror:  # of the machine: a full disk, a right that is missing
        complain(f"error: {error.strerror}" + (f": {error.filename}" if error.filename else ""))
        return BROKE
    if isinstance(error, MemoryError):
        complain("error: there is not enough memory; fewer `runner.workers` need less")
        return BROKE
    err.print(f"error: {type(error).__name__}: {said}", style="red")
    err.print("This is a bug. Please report it with the output of the same command after LOWBACKGROUND_TRACE=1.")
    return BROKE


def _exit_code_of(error: Exception) -> int | None:
    """The exit code of an error that a user can mend; None: it is ours."""
    if isinstance(error, UserError):
        return WRONG
    return BROKE if isinstance(error, BrokenError) else None


if __name__ == "__main__":
    main()
