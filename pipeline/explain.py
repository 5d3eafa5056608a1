"""Why a document was kept or dropped, from a release's own ledger."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from pipeline.recipe import RecipeError
from transforms.store import open_for_reading

SHOWN = 10

SENTENCES = {
    None: "kept",
    "empty_text": "dropped: nothing is left of its text but white space and invisible characters",
    "exact_duplicate": "dropped: the same text, but for case, spacing and punctuation marks' style, is kept elsewhere",
    "near_duplicate": "dropped: a text that shares most of its shingles is kept instead",
    "same_url": "dropped: a document with the same address is kept instead",
    "in_earlier_release": "dropped: an earlier release (dedup.against) has this text, or one that shares most of its shingles",
    "over_synthetic_share": "dropped: synthetic, and past the cut that keeps the release's synthetic share in its limit",
}


def explain_document(release: str, doc_id: str) -> str:
    """What the ledger says of a document.

    Raises:
      RecipeError: there is no ledger, or the document is not in it.
    """
    tables = [_read(path) for path in _ledger_files(release)]
    found = [row for table in tables for row in _rows(table, "doc_id", doc_id)]
    found = found or [row for table in tables for row in _rows(table, "input_id", doc_id)]
    if not found:
        raise RecipeError(f"{release}: its ledger has no document {doc_id!r}; give a doc_id or the input's own id")
    lines = [line for row in found[:SHOWN] for line in _about(row, tables)]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN} more records with this id")
    return "\n".join(lines)


def _ledger_files(release: str) -> list[str]:
    matches = FileSystems.match([f"{release.rstrip('/')}/ledger/*.parquet"])[0].metadata_list
    if not matches:
        raise RecipeError(f"{release}: no ledger there; give the folder of a release or of a rejection")
    return sorted(match.path for match in matches)


def _read(path: str) -> pa.Table:
    with open_for_reading(path) as file:
        return pq.read_table(pa.PythonFile(file, mode="r"))


def _rows(table: pa.Table, column: str, value: str) -> list[dict[str, Any]]:
    return table.filter(pc.equal(table[column], value)).to_pylist()


def _about(row: dict[str, Any], tables: list[pa.Table]) -> Iterator[str]:
    yield f"document {row['doc_id']}" + (f" (input id {row['input_id']!r})" if row["input_id"] is not None else "")
    yield f"  {SENTENCES[row['reason']]}" + (
        f" [stage {row['stage']}, reason {row['reason']}]" if row["reason"] else ""
    )
    yield f"  read from   source {row['source']!r}, {row['path']}, row {row['row']}"
    p = "not scored" if row["p_synthetic"] is None else f"p_synthetic {row['p_synthetic']:.3f}"
    yield f"  origin      {row['origin']}, basis {row['origin_basis'] or 'none'}; {p}"
    yield f"  length      {row['n_tokens']:,} tokens"
    if row["cluster_size"] > 1:
        yield f"  cluster     {row['cluster_id']}, {row['cluster_size']} documents"
        members = [
            m for table in tables for m in _rows(table, "cluster_id", row["cluster_id"]) if m["reason"] != "empty_text"
        ]
        for member in sorted(members, key=lambda m: (m["doc_id"] != row["survivor_id"], m["doc_id"]))[:SHOWN]:
            mark = "survivor" if member["doc_id"] == row["survivor_id"] and member["stage"] != "dedup" else "        "
            yield f"    {mark}  {member['doc_id']}  {member['source']}  {member['path']}, row {member['row']}"
        if len(members) > SHOWN:
            yield f"    ... and {len(members) - SHOWN} more"
