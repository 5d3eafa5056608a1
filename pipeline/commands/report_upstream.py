"""`report-upstream`: what is wrong with a source, for whoever maintains it."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations.contracts import DUPLICATE_HERE
from expectations.loading import nearest
from expectations.papers.upstream import FAULTS, LONGEST, UpstreamExample, UpstreamReport
from pipeline.reading.document_text import NoTextError, input_text, released_recipe
from pipeline.recipe import Recipe, RecipeError
from transforms.dedup.earlier_releases import MANIFEST
from transforms.release.read_release import (
    QUARANTINE,
    files_of,
    is_there,
    ledger_batches,
    ledger_files,
    read_manifest,
    read_metrics,
    read_table,
    reading,
)

COLUMNS = ("id", "input_id", "source", "path", "row", "kept", "reason", "survivor_id")


def upstream_report(release: str, source: str, examples: int = 3, with_text: bool = True) -> UpstreamReport:
    """What is wrong with a source of a release or a rejection.

    Args:
      release: its folder.
      source: name of the source.
      examples: at most so many of each reason.
      with_text: whether examples show the beginning of their text, from the source if it is still there.

    Raises:
      ReleaseError: there is no release, or it is damaged.
      RecipeError: it has no such source.
    """
    paths = ledger_files(release)
    recipe = released_recipe(release)
    names = [one.name for one in recipe.sources]
    if source not in names:
        raise RecipeError(f"{release} has no source {source!r}: {nearest(source, names)}")
    manifest: dict[str, Any] = read_manifest(release)[0] if is_there(release, MANIFEST) else {}
    unreadable, shown = _quarantined(release, source, recipe, examples, with_text)
    own = pa.chunked_array([batch["id"] for batch in _of_source(paths, source)], pa.string())
    faults: Counter[str] = Counter()
    found: dict[str, list[dict[str, Any]]] = {}
    for batch in _of_source(paths, source):
        mine = pc.or_(
            pc.invert(pc.is_in(batch["reason"], pa.array(DUPLICATE_HERE))), pc.is_in(batch["survivor_id"], own)
        )
        at_fault = batch.filter(pc.and_(mine, pc.is_in(batch["reason"], pa.array(list(FAULTS)))))
        for one in pc.value_counts(at_fault["reason"]).to_pylist():
            faults[one["values"]] += one["counts"]
            had = found.setdefault(one["values"], [])
            of = at_fault.filter(pc.equal(at_fault["reason"], one["values"]))
            had += of.slice(0, examples - len(had)).to_pylist()
    rows = [row for reason in sorted(found) for row in found[reason]]
    survivors = _found_again(paths, source, {row["survivor_id"] for row in rows if row["reason"] in DUPLICATE_HERE})
    for row in rows:
        shown.append(_example(row, survivors.get(row["survivor_id"]), release, recipe, with_text))
    version = (manifest.get("versions") or {}).get("lowbackground")
    fingerprint = (manifest.get("fingerprints") or {}).get(source)
    return UpstreamReport(
        recipe.release,
        source,
        version,
        fingerprint,
        len(own),
        unreadable,
        dict(sorted(faults.items())),
        _not_understood(release, source),
        tuple(shown),
    )


def _of_source(paths: list[str], source: str) -> Iterator[pa.RecordBatch]:
    for path in paths:
        for batch in ledger_batches(path, COLUMNS):
            yield batch.filter(pc.equal(batch["source"], source))


def _found_again(paths: list[str], source: str, ids: set[str]) -> dict[str, dict[str, Any]]:
    wanted = pa.array(sorted(ids), pa.string())
    batches = _of_source(paths, source) if ids else iter(())
    return {row["id"]: row for batch in batches for row in batch.filter(pc.is_in(batch["id"], wanted)).to_pylist()}


def _example(
    row: dict[str, Any], survivor: dict[str, Any] | None, release: str, recipe: Recipe, with_text: bool
) -> UpstreamExample:
    detail = FAULTS[row["reason"]]
    if survivor is not None and row["reason"] in DUPLICATE_HERE:
        detail += f": {_below(survivor['path'], row['source'], recipe)}, row {survivor['row']}"
    text = None
    if with_text:
        try:
            text = _cut(input_text(row, release, recipe))
        except NoTextError:
            text = None
    place = _below(row["path"], row["source"], recipe)
    return UpstreamExample(row["reason"], place, row["row"], row["input_id"], detail, text)


def _quarantined(
    release: str, source: str, recipe: Recipe, examples: int, with_text: bool
) -> tuple[dict[str, int], list[UpstreamExample]]:
    """Rows of the quarantine by reason, and some of each."""
    counts: Counter[str] = Counter()
    shown: list[UpstreamExample] = []
    for path in files_of(release, QUARANTINE):
        table = read_table(path)
        with reading(path):
            rows = table.filter(pc.equal(table["source"], source)).to_pylist()
        for row in rows:
            counts[row["reason"]] += 1
            if counts[row["reason"]] <= examples:
                text = _cut(row["raw"].decode("utf-8", "replace")) if with_text else None
                place = _below(row["path"], source, recipe)
                shown.append(UpstreamExample(row["reason"], place, row["row"], None, row["detail"], text))
    return dict(sorted(counts.items())), sorted(shown, key=lambda one: (one.reason, one.path, one.row))


def _not_understood(release: str, source: str) -> dict[str, int]:
    rows = [row for row in read_metrics(release).to_pylist() if row["metric"] == "input.not_understood"]
    of = {row["slice"]: row["value"] for row in rows if row["slice_kind"] == "source_field" and row["value"]}
    return {name.partition("/")[2]: int(n) for name, n in sorted(of.items()) if name.partition("/")[0] == source}


def _below(path: str, source: str, recipe: Recipe) -> str:
    """A path from the source's folder on: where that is on our machine is nobody's business."""
    declared = next(one.path for one in recipe.sources if one.name == source)
    for top in (declared,) if isinstance(declared, str) else declared:
        fixed = re.split(r"[*?\[]", top)[0]
        fixed = fixed if fixed == top else posixpath.dirname(fixed)
        if fixed and path.startswith(f"{fixed.rstrip('/')}/"):
            return path[len(fixed.rstrip("/")) + 1 :]
    return posixpath.basename(path)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} [...]"
