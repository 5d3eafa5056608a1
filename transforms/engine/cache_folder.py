"""Where compiled code is kept: Numba compiles a kernel once and reads it back in every later process.

Beside the code, as Numba does by itself; where that cannot be written (an install of the system's, a hardened container), in
the user's folder of caches; where there is none, in a folder of this user's alone for temporary files. What is in it is run,
so a folder that somebody else may write to is never used.
"""

import os
import pathlib
import stat
import sys
import tempfile

from expectations.errors import BrokenError
from expectations.versions import version

VARIABLE = "NUMBA_CACHE_DIR"
BESIDE = pathlib.Path(__file__).parents[1] / "kernels" / "text"  # stands for every folder of the package


class CacheError(BrokenError):
    """Compiled code can be kept nowhere. The message is one line."""


note = ""  # what a user should know of the folder that was chosen, when it is new


def choose() -> None:
    """Choose a folder and tell Numba, before the first kernel is imported. Other processes may do the same meanwhile.

    Raises:
      CacheError: no folder can be written.
    """
    asked = os.environ.get(VARIABLE)
    if _takes_files(asked) if asked else _takes_files(str(BESIDE / "__pycache__")):
        return
    folder = _users() or _temporary()
    os.environ[VARIABLE] = folder  # for the processes that this one starts
    if "numba" in sys.modules:  # it read the variable when it was imported
        sys.modules["numba"].config.CACHE_DIR = folder


def _name() -> str:
    return f"numba-{version('numba')}-{sys.implementation.cache_tag}"


def _users() -> str | None:
    """A folder among the user's caches; None: the user has no home that can be written."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if not os.path.isabs(base):  # there is no home
        return None
    folder = os.path.join(base, "lowbackground", _name())
    new = not os.path.isdir(folder)
    return _said(folder, new) if _takes_files(folder) else None


def _temporary() -> str:
    """A folder of this user's alone, the same in every run, unless somebody else made it first."""
    for base in (*_temporary_folders(), "/dev/shm"):  # noqa: S108 (memory, where nothing else can be written)
        folder = os.path.join(base, f"lowbackground-{os.getuid() if hasattr(os, 'getuid') else 'user'}-{_name()}")
        try:
            os.mkdir(folder, 0o700)
            return _said(folder, new=True)
        except FileExistsError:
            if _is_mine(folder) and _takes_files(folder):
                return folder
            return _said(tempfile.mkdtemp(prefix="lowbackground-", dir=base), new=True)
        except OSError:
            continue
    raise CacheError(
        f"no folder can be written to keep compiled code in; name one in {VARIABLE}, or one for temporary files in TMPDIR"
    )


def _temporary_folders() -> list[str]:
    try:
        return [tempfile.gettempdir()]
    except OSError:
        return []


def _is_mine(folder: str) -> bool:
    found = os.lstat(folder)
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return stat.S_ISDIR(found.st_mode) and mine and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _takes_files(folder: str) -> bool:
    """Whether files can be made in a folder. It is tried: rights alone do not say it."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _said(folder: str, new: bool) -> str:
    global note  # noqa: PLW0603 (one for the process, as what it speaks of)
    if new:
        note = (
            f"compiled code is kept in {folder}, since the package cannot be written; {VARIABLE} names another folder"
        )
    return folder
