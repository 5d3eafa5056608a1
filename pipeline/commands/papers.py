"""`papers`: what finished releases say of themselves, in the forms of laws and of other tools."""

import json
import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from expectations import contracts
from expectations.loading import parse_yaml, read_text
from expectations.papers.facts import COLUMNS, NEEDED, PaperCounts, ReleasedPaper, StandardInput, first_of_each, token
from expectations.papers.form import WRITERS
from expectations.papers.law import FORMS
from expectations.papers.standards import STANDARDS
from expectations.paths import is_local
from pipeline.execution import RunError
from pipeline.places import PAPERS as PAPERS_FOLDER
from pipeline.reading.answer import refuse_unknown
from pipeline.reading.ledger_parts import in_parts, n_parts
from pipeline.reading.outputs import check_output, save
from pipeline.recipe import Recipe, RecipeError
from pipeline.runner import Result, day
from transforms.release.read_release import (
    ReleaseError,
    by_id,
    ledger_batches,
    ledger_files,
    ledger_rows,
    opened,
    read_manifest,
    read_metrics,
    read_verdict,
    reading,
)

PAPERS = (*FORMS, *STANDARDS)
PART_ROWS = 1 << 21  # documents that are held at a time, some 200 bytes each
SCHEMA = pa.schema([pa.field(name, contracts.LEDGER.schema.field(name).type) for name in COLUMNS])


def write_papers(
    folders: Sequence[str], output: str, names: Sequence[str], today: str | None, force: bool = False
) -> list[str]:
    """Write papers of releases into a folder: of each law's form one of all together, of each standard one of each release.

    Args:
      folders: of releases.
      output: folder for the papers.
      names: of papers; none: all.
      today: the day of the papers, as 2026-11-27, where a standard asks for one; None: today's in UTC.
      force: whether papers that are there may be replaced.

    Returns:
      The files written.

    Raises:
      ReleaseError: one of the folders is no release, or damaged.
      RecipeError: there is no paper of such a name, or it cannot be written.
    """
    chosen = list(dict.fromkeys(names or PAPERS))
    for name in chosen:
        refuse_unknown(name, PAPERS, "--form")
    date = str(day(today))
    releases = read_papers(folders)
    forms = [name for name in chosen if name in FORMS]
    standards = [name for name in chosen if name in STANDARDS]
    ending = {folder: f"-{token(one.name)}" if len(releases) > 1 else "" for folder, one in releases.items()}
    paths = [posixpath.join(output, f"{name}.{form}") for name in forms for form in WRITERS]
    paths += [posixpath.join(output, f"{name}{end}.json") for end in ending.values() for name in standards]
    if len(set(paths)) < len(paths):
        raise RecipeError("two of the releases have one name; write the papers of each into a folder of its own")
    for path in paths:
        check_output(path, folders, force)
    answers: list[str] = []
    if forms:
        counts = count_documents(list(releases))
        made = [FORMS[name](list(releases.values()), counts) for name in forms]
        answers += [writer(form) for form in made for writer in WRITERS.values()]
    for folder, release in releases.items() if standards else ():
        given = _standard_input(folder, release, output, date)
        answers += [json.dumps(STANDARDS[name](given), indent=2, ensure_ascii=False) + "\n" for name in standards]
    for answer, path in zip(answers, paths, strict=True):
        save(answer, path)
    return paths


def write_asked(recipe: Recipe, result: Result, today: str | None = None) -> None:
    """The papers that a recipe asks for, of its release that passed, in a folder beside it.

    Raises:
      RunError: they cannot be written. The release is there all the same.
    """
    if not recipe.papers or not result.verdict.passed:
        return
    try:
        write_papers([result.folder], result.folder + PAPERS_FOLDER, recipe.papers, today, force=True)
    except (RecipeError, ReleaseError) as error:
        raise RunError(f"{result.folder} is released, and its papers are not written: {error}") from error


def _standard_input(folder: str, release: ReleasedPaper, output: str, date: str) -> StandardInput:
    columns: tuple[tuple[str, str], ...] = ()
    for file in release.files("data/")[:1]:
        with opened(posixpath.join(folder, file["path"])) as shard:
            columns = tuple((field.name, str(field.type)) for field in shard.schema_arrow)
    local = is_local(folder) and is_local(output)
    place = os.path.relpath(os.path.realpath(folder), os.path.realpath(output)) if local else folder.rstrip("/")
    verdict = json.loads(read_verdict(folder).to_json())
    return StandardInput(release, count_documents([folder]), verdict, columns, place, date)


def read_papers(folders: Sequence[str]) -> dict[str, ReleasedPaper]:
    """What papers say of each release, by its folder; the same release given twice is one.

    Raises:
      ReleaseError: one of them is no release, or damaged.
    """
    found: dict[str, ReleasedPaper] = {}
    digests = set()
    for folder in folders:
        manifest, digest = read_manifest(folder)
        if digest in digests:
            continue
        digests.add(digest)
        path = posixpath.join(folder, "recipe.yaml")
        with reading(path):
            recipe: Any = parse_yaml(read_text(path), path).value
            if not isinstance(recipe, dict):
                raise ValueError("it is no mapping")
        metrics = tuple(read_metrics(folder).to_pylist())
        found[folder] = ReleasedPaper(manifest["release"], digest, manifest, recipe, metrics)
    return found


def count_documents(folders: Sequence[str]) -> PaperCounts:
    """What the ledgers say of the documents that the releases hold. One that several hold counts once, as the first says.

    Raises:
      ReleaseError: a ledger is gone or damaged.
    """
    paths = [path for folder in folders for path in ledger_files(folder)]
    counts = PaperCounts()
    batches = (batch for path in paths for batch in _kept(path, counts.not_kept))
    with in_parts(batches, SCHEMA, n_parts(sum(map(ledger_rows, paths)), PART_ROWS)) as parts:
        for documents in parts:
            counts.add(first_of_each(documents))
    return counts


def _kept(path: str, missing: set[str]) -> Iterator[pa.RecordBatch]:
    """The documents of a part of the ledger that are in the release."""
    with opened(path) as file:
        names = by_id(file.schema_arrow.empty_table()).column_names
    asked = [name for name in COLUMNS if name in names or name in NEEDED]
    missing.update(set(COLUMNS) - set(asked))
    for batch in ledger_batches(path, asked):
        with reading(path):
            batch = batch.filter(batch["kept"])
            columns = [
                batch[field.name].cast(field.type) if field.name in asked else pa.nulls(batch.num_rows, field.type)
                for field in SCHEMA
            ]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
