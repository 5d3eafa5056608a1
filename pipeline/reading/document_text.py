"""The text of a document that a ledger names: from the release's shards, or from the input once more.

Whatever is found is the text that the run read: a document's id is a hash of its text.
"""

import contextlib
import os
import posixpath
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations import contracts
from expectations.loading import LoadError, read_text
from expectations.paths import is_local
from expectations.wording import message
from pipeline.recipe import Recipe, RecipeError, parse_recipe
from transforms.ingest.readers import read_split
from transforms.ingest.sources import InputError, Source, plan_splits
from transforms.release.read_release import ReleaseError, files_of, opened
from transforms.release.shards import DATA


class NoTextError(Exception):
    """A text cannot be found any more. The message is one line, without the document's id."""


def released_recipe(release: str) -> Recipe:
    """The recipe of a release as it was run; its paths are relative to the folder that the run was started in.

    Raises:
      RecipeError: there is none, or this version cannot read it.
    """
    path = posixpath.join(release, "recipe.yaml")
    try:
        return parse_recipe(read_text(path), path)
    except LoadError as error:
        raise RecipeError(str(error)) from None
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: cannot be read ({message(error)})") from None


def released_text(release: str, doc_id: str) -> str | None:
    """The text of a document from the release's shards; None if it is not in them, or they cannot be read."""
    with contextlib.suppress(ReleaseError, OSError):
        for path in files_of(release, DATA):
            with opened(path) as shard:
                if (found := _in_shard(shard, doc_id)) is not None:
                    return found
    return None


def _in_shard(shard: pq.ParquetFile, doc_id: str) -> str | None:
    for group in range(shard.num_row_groups):  # the ids alone, since the texts are a thousand times larger
        at = pc.index(shard.read_row_group(group, columns=["id"])["id"], doc_id).as_py()
        if at >= 0:
            return str(shard.read_row_group(group, columns=["text"])["text"][at].as_py())
    return None


def input_text(row: dict[str, Any], release: str, recipe: Recipe) -> str:
    """The text of a document from the file that it was read from.

    Args:
      row: of the ledger.
      release: folder of the release.
      recipe: of the release, as `released_recipe` gives it.

    Raises:
      NoTextError: the file is gone or cannot be read, or the document is not in it any more.
    """
    source = next((source for source in recipe.sources if source.name == row["source"]), None)
    if source is None:
        raise NoTextError(f"the release's recipe has no source {row['source']!r}")
    paths = places(row["path"], release, recipe)
    changed = None
    for path in paths:
        try:
            found = _in_file(path, _where_it_is(source, path, row["path"]), row["id"], recipe)
        except InputError:
            continue
        except (OSError, pa.ArrowException) as error:
            raise NoTextError(f"{path} cannot be read ({message(error)})") from None
        if found is not None:
            return found
        changed = path
    if changed:
        raise NoTextError(f"{changed} is not what the run read: this document is not in it")
    raise NoTextError(f"no such file: {' or '.join(paths)}")


def survivor_text(
    doc_id: str, release: str, recipe: Recipe, rows: Callable[[str, str], list[dict[str, Any]]]
) -> tuple[str, str]:
    """A survivor's text, and where it was found. A later stage may have dropped it: then it is in no shard.

    Args:
      doc_id: of the survivor.
      release: folder of the release or rejection.
      recipe: of the release.
      rows: its ledger's, by a column and a value.

    Raises:
      NoTextError: it is nowhere any more.
    """
    if (text := released_text(release, doc_id)) is not None:
        return text, "the release"
    for earlier in recipe.dedup.against:
        for folder in places(earlier, release, recipe):
            if (text := released_text(folder, doc_id)) is not None:
                return text, f"the earlier release {folder}"
    found = rows("id", doc_id)
    if not found and recipe.dedup.against:
        raise NoTextError(
            f"document {doc_id} is in none of the earlier releases {', '.join(recipe.dedup.against)} any more"
        )
    if not found:
        raise NoTextError(f"the ledger has no document {doc_id}; a part of it is missing")
    return input_text(found[0], release, recipe), "the input"


def places(path: str, release: str, recipe: Recipe) -> list[str]:
    """Where a path of the ledger may lead: from here, and from where the run was started, if the release is where it was."""
    if not is_local(path) or posixpath.isabs(path):
        return [path]
    here = os.path.abspath(release)
    for ending in (recipe.release, f"{recipe.release}.rejected"):
        tail = posixpath.join("/", recipe.output.path, ending)
        if here.endswith(tail):
            return list(dict.fromkeys([path, os.path.relpath(posixpath.join(here.removesuffix(tail), path))]))
    return [path]


def _where_it_is(source: Source, path: str, was: str) -> Source:
    """The source with its paths as they are from here, since a file's place below them may be part of what it says.

    Args:
      source: as it was run.
      path: where a file of it is now.
      was: where it was then.
    """
    at = os.path.abspath(path)
    if not is_local(path) or posixpath.isabs(was) or not at.endswith(f"/{was}"):
        return source
    return source.model_copy(
        update={"path": tuple(at.removesuffix(was) + posixpath.normpath(top) for top in source.paths)}
    )


def _in_file(path: str, source: Source, doc_id: str, recipe: Recipe) -> str | None:
    # The one file as the whole source: nothing else is listed or read.
    at = path if not is_local(path) or path.startswith("/") or isinstance(source.path, str) else os.path.abspath(path)
    alone = source.model_copy(update={"path": at})
    wanted = pa.scalar(bytes.fromhex(doc_id), contracts.HASH)
    for split in plan_splits((alone,), recipe.ingest.split_bytes):
        for documents, _ in read_split(split, source, recipe.ingest.limits):
            at_row = pc.index(documents["doc_id"], wanted).as_py()
            if at_row >= 0:
                return str(documents["text"][at_row].as_py())
    return None
