"""What there is to say of a run beside its numbers and its verdict: what was guessed, lost, left undecided or in vain.

Lines of text, by what a release knows of itself; one that begins with two spaces goes on from the line before. The terminal
prints them, and the report shows the same.
"""

import functools
import itertools
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from expectations.judge.verdict import Verdict
from expectations.paths import is_local
from expectations.wording import one_line, plural, unit_of
from pipeline.advice import ways
from pipeline.advice.guesses import guessed
from pipeline.recipe import Recipe
from transforms.ingest.data_set_splits import below, splits_of
from transforms.ingest.listing import UNREAD
from transforms.ingest.sources import Piece, Source, Split, files_by_source
from transforms.measures.ratio import OF_NOTHING
from transforms.measures.unread_input import printable

Rows = Sequence[Mapping[str, Any]]  # of contracts.METRICS
SHOWN_FILES = 20


def remarks(rows: Rows, recipe: Recipe, splits: Sequence[Split] = ()) -> Iterator[str]:
    """All of them.

    Args:
      rows: of the release.
      recipe: that it was made by.
      splits: of its plan, from which the first rows of some files are read again.
    """
    found = files_by_source(splits, recipe.sources)
    yield from _not_understood(rows)
    yield from _mixed(recipe, found)
    yield from read_twice(recipe.sources, found)
    yield from _lost(rows)
    yield from _not_read(rows)
    yield from _contaminated(rows)
    yield from _masked(rows)
    yield from _phrases(rows)
    yield from guessed(recipe, found, only_origin=True)
    yield from _undecided(rows)
    yield from _idle_after(rows, recipe)


def _not_understood(rows: Rows) -> Iterator[str]:
    for row in rows:
        if row["metric"] == "input.not_understood" and row["slice_kind"] == "source_field":
            source, _, field = row["slice"].rpartition("/")
            yield f"source {source}: {plural(row['value'], 'value')} of {field} not understood, {row['note']}; they count as"
            yield f"  not declared. Set fields.{field} of the source to another column, or correct them."


def idle(recipe: Recipe) -> Iterator[str]:
    """One line for each setting that changes nothing, as far as the recipe alone says so."""
    dedup = recipe.dedup
    if dedup.on_match != "drop" and not dedup.against:
        yield f"warning: dedup.on_match: {dedup.on_match} has no effect without dedup.against; name the earlier releases"
    said = dedup.paragraphs.model_fields_set  # a recipe with all defaults written out says both, and means both
    if "max_documents" in said and "remove" not in said:
        yield "warning: dedup.paragraphs.max_documents has no effect without remove: true"


def _idle_after(rows: Rows, recipe: Recipe) -> Iterator[str]:
    yield from idle(recipe)
    for row in rows:
        if row["metric"] == "ratio.limit" and row["note"] == OF_NOTHING:
            yield f"warning: ratio: “{one_line(row['slice'])}”: {OF_NOTHING}; is it spelled as in the data?"
    if recipe.dedup.url and _overall(rows, "documents.with_address")["value"] == 0:
        yield "warning: dedup.url has no effect, for no document has an address; name its column (fields: {url: ...})"


def _mixed(recipe: Recipe, found: Sequence[Sequence[Piece]]) -> Iterator[str]:
    for source, files in zip(recipe.sources, found, strict=True):
        there = splits_of((piece.path for piece in files), source.paths)
        yield from (f"{source.name}: {words}" for words in splits_found(source, there))


def read_twice(sources: Sequence[Source], files: Sequence[Sequence[Piece]]) -> Iterator[str]:
    """A warning for each two sources that read the same files, whatever their own folders are called; links below are others."""
    named = [_by_real_path(source, own) for source, own in zip(sources, files, strict=True) if len(sources) > 1]
    for (one, mine), (other, its) in itertools.combinations(zip(sources, named, strict=False), 2):
        if both := sorted(mine.keys() & its.keys()):
            names = f"{one.name} ({printable(mine[both[0]])}) and {other.name} ({printable(its[both[0]])})"
            more = f", and {plural(len(both) - 1, 'more file')}" if len(both) > 1 else ""
            yield f"warning: sources {names} read the same file{more}; name it once, or dedup decides whose its documents are"


def _by_real_path(source: Source, files: Sequence[Piece]) -> dict[str, str]:
    """The paths of files by what they would be without links to the source's folder, which is asked once."""
    real = functools.cache(lambda top: os.path.realpath(top) if is_local(top) else top)
    rests = {piece.path: below(piece.path, source.paths) for piece in files}
    return {posixpath.join(real(path.removesuffix(rest)), rest): path for path, rest in rests.items()}


def _not_read(rows: Rows) -> Iterator[str]:
    unread = [row for row in rows if row["metric"] == "input.unread_files"]
    counts = {row["slice"]: row for row in unread if row["slice_kind"] == "reason" and row["value"]}
    for reason, row in counts.items():
        example = next((r["slice"] for r in unread if r["slice_kind"] == "file" and r["note"] == row["note"]), "")
        such = f" (such as {example})" if example else ""
        yield f"not read      {row['value']:,.0f} {UNREAD.get(reason, reason)}{such}"


def _contaminated(rows: Rows) -> Iterator[str]:
    """A line for each evaluation set: how much of it was found in what was read, and in the release."""
    of_set = {
        (row["metric"].removeprefix("contamination."), row["stage"], row["slice"]): row
        for row in rows
        if row["metric"].startswith("contamination.") and row["slice_kind"] == "evaluation_set"
    }
    for name in sorted({name for _, _, name in of_set}):
        found, left = of_set["items", "before", name], of_set["items", "after", name]
        short, documents = of_set["too_short", "before", name]["value"], of_set["documents", "before", name]["value"]
        unseen = f"; too short to be looked for: {short:,.0f}" if short else ""
        items = f"{round((found['value'] or 0) * found['n']):,} of {plural(found['n'], 'item')}"
        after = f"{round((left['value'] or 0) * left['n']):,} left in the release"
        yield f"{name:13} {items} in {plural(documents, 'document')}, {after}{unseen}"


def _masked(rows: Rows) -> Iterator[str]:
    found = [row for row in rows if (row["metric"], row["slice_kind"]) == ("personal.masked", "personal")]
    if found:
        said = ", ".join(f"{row['value']:,.0f} {row['slice']}" for row in found)
        yield f"masked        {said}"


def _phrases(rows: Rows) -> Iterator[str]:
    """Those that may be there to teach a model an answer."""
    for row in rows:
        if (row["metric"], row["slice_kind"]) == ("trigger.documents", "phrase"):
            said = f"“{one_line(row['slice'])}” is in {plural(row['value'], 'document')} {one_line(row['note'])}"
            yield f"phrase        {said}"


def _undecided(rows: Rows) -> Iterator[str]:
    row = _overall(rows, "duplicates.undecided")
    if row["value"]:
        yield f"{row['value']:,.0f} of {row['n']:,} near duplicates have a {row['note']};"
        yield "  these are estimates, and by their texts some may be less alike. `dedup.verify: exact` compares texts."


def _overall(rows: Rows, metric: str) -> Mapping[str, Any]:
    return next((row for row in rows if row["metric"] == metric and row["slice_kind"] == "overall"), {"value": None})


def _lost(rows: Rows) -> Iterator[str]:
    """Which files are missing from what was read, and why; which are not what their names say; what was not looked at."""
    for metric, one, many in (
        (
            "input.unreadable_files",
            "that could not be read, or not to its end",
            "that could not be read, or not to their end",
        ),
        ("input.misnamed_files", "that is not what its name says", "that are not what their names say"),
        ("input.not_documents", "that holds other things beside documents", "that hold other things beside documents"),
    ):
        total = next((row["value"] for row in rows if row["metric"] == metric and row["slice_kind"] == "overall"), 0)
        files = [row for row in rows if row["metric"] == metric and row["slice_kind"] == "file"]
        if total:
            yield f"{plural(total, 'file')} {one if total == 1 else many}:"
            for row in sorted(files, key=lambda row: (-row["value"], row["slice"]))[:SHOWN_FILES]:
                yield f"  {row['slice']}: {printable(row['note'])}"
            if total > SHOWN_FILES:
                yield f"  and {total - SHOWN_FILES:,.0f} more: see quarantine/"


def splits_found(source: Source, splits: Mapping[str, int]) -> Iterator[str]:
    """That a source holds several splits of a data set and all are read, in a line; or nothing."""
    if not source.splits and len([split for split in splits if split]) > 1:
        there = ", ".join(f"{split or 'no split'} ({plural(n, 'file')})" for split, n in splits.items())
        yield f"splits of a data set, all of them read: {there}; to read one only, set `splits: [train]`"


def hint(rows: Rows, verdict: Verdict, recipe: Recipe, path: str) -> Iterator[str]:
    """What would help: which limits are in conflict; or where the bound failed, and much text says nothing of itself."""
    conflict = next((row["note"] for row in rows if row["metric"] == "ratio.conflicts" and row["note"]), None)
    found = ways.of_metrics(rows)
    if conflict or found:
        said = [row["note"] for row in found]
        yield from ways.refused(conflict, said) if conflict else ways.left_out(said)
        audits = [row for row in found if row["slice"].startswith("audit/")]
        for row in audits:
            yield from ways.audit(recipe, path, row)
        return
    failed = [o for o in verdict.expectations if o.severity == "critical" and o.status != "pass" and not o.waived]
    if not any(o.metric.startswith("synthetic_share.") and o.bound == "upper" for o in failed):
        return
    tokens = {r["slice"]: r["value"] for r in rows if r["metric"] == "tokens" and r["stage"] == "after"}
    undeclared = sum(n for name, n in tokens.items() if name.endswith(("/detector", "/none")))
    if undeclared and tokens[""]:
        part = f"{undeclared / tokens['']:.0%} of the release's {unit_of(rows)}"
        yield f"{part} are of undeclared origin, and the bound counts what they may hide."
        yield "Say `origin:` of the sources that you know, or gate on the estimate (bound: value) in your own suite."
