"""`papers`: what finished releases say of themselves, in the forms of laws and of other tools."""

import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations import contracts
from expectations.loading import MAX_BYTES, as_text, nearest, parse_yaml
from expectations.papers.facts import COLUMNS, NEEDED, PaperCounts, ReleasedPaper, first_of_each
from expectations.papers.form import WRITERS
from expectations.papers.law import FORMS
from pipeline.reading.outputs import check_output, save
from pipeline.recipe import RecipeError
from transforms.release.read_release import (
    by_id,
    ledger_batches,
    ledger_files,
    ledger_rows,
    read_manifest,
    read_metrics,
    reading,
)
from transforms.signals.store import open_for_reading

PART_ROWS = 1 << 21  # documents that are held at a time, some 200 bytes each
MOST_PARTS = 256
_FIELDS = {field.name: field.type for field in contracts.LEDGER.schema}


def write_papers(folders: Sequence[str], output: str, names: Sequence[str], force: bool = False) -> list[str]:
    """Write papers of releases, together one of each, into a folder.

    Args:
      folders: of releases.
      output: folder for the papers.
      names: of papers; none: all.
      force: whether papers that are there may be replaced.

    Returns:
      The files written.

    Raises:
      ReleaseError: one of the folders is no release, or damaged.
      RecipeError: there is no paper of such a name, or it cannot be written.
    """
    chosen = list(dict.fromkeys(names or FORMS))
    for name in chosen:
        if name not in FORMS:
            raise RecipeError(f"--form {name}: {nearest(name, list(FORMS))}")
    paths = [posixpath.join(output, f"{name}.{form}") for name in chosen for form in WRITERS]
    releases = read_papers(folders)
    for path in paths:
        check_output(path, folders, force)
    counts = count_documents(folders)
    made = iter(paths)
    for name in chosen:
        form = FORMS[name](releases, counts)
        for writer in WRITERS.values():
            save(writer(form), next(made))
    return paths


def read_papers(folders: Sequence[str]) -> list[ReleasedPaper]:
    """What papers say of each release; the same release given twice is one.

    Raises:
      ReleaseError: one of them is no release, or damaged.
    """
    found: dict[str, ReleasedPaper] = {}
    for folder in folders:
        manifest, digest = read_manifest(folder)
        path = posixpath.join(folder, "recipe.yaml")
        with reading(path), open_for_reading(path) as file:
            recipe: Any = parse_yaml(as_text(file.read(MAX_BYTES + 1), path), path).value
            if not isinstance(recipe, dict):
                raise ValueError("it is no mapping")
        metrics = tuple(read_metrics(folder).to_pylist())
        found.setdefault(digest, ReleasedPaper(manifest["release"], digest, manifest, recipe, metrics))
    return list(found.values())


def count_documents(folders: Sequence[str]) -> PaperCounts:
    """What the ledgers say of the documents that the releases hold. One that several hold counts once, as the first says.

    A part of all documents is held at a time, cut by the first digits of the id; the ledgers are read once for each.

    Raises:
      ReleaseError: a ledger is gone or damaged.
    """
    paths = [path for folder in folders for path in ledger_files(folder)]
    parts = min(MOST_PARTS, max(1, -(-sum(map(ledger_rows, paths)) // PART_ROWS)))
    counts = PaperCounts()
    for part in range(parts):
        batches = [batch for path in paths for batch in _kept(path, part, parts, counts.not_kept)]
        if batches:
            counts.add(first_of_each(pa.Table.from_batches(batches)))
    return counts


def _kept(path: str, part: int, parts: int, missing: set[str]) -> Iterator[pa.RecordBatch]:
    """The documents of a part that are in the release."""
    with reading(path), open_for_reading(path) as file:
        names = by_id(pq.ParquetFile(pa.PythonFile(file, mode="r")).schema_arrow.empty_table()).column_names
    asked = [name for name in COLUMNS if name in names or name in NEEDED]
    missing.update(set(COLUMNS) - set(asked))
    for batch in ledger_batches(path, asked):
        with reading(path):
            batch = batch.filter(batch["kept"])
            if parts > 1:
                digits = pc.utf8_slice_codeunits(batch["id"], 0, 2)
                mine = pa.array([f"{number:02x}" for number in range(256) if number % parts == part])
                batch = batch.filter(pc.is_in(digits, value_set=mine))
            columns = [
                batch[name].cast(_FIELDS[name]) if name in asked else pa.nulls(batch.num_rows, _FIELDS[name])
                for name in COLUMNS
            ]
        if batch.num_rows:
            yield pa.RecordBatch.from_arrays(columns, names=list(COLUMNS))
