"""`clean`: delete what killed runs left behind, and nothing else. What carries no mark of ours is never touched."""

import os
import posixpath

from expectations.paths import is_local
from pipeline.places import STAGING, STORE
from pipeline.recipe import RecipeError
from pipeline.swap import LEASE, OF_SIGNALS, OF_STAGING, SIGNALS_LEASE, attempts, refuse_sent, settle, tidy
from transforms.engine import files, folders
from transforms.engine.files import PARTIAL
from transforms.engine.folders import FolderError, Mark


def clean_output(output: str, signals: bool) -> str:
    """Delete attempts and unfinished signals of runs that are over, and put right a swap that was cut off; say what was done.

    What a run that is at work has there stays.

    Args:
      output: folder of releases.
      signals: also delete the signal store.

    Raises:
      RecipeError: there is no such folder.
      OSError: something cannot be deleted.
    """
    output = output.rstrip("/") or "/"
    if not (os.path.isdir(output) if is_local(output) else files.exists(output)):
        raise RecipeError(f"{output}: no such folder; give the recipe's output.path")
    lines, staging = [], posixpath.join(output, STAGING)
    if _exists(staging):
        try:
            folders.claim(staging, Mark("staging"), OF_STAGING)
        except FolderError as error:
            lines.append(f"left {staging}: {error}")
    lines += [line for name, release in attempts(output) for line in _attempt(output, name, release)]
    lines += _signals(output, signals)
    tidy(output)
    return "\n".join(lines) or f"{output}: nothing to clean"


def _exists(path: str) -> bool:
    return os.path.lexists(path) if is_local(path) else files.exists(path)


def _attempt(output: str, name: str, release: str) -> list[str]:
    staging = posixpath.join(output, STAGING)
    path = posixpath.join(staging, name)
    try:
        with folders.held(posixpath.join(staging, release + LEASE), f"release {release}", forget=True):
            if not _exists(path):  # the run that was at work has ended
                return []
            refuse_sent(path)
            settle(output, path)
    except FolderError as error:
        return [f"left {path}: {error}"]
    return [f"deleted {path}"]


def _signals(output: str, everything: bool) -> list[str]:
    store, staging = posixpath.join(output, STORE), posixpath.join(output, STAGING)
    if not _exists(store):
        return []
    try:
        folders.claim(store, Mark("signals"), OF_SIGNALS)
    except FolderError as error:
        return [f"left {store}: {error}"] if everything else []
    partial = sorted(name for name in folders.names_in(store) if name.endswith(PARTIAL))
    if not everything and not partial:
        return []
    try:
        folders.claim(staging, Mark("staging"), OF_STAGING)  # the lock lies there
        with folders.held(posixpath.join(staging, SIGNALS_LEASE), store, forget=True):
            if everything:
                folders.delete(store, store)
                return [f"deleted {store}"]
            for name in partial:
                folders.delete(posixpath.join(store, name), store)
            return [f"deleted {posixpath.join(store, name)}" for name in partial]
    except FolderError as error:
        return [f"left {store}: {error}"]
