"""The files of a release without the documents that go: shards, signatures, ledger, tombstones, and what stays as it is."""

import dataclasses
import posixpath
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations import parquet
from pipeline.assembly import (
    GX_SUITE,
    GX_VALIDATION,
    QUEUE,
    REPORT,
    WITHDRAWAL,
    entry_of,
)
from pipeline.reading.checksums import CARD
from transforms.dedup.earlier_releases import FOLDER as SIGNATURES
from transforms.engine import files
from transforms.exclusions.removals import TOMBSTONES, is_tombstones
from transforms.kernels.text.columns import from_hexadecimal
from transforms.release.ledger import ABOUT
from transforms.release.read_release import (
    LEDGER,
    METRICS,
    VERDICT,
    by_id,
    opened,
    read_table,
)
from transforms.release.shards import DATA

WITHDRAWN = "withdrawn"
COUNTED = ["id", "source", "language", "origin", "origin_basis", "generator", "n_tokens", "copies", "created"]
MADE_ANEW = (METRICS, VERDICT, GX_SUITE, GX_VALIDATION, WITHDRAWAL, QUEUE, REPORT, CARD)
MADE_BY_ROWS = (DATA, SIGNATURES, LEDGER, TOMBSTONES)


@dataclasses.dataclass(frozen=True)
class Withdrawn:
    """A release, and what of it goes.

    Attributes:
      gone: ids of the documents of the release that go, sorted, in hexadecimal.
      named: how many of them the list names; the others stand for duplicates that it names.
    """

    folder: str
    manifest: dict[str, Any]
    sha256: str
    gone: pa.StringArray
    named: int


def _entries(old: Withdrawn, under: str) -> list[dict[str, Any]]:
    return [entry for entry in old.manifest["files"] if posixpath.dirname(entry["path"]) == under]


def removed_rows(old: Withdrawn) -> pa.Table:
    """What the measures count of the documents that go."""
    paths = [posixpath.join(old.folder, entry["path"]) for entry in _entries(old, DATA)]
    more: list[str] = []
    for path in paths[:1]:
        with opened(path) as shard:  # not in older releases
            more = [name for name in ("licence", "evidence", "masked") if name in shard.schema_arrow.names]
    parts = [read_table(path, COUNTED + more) for path in paths]
    return pa.concat_tables([part.filter(pc.is_in(part["id"], old.gone)) for part in parts])


def shards(old: Withdrawn, folder: str) -> Iterator[dict[str, Any]]:
    """The shards, without the documents that go; one that has none of them is the same file, one that is left empty is none."""
    kept = []
    for entry in _entries(old, DATA):
        ids = read_table(posixpath.join(old.folder, entry["path"]), ["id"])["id"]
        hit = int(pc.sum(pc.is_in(ids, old.gone)).as_py() or 0)
        if hit < len(ids):
            kept.append((entry, hit))
    for number, (entry, hit) in enumerate(kept):
        name = f"{DATA}/train-{number:05d}-of-{len(kept):05d}.parquet"
        source, target = posixpath.join(old.folder, entry["path"]), posixpath.join(folder, name)
        if not hit:
            files.second_name(source, target)
            yield entry | {"path": name}
            continue
        rows, tokens = _without(source, target, old.gone)
        yield entry_of(folder, name, entry["what"]) | {"rows": rows, "tokens": tokens}


def _without(source: str, target: str, gone: pa.StringArray) -> tuple[int, int]:
    """Write a shard without some of its documents, row group by row group. Returns its documents and their tokens."""
    rows = tokens = 0
    with parquet.opened(source) as shard, files.whole(target) as out:
        words = ["source", "language", "origin", "origin_basis", "evidence", "generator"]
        with pq.ParquetWriter(
            out,
            shard.schema_arrow,
            compression="zstd",
            compression_level=3,
            use_dictionary=words,
            write_page_index=True,
        ) as writer:
            for group in range(shard.num_row_groups):
                table = shard.read_row_group(group)
                table = table.filter(pc.invert(pc.is_in(table["id"], gone)))
                if table.num_rows:
                    writer.write_table(table, row_group_size=table.num_rows)
                rows += table.num_rows
                tokens += int(pc.sum(table["n_tokens"]).as_py() or 0)
    return rows, tokens


def filtered(old: Withdrawn, folder: str, under: str, column: str) -> Iterator[dict[str, Any]]:
    """Files of hashes, one row a document, without the documents that go."""
    gone = from_hexadecimal(old.gone)
    for entry in _entries(old, under):
        table = read_table(posixpath.join(old.folder, entry["path"]))
        table = table.filter(pc.invert(pc.is_in(table[column], gone)))
        _write_hashes(table, posixpath.join(folder, entry["path"]))
        yield entry_of(folder, entry["path"], entry["what"]) | {"rows": table.num_rows}


def _write_hashes(table: pa.Table, path: str) -> None:
    """Hashes are like nothing else: they compress to nothing less, and no reader looks for a range of them."""
    with files.whole(path) as out:
        pq.write_table(table, out, compression="NONE", use_dictionary=False, write_statistics=False)


def ledger(old: Withdrawn, folder: str) -> Iterator[dict[str, Any]]:
    """The ledger: what goes was withdrawn, and nothing more is said of whose it was."""
    for entry in _entries(old, LEDGER):
        source, target = posixpath.join(old.folder, entry["path"]), posixpath.join(folder, entry["path"])
        stored = read_table(source)
        table = by_id(stored)
        goes = pc.and_(pc.is_in(table["id"], old.gone), table["kept"])
        if table is stored and not pc.any(goes).as_py():
            files.second_name(source, target)
            yield entry
            continue
        now = {
            "kept": False,
            "stage": "exclusions",
            "reason": WITHDRAWN,
            "copies": 0,
            **dict.fromkeys((*ABOUT, "masked")),
        }
        for name, value in now.items():
            if name in table.column_names:
                at = table.column_names.index(name)
                column = pc.if_else(goes, pa.scalar(value, table.schema.field(name).type), table[name])
                table = table.set_column(at, table.schema.field(name), column)
        with files.whole(target) as out:
            pq.write_table(table, out, compression="zstd")
        yield entry_of(folder, entry["path"], entry["what"]) | {"rows": table.num_rows}


def tombstones(old: Withdrawn, folder: str) -> Iterator[dict[str, Any]]:
    """What is known of what goes now, and of what went before."""
    earlier = [entry for entry in old.manifest["files"] if is_tombstones(entry["path"])]
    gone = from_hexadecimal(old.gone)
    parts = [read_table(posixpath.join(old.folder, entry["path"])) for entry in _entries(old, SIGNATURES)]
    n = len(earlier) + bool(parts)
    if parts:
        table = pa.concat_tables([part.filter(pc.is_in(part["doc_id"], gone)) for part in parts])
        name = f"{TOMBSTONES}/part-00000-of-{n:05d}.parquet"
        _write_hashes(table, posixpath.join(folder, name))
        yield entry_of(
            folder, name, "hashes and signatures of what was withdrawn, so that it does not come back; no text"
        )
    for number, entry in enumerate(earlier, n - len(earlier)):
        name = f"{TOMBSTONES}/part-{number:05d}-of-{n:05d}.parquet"
        files.second_name(posixpath.join(old.folder, entry["path"]), posixpath.join(folder, name))
        yield entry | {"path": name}


def unchanged(old: Withdrawn, folder: str) -> Iterator[dict[str, Any]]:
    """All files that say nothing of single documents: recipe, suite, sketches, what could not be read."""
    for entry in old.manifest["files"]:
        if entry["path"] not in MADE_ANEW and posixpath.dirname(entry["path"]) not in MADE_BY_ROWS:
            files.second_name(posixpath.join(old.folder, entry["path"]), posixpath.join(folder, entry["path"]))
            yield entry
