"""What the launcher does around a run: it holds the release's name, and in the end puts the new folder in place of the old one.

The graph leaves a whole release, manifest included, in the attempt's folder. Then, in this order, each step on the disk before
the next one begins:

1. the new folder becomes `<attempt>/new`;
2. what is in its place goes to `<attempt>/old/<name>`: nothing is deleted, it is renamed;
3. `<attempt>/new` takes its place;
4. `<attempt>/old` becomes `<attempt>/gone`, and the attempt's folder is deleted.

A launcher that is killed leaves its attempt behind. `settle` ends it, in the next run of that name or in `clean`: where `new` is
still there, step 3 was not reached, and what is in `old` goes back; where it is not, the release is whole and in its place.
Object stores have no renames of folders. There, from the moment `<attempt>/publishing` is written:

1. the manifest of what is in its place goes, and with it the release; then all else of it;
2. the new objects are copied, by the store; what is there then is compared with what was built;
3. the manifest is copied, and with it there is a release again.

So where there is a manifest, there is what it counts and nothing else. What was cut off there `settle` takes to its end.
"""

import contextlib
import os
import posixpath
import re
import uuid
from collections.abc import Iterator

from expectations import storage
from expectations.paths import is_local
from pipeline.assembly import WHAT, WITHDRAWAL, Attempt, done_path
from pipeline.places import REJECTED, STAGING, STORE, target
from pipeline.recipe import RecipeError
from transforms.dedup.earlier_releases import FOLDER as SIGNATURES
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine import files, folders
from transforms.engine.files import sync_folder
from transforms.engine.folders import MARK, FolderError, HeldError, Mark
from transforms.engine.threads import spread
from transforms.measures.reference import FILE as SKETCHES
from transforms.release.read_release import VERDICT, ReleaseError, read_manifest
from transforms.release.shards import DATA

FORMAT = "lowbackground.release/1"
NEW, OLD, GONE = "new", "old", "gone"
SENT_JOB = "job"  # below an attempt's folder: what is known of a job that was sent and left alone
PUBLISHING = "publishing"  # in an object store: what is being put in its place
LEASE = ".lease"
SIGNALS_LEASE = ".signals" + LEASE  # no release has a name like this
OF_SIGNALS = r"[0-9a-f]{32}(\.[a-z]+)?\.parquet(\.[0-9a-f]{32}\.partial)?"
_ATTEMPT = re.compile(r"(.+)-[0-9a-f]{32}(\.done)?")
OF_STAGING = rf"{_ATTEMPT.pattern}|.*{re.escape(LEASE)}"
ONLY_OF_A_RELEASE = frozenset({MANIFEST, SKETCHES, WITHDRAWAL, "README.md"})
_PARTS = re.compile(
    r"data/train-\d+-of-\d+\.parquet|signatures/part-\d+-of-\d+\.parquet|ledger/ledger-\d+-of-\d+\.parquet"
    r"|tombstones/part-\d+-of-\d+\.parquet|quarantine/quarantine-\d+\.parquet"
)


@contextlib.contextmanager
def releasing(publication: Attempt, replace: bool) -> Iterator[None]:
    """Hold a release's name; end what killed runs of it left; make the attempt's folder, and delete it in the end.

    Raises:
      RecipeError: the release is there and is not to be replaced, or its place is not ours.
      FolderError: somebody else is at work on this release, or a folder is not ours.
      OSError: a folder cannot be made or deleted.
    """
    output, attempt = publication.output, publication.staging
    staging = posixpath.join(output, STAGING)
    folders.claim(staging, Mark("staging"), OF_STAGING)
    with _lease(output, publication.release):
        folders.claim(staging, Mark("staging"), OF_STAGING)  # again: nobody tidies it away any more
        for name, release in attempts(output):
            if release == publication.release:
                refuse_sent(left := posixpath.join(staging, name))
                settle(output, left)
        refuse_place(output, publication.release, replace)
        folders.mark(attempt, Mark("attempt", publication.release))
        try:
            yield
        finally:
            if not any(
                files.exists(posixpath.join(attempt, name)) for name in (PUBLISHING, SENT_JOB)
            ):  # a later one ends it
                settle(output, attempt)
    tidy(output)


@contextlib.contextmanager
def resuming(output: str, release: str) -> Iterator[None]:
    """Hold a release's name for whoever ends a run that another command began.

    Raises:
      FolderError: somebody else is at work on this release.
    """
    with _lease(output, release):
        yield
    tidy(output)


def was_sent(attempt: str) -> bool:
    """Whether an attempt is the work of a job that goes on without the command that sent it."""
    return files.exists(posixpath.join(attempt, SENT_JOB))


def refuse_sent(attempt: str) -> None:
    """Refuse to end an attempt that a job is at work on.

    Raises:
      FolderError: what to do.
    """
    if was_sent(attempt):
        raise FolderError(
            f"a job was sent that makes this release; `lowbackground status {attempt}` says how far it is, and ends it with "
            "--cancel"
        )


@contextlib.contextmanager
def store_in_use(output: str) -> Iterator[None]:
    """Keep `clean` from the signal store for as long as the block lasts.

    Raises:
      FolderError: the folder of that name is not ours, or `clean` is at work on it.
    """
    folders.claim(posixpath.join(output, STORE), Mark("signals"), OF_SIGNALS)
    folders.claim(posixpath.join(output, STAGING), Mark("staging"), OF_STAGING)  # the lock lies there
    with folders.held(posixpath.join(output, STAGING, SIGNALS_LEASE), f"{posixpath.join(output, STORE)}", shared=True):
        folders.claim(posixpath.join(output, STORE), Mark("signals"), OF_SIGNALS)
        yield
    tidy(output)


@contextlib.contextmanager
def planning(output: str) -> Iterator[str]:
    """The store in use, and the folder of an attempt that releases nothing, for as long as the block lasts.

    Raises:
      FolderError, OSError: as `releasing`.
    """
    name = f".plan-{uuid.uuid4().hex}"  # no release has a name like this
    attempt = posixpath.join(output, STAGING, f"{name}-{uuid.uuid4().hex}")
    with store_in_use(output), _lease(output, name):
        folders.mark(attempt, Mark("attempt", name))
        try:
            yield attempt
        finally:
            settle(output, attempt)


def _lease(output: str, release: str) -> contextlib.AbstractContextManager[None]:
    return folders.held(lease_of(output, release), f"release {release} in {output}", forget=True)


def lease_of(output: str, release: str) -> str:
    """The path of what is held while a run is at work on a release."""
    return posixpath.join(output, STAGING, release + LEASE)


def refuse_place(output: str, release: str, replace: bool) -> None:
    """Refuse to publish where something is that is not to be replaced, or not ours to replace.

    Raises:
      RecipeError: what is there, and what to do.
    """
    folder = target(output, release, passed=True)
    elsewhere = "choose another name (--set release=NAME)"
    if _is_there(folder):
        if not replace and _is_whole(folder):
            raise RecipeError(f"{folder} exists; {elsewhere} or say --replace")
        if why := not_ours(folder, Mark("release", release)):
            raise RecipeError(f"{folder} is there, and is not replaced: {why}; move it away, or {elsewhere}")
        if not replace:
            raise RecipeError(
                f"{folder} is a damaged release ({MANIFEST} cannot be read); {elsewhere} or say --replace"
            )
    rejection = target(output, release, passed=False)
    if _is_there(rejection) and (why := not_ours(rejection, Mark("rejection", release))):
        raise RecipeError(f"{rejection} is there, where a rejection would go: {why}; move it away, or {elsewhere}")


def _is_there(folder: str) -> bool:
    """Whether anything is there; a folder without anything in it is nothing."""
    if not is_local(folder):
        return files.exists(folder)
    return _exists(folder) and (os.path.islink(folder) or not os.path.isdir(folder) or bool(os.listdir(folder)))


def _exists(path: str) -> bool:
    """Whether there is such a name. Unlike `os.path.exists` it does not take a disk that cannot be read for a no."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _is_whole(folder: str) -> bool:
    try:
        read_manifest(folder)
    except ReleaseError:
        return False
    return not os.path.islink(folder)


def not_ours(folder: str, what: Mark) -> str | None:
    """Why a folder may not be replaced; None if it may: it is this release, and holds nothing else.

    A release from before there were marks is known by its manifest, a rejection by its verdict and recipe.
    """
    if os.path.islink(folder):
        return f"it is a link to {os.path.realpath(folder)}, and nothing is deleted across a link"
    if is_local(folder) and not os.path.isdir(folder):
        return "it is a file"
    there = files.below(folder)
    listed: set[str] | None = None
    found = folders.mark_of(folder) or _unmarked(folder, there)
    if found is None:
        return "it does not carry lowbackground's mark"
    if found != what:
        return f"its mark says that it is the {found.kind} {found.release}"
    with contextlib.suppress(ReleaseError):
        if found.kind == "release":  # a manifest in a rejection is none of ours
            listed = {MANIFEST, *(str(entry["path"]) for entry in read_manifest(folder)[0]["files"])}
    for name in there:
        known = name in listed if listed is not None else is_part(name, found.kind == "rejection")
        if name != MARK and not known:
            return f"{posixpath.join(folder, name)} is no file of it"
        if os.path.islink(posixpath.join(folder, name)):
            return f"{posixpath.join(folder, name)} is a link"
    return None


def is_part(name: str, of_a_rejection: bool = False) -> bool:
    """Whether a file of a release, or of a rejection, may have this name. What only a release has is somebody else's there."""
    if of_a_rejection and (name in ONLY_OF_A_RELEASE or name.startswith((f"{DATA}/", f"{SIGNATURES}/"))):
        return False
    return name in WHAT or _PARTS.fullmatch(name) is not None


def _unmarked(folder: str, there: list[str]) -> Mark | None:
    """What a folder of a version that wrote no marks is."""
    with contextlib.suppress(ReleaseError):
        manifest, _ = read_manifest(folder)
        return Mark("release", manifest["release"]) if manifest.get("format") == FORMAT else None
    ending = posixpath.basename(folder).removesuffix(REJECTED)
    has_data = any(name.startswith("data/") for name in there)
    return Mark("rejection", ending) if {"verdict.json", "recipe.yaml"} <= set(there) and not has_data else None


def swap(publication: Attempt, replace: bool) -> str:
    """Put what the graph left in its place. Returns the folder.

    Raises:
      RecipeError: something is in its place that was not there before the run.
      FolderError: what the graph left is gone.
      OSError: a step failed; `settle` puts back what was there.
    """
    attempt = publication.staging
    built = posixpath.join(attempt, posixpath.basename(files.read(done_path(publication)).decode()))
    found = folders.mark_of(built)
    if found is None:
        raise FolderError(f"{posixpath.join(built, MARK)} cannot be read any more, so nothing is released; run again")
    passed = found.kind == "release"
    place = target(publication.output, publication.release, passed)
    refuse_place(publication.output, publication.release, replace)
    if not is_local(place):
        files.write(posixpath.join(attempt, PUBLISHING), built.encode())
        _publish_objects(publication.output, attempt)
        return place
    new, old = posixpath.join(attempt, NEW), posixpath.join(attempt, OLD)
    _sync_below(built)
    os.mkdir(old)
    _move(built, new)
    if passed and _is_there(place):
        _move(place, posixpath.join(old, posixpath.basename(place)))
    rejection = target(publication.output, publication.release, passed=False)
    if _is_there(rejection):
        _move(rejection, posixpath.join(old, posixpath.basename(rejection)))
    _move(new, place)
    return place


def _publish_objects(output: str, attempt: str) -> None:
    """In an object store: put what was built in its place, or go on with that. Nobody else is at work on this release."""
    built = posixpath.join(attempt, posixpath.basename(files.read(posixpath.join(attempt, PUBLISHING)).decode()))
    what = folders.mark_of(built)
    if what is None:
        raise FolderError(f"{posixpath.join(built, MARK)} cannot be read any more, so nothing is released; run again")
    passed = what.kind == "release"
    place, last = target(output, what.release, passed), MANIFEST if passed else VERDICT
    refuse_place(output, what.release, replace=True)
    folders.ensure_held(lease_of(output, what.release))
    folders.mark(place, what)
    folders.delete(posixpath.join(place, last), place)
    folders.delete(place, place)
    folders.mark(place, what)
    built_there = {one.path.removeprefix(built): one.size for one in storage.below(built)}
    names = [name for name in built_there if name not in (f"/{MARK}", f"/{last}")]
    list(spread(lambda name: storage.copy(built + name, place + name), iter(names)))
    there = {one.path.removeprefix(place): one.size for one in storage.below(place)}
    if differ := sorted((there | {f"/{last}": built_there[f"/{last}"]}).items() ^ built_there.items()):
        raise FolderError(f"{place}{differ[0][0]} is not what was written there, so nothing is released; run again")
    folders.ensure_held(lease_of(output, what.release))
    storage.copy(posixpath.join(built, last), posixpath.join(place, last))
    rejection = target(output, what.release, passed=False)
    if passed and files.exists(rejection):
        folders.delete(rejection, rejection)
    folders.delete(posixpath.join(attempt, PUBLISHING), attempt)


def settle(output: str, attempt: str) -> None:
    """End an attempt that nobody is at work on: put back what a swap that stopped half way had moved, and delete the rest.

    In an object store nothing can be put back: there the swap goes on to its end.

    Raises:
      FolderError: what is to go back has another folder in its place.
      OSError: it cannot be moved or deleted; a later call goes on.
    """
    staging = posixpath.join(output, STAGING)
    if is_local(output):
        new, old = posixpath.join(attempt, NEW), posixpath.join(attempt, OLD)
        if _exists(old):
            for name in sorted(os.listdir(old)) if _exists(new) else ():
                back = posixpath.join(output, name)
                if _is_there(back):
                    raise FolderError(
                        f"{back} is there, and so is what it was before a run that was killed, {posixpath.join(old, name)}; "
                        "move one of the two away"
                    )
                _move(posixpath.join(old, name), back)
            _move(old, posixpath.join(attempt, GONE))
    elif files.exists(posixpath.join(attempt, PUBLISHING)):
        _publish_objects(output, attempt)
    folders.delete(attempt, staging)


def attempts(output: str) -> list[tuple[str, str]]:
    """What is left of attempts in the staging folder, by name, and the release of each. None, if the folder is not ours."""
    staging = posixpath.join(output, STAGING)
    if folders.mark_of(staging) is None:
        return []
    found = ((name, _ATTEMPT.fullmatch(name)) for name in folders.names_in(staging))
    return [(name, match[1]) for name, match in found if match]


def tidy(output: str) -> None:
    """Delete the staging folder if nothing is in it any more, and nobody is at work."""
    staging = posixpath.join(output, STAGING)
    if folders.mark_of(staging) is None:
        return
    for name in folders.names_in(staging):
        if name.endswith(LEASE):
            lease = posixpath.join(staging, name)
            with contextlib.suppress(HeldError), folders.held(lease, name, forget=True, patience=0):
                pass
    if all(name.startswith(MARK) for name in folders.names_in(staging)):
        try:
            folders.delete(staging, staging)
        except OSError:  # somebody came in meanwhile
            folders.mark(staging, Mark("staging"))


def _move(source: str, destination: str) -> None:
    """Rename a folder, and have it on the disk."""
    os.rename(source, destination)
    sync_folder(posixpath.dirname(destination) or ".")
    sync_folder(posixpath.dirname(source) or ".")


def _sync_below(folder: str) -> None:
    """Put all files and folders below a folder on the disk, before it takes another's place."""
    for at, _, names in os.walk(folder, topdown=False):
        for name in names:
            with open(posixpath.join(at, name), "rb") as file:
                os.fsync(file.fileno())
        sync_folder(at)
