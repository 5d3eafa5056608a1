"""`push`: a release onto a hub of data sets as one new revision, held against the manifest once it is there."""

import dataclasses
import os
import posixpath
import re
from typing import Any

from rich.console import Console

from expectations.errors import BrokenError
from expectations.paths import is_local
from expectations.wording import message, plural
from pipeline.commands.verify import ATTRIBUTES, refuse_unless_good
from pipeline.reading.pushed import note_pushed, pushed_path, read_pushed
from pipeline.recipe import RecipeError
from transforms.dedup.earlier_releases import MANIFEST
from transforms.release.read_release import read_manifest
from transforms.survey.tokenizers import EXTRA

SCHEME = "hf://datasets/"
TOKEN = "HF_TOKEN"  # noqa: S105 (the name of it)


class PushError(BrokenError):
    """The hub did not take a release. One line: what it said."""


@dataclasses.dataclass(frozen=True)
class Pushed:
    """What a hub has now.

    Attributes:
      repository: as "org/name".
      revision: the commit.
      files, bytes: of the release, as the hub lists them.
      gone: files of the revision before that this release does not have; that revision still has them.
    """

    repository: str
    revision: str
    files: int
    bytes: int
    gone: int


def push_release(release: str, target: str, console: Console, private: bool = True) -> Pushed:
    """Put a release onto the hub as one commit on `main`, its card first of all; earlier revisions stay as they are.

    The token is `HF_TOKEN` of the environment, the hub `HF_ENDPOINT` if that is set.

    Args:
      release: folder of the release, of this machine.
      target: hf://datasets/org/name; it is made if it is not there.
      console: where progress goes.
      private: whether a repository that is made is private.

    Raises:
      RecipeError: the package or the token is missing, the target is no repository, or the release is not whole.
      ReleaseError: there is no release, or it is damaged.
      PushError: the hub refused it, or does not list all of it afterwards.
    """
    name = re.fullmatch(re.escape(SCHEME) + r"([\w.-]+/[\w.-]+)", target)
    if name is None:
        raise RecipeError(f"push {target}: give {SCHEME}org/name")
    if not is_local(release):
        raise RecipeError(f"push {release}: only a folder of this machine; copy the release here first")
    manifest, _ = read_manifest(release)
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise RecipeError(f"push {target}: set the environment variable {TOKEN} to a token that may write there")
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise RecipeError(f"push {target}: needs the package huggingface_hub; {EXTRA}") from None
    refuse_unless_good(release, console)
    if console.quiet or not console.is_terminal:
        disable_progress_bars()
    read_pushed(release)  # before anything is sent: it is added to afterwards
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token)
    try:
        pushed = _push(api, release, name[1], manifest, private)
    except PushError:
        raise
    except Exception as error:  # of the hub's client, of its HTTP library, of the network
        raise PushError(f"push {target}: {message(error).replace(token, '...')}") from None
    try:
        note_pushed(release, pushed.repository, pushed.revision)
    except OSError as error:
        said = f"{target} has {release} as revision {pushed.revision}, but that cannot be noted"
        raise PushError(f"{said}: {pushed_path(release)}: {message(error)}") from None
    return pushed


def _push(api: Any, release: str, name: str, manifest: dict[str, Any], private: bool) -> Pushed:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    sha256 = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
    sizes = {path: os.path.getsize(posixpath.join(release, path)) for path in (MANIFEST, *sha256)}
    api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
    there = [path for path in api.list_repo_files(name, repo_type="dataset") if path != ATTRIBUTES]
    gone = sorted(set(there) - set(sizes))
    adds = [CommitOperationAdd(path, posixpath.join(release, path)) for path in sorted(sizes)]
    commit = api.create_commit(
        name,
        [*adds, *(CommitOperationDelete(path) for path in gone)],
        commit_message=f"Release {manifest['release']}",
        repo_type="dataset",
    )
    revision = str(commit.oid)
    tree = api.list_repo_tree(name, repo_type="dataset", revision=revision, recursive=True)
    found = {one.path: one for one in tree if hasattr(one, "size") and one.path != ATTRIBUTES}
    for path in sorted(sizes.keys() | found.keys()):
        there_bytes = found[path].size if path in found else None
        same = not (path in found and path in sha256 and found[path].lfs) or found[path].lfs.sha256 == sha256[path]
        if there_bytes != sizes.get(path) or not same:
            what = "other bytes" if there_bytes == sizes.get(path) else f"{there_bytes} bytes"
            raise PushError(
                f"push {name}: revision {revision} has {path} with {what}, and the release with {sizes.get(path)}; push again"
            )
    return Pushed(name, revision, len(found), sum(sizes.values()), len(gone))


def pushed_text(pushed: Pushed, release: str) -> str:
    """What was done, for a person."""
    more = f"; not in it any more: {plural(pushed.gone, 'file')} of the revision before" if pushed.gone else ""
    return (
        f"{SCHEME}{pushed.repository} has {release} as revision {pushed.revision}: {plural(pushed.files, 'file')}, "
        f"{plural(pushed.bytes, 'byte')}, as the manifest says{more}"
    )
