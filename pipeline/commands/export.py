"""`export`: a release in a format that a trainer reads, counted before and after; one rename puts it in its place."""

import contextlib
import dataclasses
import os
import posixpath
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from expectations.paths import open_for_reading
from expectations.wording import plural
from pipeline.commands.verify import refuse_unless_good
from pipeline.reading.answer import for_programs, refuse_unknown
from pipeline.reading.checksums import CARD
from pipeline.reading.outputs import check_folder
from pipeline.recipe import RecipeError
from transforms.engine import files, folders
from transforms.exports.delta import write_delta
from transforms.exports.writers import WRITERS, ExportError, ExportOptions
from transforms.kernels.text.columns import ranges
from transforms.release.read_release import Released, is_there, open_release, read_manifest, reading
from transforms.release.shards import DATA
from transforms.survey.tokenizers import TokenizerModel, load_tokenizer

DELTA = "delta"
FORMATS = (*WRITERS, DELTA)
NEEDS_TOKENIZER, TAKES_TOKENIZER = ("megatron",), ("megatron", "mds")
HAS_COLUMNS = ("jsonl.zst", "webdataset", "mds")
ABOUT = "export.json"
OPEN = ".partial"
NEW = "new"
ROWS_WITH_TEXT = 256


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the command line says of an export.

    Attributes:
      format: one of `FORMATS`.
      tokenizer: path of a `tokenizer.json`, or `tiktoken:NAME`.
      eod: the token that ends a document, in words.
      text: what the text is called.
      columns: that go along; empty: all that the format can hold.
      repeat: whether a document is written as often as it counts.
      shard_bytes: about how much text one file holds.
    """

    format: str
    tokenizer: str | None = None
    eod: str | None = None
    text: str = "text"
    columns: tuple[str, ...] = ()
    repeat: bool = False
    shard_bytes: int = 500_000_000


def export_release(release: str, out: str, asked: Asked, console: Console) -> dict[str, Any]:
    """Write a release in another format into a new folder.

    Args:
      release: folder of the release.
      out: the folder to make; it must not be there, or be empty.
      asked: in which format, and how.
      console: where progress goes.

    Returns:
      What `export.json` says: release, format, documents and tokens, tokenizer, files.

    Raises:
      RecipeError, ExportError, TokenizerError: what is asked for does not go together, or cannot be had.
      ReleaseError: the release is damaged.
    """
    _refuse(asked)
    check_folder(out, [release], force=False, mark="", option="OUT")
    manifest, digest = read_manifest(release)
    refuse_unless_good(release, console)
    tokenizer = load_tokenizer(asked.tokenizer) if asked.tokenizer else None
    about: dict[str, Any] = {
        "format": "lowbackground.export/1",
        "release": manifest["release"],
        "manifest_sha256": digest,
        "written_as": asked.format,
    }
    with _new_folder(out) as folder:
        if asked.format == DELTA:
            about |= write_delta(release, manifest["release"], digest, folder)
        else:
            about |= _documents(release, manifest, folder, asked, tokenizer)
        if is_there(release, CARD):
            with reading(posixpath.join(release, CARD)), open_for_reading(posixpath.join(release, CARD)) as card:
                files.write(posixpath.join(folder, CARD), card.read())
        files.write(posixpath.join(folder, ABOUT), for_programs(about).encode())
    return about


def export_text(about: dict[str, Any], out: str) -> str:
    """What was written, for a person."""
    if about["written_as"] == DELTA:
        tables = "".join(f"\n  {name:<8} {rows:>12,} rows" for name, rows in about["tables"].items())
        return f"{out} is of {about['release']}, as Delta tables{tables}"
    lines = [
        f"{out} is {about['release']}, as {about['written_as']}",
        f"  documents  {about['documents']:>14,}  the manifest says {about['expected']:,}",
    ]
    if about["tokenizer"]:
        of = about["tokenizer"]
        lines.append(f"  tokens     {about['tokens']:>14,}  of {of['name']} (sha256 {of['sha256'][:12]})")
    lines.append(f"  words      {about['n_tokens']:>14,}  the manifest says {about['expected_n_tokens']:,}")
    if about["count_more"]:
        lines.append(
            f"  {plural(about['count_more'], 'document')} written once that count more than once (`copies`); "
            "--repeat writes them so"
        )
    return "\n".join(lines)


def _refuse(asked: Asked) -> None:
    refuse_unknown(asked.format, FORMATS)
    if asked.format in NEEDS_TOKENIZER and not asked.tokenizer:
        raise RecipeError(
            f"--format {asked.format} holds tokens: say --tokenizer with a tokenizer.json, or tiktoken:NAME"
        )
    if asked.tokenizer and asked.format not in TAKES_TOKENIZER:
        raise RecipeError(f"--tokenizer: {asked.format} holds texts; leave it out, or export as megatron or mds")
    if asked.eod is not None and asked.format != "megatron":
        raise RecipeError(f"--eod: only megatron joins documents, so {asked.format} has no use for it; leave it out")
    if asked.format not in HAS_COLUMNS and (asked.columns or asked.text != "text"):
        raise RecipeError(f"--column and --text: {asked.format} has no such columns; leave them out")
    if asked.format == DELTA and asked.repeat:
        raise RecipeError("--repeat: delta holds ledger and metrics, and no documents; leave it out")


@contextlib.contextmanager
def _new_folder(out: str) -> Iterator[str]:
    """A folder to write into that takes the place of `out` when the block ends, and goes if the block fails."""
    out = os.path.abspath(out)
    staging = f"{out}.{uuid.uuid4().hex}{OPEN}"
    folders.mark(staging, folders.Mark("attempt"))
    try:
        os.mkdir(posixpath.join(staging, NEW))
        yield posixpath.join(staging, NEW)
        files.sync_folder(posixpath.join(staging, NEW))
        os.rename(posixpath.join(staging, NEW), out)
        files.sync_folder(posixpath.dirname(out))
    except OSError as error:
        raise RecipeError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        folders.delete(staging, staging)


def _documents(
    release: str, manifest: dict[str, Any], folder: str, asked: Asked, tokenizer: TokenizerModel | None
) -> dict[str, Any]:
    """Write all documents, read back how many there are, and hold that against the manifest.

    Raises:
      ExportError: they are not the same.
    """
    released = open_release(release)
    columns = _columns(released, asked)
    eod = tokenizer.token(asked.eod) if tokenizer is not None and asked.eod is not None else None
    options = ExportOptions(asked.text, columns, asked.shard_bytes, eod)
    writer = WRITERS[asked.format](folder, options, tokenizer)
    read = ["id", "text", "n_tokens", "copies", *columns]
    rows = n_tokens = expected = more = 0
    for _, batch in released.batches(list(dict.fromkeys(read)), ROWS_WITH_TEXT):
        copies = batch["copies"].to_numpy()
        rows += batch.num_rows
        n_tokens += int(batch["n_tokens"].to_numpy().sum(dtype=np.int64))
        more += 0 if asked.repeat else int((copies > 1).sum())
        times = copies if asked.repeat else np.ones_like(copies)
        expected += int(times.sum())
        chosen = batch if (times == 1).all() else batch.take(pa.array(np.repeat(np.arange(len(times)), times)))
        copy = ranges(times)
        if len(chosen):
            writer.add(chosen, copy.tolist())
    writer.close()
    listed = [entry for entry in manifest["files"] if posixpath.dirname(entry["path"]) == DATA]
    in_manifest = sum(int(entry["rows"]) for entry in listed), sum(int(entry["tokens"]) for entry in listed)
    if (rows, n_tokens) != in_manifest:
        raise ExportError(
            f"{release} holds {plural(rows, 'document')}, {plural(n_tokens, 'word')}; its manifest says {in_manifest}"
        )
    if (found := writer.count()) != (expected, writer.tokens):
        raise ExportError(
            f"what was written holds {plural(found[0], 'document')} and {plural(found[1], 'token')}, and {expected:,} and "
            f"{writer.tokens:,} were to be; nothing was put in place. This is a bug, or a disk that fails"
        )
    return {
        "documents": found[0],
        "expected": expected,
        "n_tokens": n_tokens,
        "expected_n_tokens": in_manifest[1],
        "tokens": writer.tokens,
        "count_more": more,
        "tokenizer": {"name": tokenizer.name, "sha256": tokenizer.sha256} if tokenizer is not None else None,
        "eod": asked.eod,
        "repeat": asked.repeat,
        "text": asked.text,
        "columns": list(columns),
        "files": writer.files,
    }


def _columns(released: Released, asked: Asked) -> tuple[str, ...]:
    """The columns that go along, the text among them, in the order of the release."""
    known = released.columns()
    for name in asked.columns:
        refuse_unknown(name, known, "--column")
    if asked.format == "megatron":
        return ()
    usual = ("id", "source") if asked.format == "mds" else tuple(known)
    chosen = {"id", "text", *(asked.columns or usual)}
    if asked.text != "text" and asked.text in chosen:
        raise RecipeError(
            f"--text {asked.text}: there is a column of that name; choose another, or leave it out of --column"
        )
    if asked.format == "mds" and "tokens" in {asked.text, *chosen} and asked.tokenizer:
        raise RecipeError("MDS calls the tokens `tokens`; choose another name for the text, or leave the column out")
    return tuple(name for name in known if name in chosen)
