"""Why a document was kept or dropped: what a release's own ledger says, and the two texts of a duplicate."""

import dataclasses
import functools
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.loading import closest
from expectations.wording import EITHER, amount, number, one_line, plural, unit_of
from pipeline.advice.side_by_side import side_by_side
from pipeline.reading.answer import for_programs, refuse_unknown
from pipeline.reading.document_text import NoTextError, input_text, places, released_recipe, released_text
from pipeline.reading.item_passages import held, items_of
from pipeline.reading.text_similarity import alike
from pipeline.recipe import Recipe, RecipeError
from transforms.ingest.sources import InputError
from transforms.origin.phrase_files import load_phrases
from transforms.release.read_release import ReleaseError, ledger_batches, ledger_files, read_ledger, read_metrics

SHOWN = 10
PREFIX = 4  # digits of an id that name a document, if no other begins so
PASSAGE = 400  # characters of a passage that are shown
LOOKED_AT = 5_000  # ids that are compared with one that is not known
_HEXADECIMAL = re.compile("[0-9a-fA-F]+")

SENTENCES = {
    None: "kept",
    "empty_text": "dropped: nothing is left of its text but white space and invisible characters",
    "in_earlier_release": "dropped: an earlier release (dedup.against) has this text, or one that shares most of its shingles",
    "over_synthetic_share": "dropped: synthetic, and past the cut that keeps the release's synthetic share in its limit",
    "over_limit": "dropped: past the cut that keeps a limit of the mixture (ratio.limits and its neighbours in the recipe)",
    "contaminated": "dropped: it holds items of an evaluation set (contamination in the recipe)",
    "withdrawn": "dropped: it is on a list of removals, or like a document that is (removals in the recipe)",
    "licence": "dropped: the recipe does not allow its licence (licences in the recipe)",
}

DUPLICATES = {
    "exact_duplicate": "the same text, but for case, spacing and punctuation marks' style,",
    "near_duplicate": "a text that shares most of its shingles",
    "same_url": "a document with the same address",
}


REASONS = [*DUPLICATES, *(reason for reason in SENTENCES if reason is not None)]


@dataclasses.dataclass(frozen=True)
class _LedgerReader:
    """A release's ledger, and how its reader wants it told."""

    release: str
    tables: list[pa.Table]
    width: int
    texts: bool

    @functools.cached_property
    def unit(self) -> str:
        """What `n_tokens` counts: words, tokens, or either where only the ledger is left."""
        try:
            return unit_of(read_metrics(self.release).to_pylist())
        except ReleaseError:
            return EITHER

    def rows(self, column: str, value: str) -> list[dict[str, Any]]:
        """The documents with a value in a column."""
        return [row for table in self.tables for row in table.filter(pc.equal(table[column], value)).to_pylist()]


def find_documents(release: str, reason: str | None, n: int, asked: str | None = None) -> list[dict[str, Any]]:
    """Rows of a ledger, in its order: the first `n` of a reason, or all that an id or the beginning of one names.

    Args:
      release: folder of a release or a rejection.
      reason: of the ledger, as near_duplicate; None: whatever the reason.
      n: rows at most.
      asked: an `id` of the ledger, the input's own id, or the first `PREFIX` digits or more of an `id`.

    Raises:
      ReleaseError: there is no ledger, or a part of it is gone or damaged.
      RecipeError: there is no such document, or the reason is unknown.
    """
    if reason is not None:
        refuse_unknown(reason, REASONS, "--reason")
    ledger = _LedgerReader(release, [read_ledger(path) for path in ledger_files(release)], 0, texts=False)
    found = (
        _found(ledger, asked)
        if asked is not None
        else [row for table in ledger.tables for row in _because(table, reason, n)]
    )
    rows = [row for row in found if reason is None or row["reason"] == reason][:n]
    if not rows:
        raise RecipeError(
            f"{release}: its ledger has no document" + (f" that was dropped for {reason}" if reason else "")
        )
    return rows


def _because(table: pa.Table, reason: str | None, n: int) -> list[dict[str, Any]]:
    chosen = table if reason is None else table.filter(pc.equal(table["reason"], reason))
    return list(chosen.slice(0, n).to_pylist())


def _found(ledger: _LedgerReader, asked: str) -> list[dict[str, Any]]:
    """The rows of one document, by its id, the input's own id, or the beginning of its id.

    Raises:
      RecipeError: there is none, or several begin so.
    """
    for column, value in _spellings(asked):
        if rows := ledger.rows(column, value):
            return rows
    where = f"{ledger.release}: its ledger has no document {asked!r}"
    if len(asked) >= PREFIX and _HEXADECIMAL.fullmatch(asked):
        begin = [t.filter(pc.starts_with(t["id"], asked.lower())) for t in ledger.tables]
        ids = list(dict.fromkeys(name for table in begin for name in table["id"].to_pylist()))
        if len(ids) == 1:
            return [row for table in begin for row in table.to_pylist()]
        if ids:
            more = ", ..." if len(ids) > 3 else ""
            several = f"{plural(len(ids), 'document')} begin with {asked}: {', '.join(ids[:3])}{more}"
            raise RecipeError(f"{ledger.release}: {several}; give more digits")
    near = _near(ledger, asked)
    hint = f"did you mean {near!r}?" if near is not None else "give its id, the beginning of one, or the input's own id"
    raise RecipeError(f"{where}; {hint}")


def _near(ledger: _LedgerReader, asked: str) -> str | None:
    """An input's own id like the one that was asked for, among those that are about as long and begin or end alike."""
    for table in ledger.tables:
        ids = table["input_id"]
        alike = pc.or_(pc.starts_with(ids, asked[:3]), pc.ends_with(ids, asked[-3:]))
        some = ids.filter(pc.fill_null(alike, False)).slice(0, LOOKED_AT).to_pylist()
        if (near := closest(asked, some)) is not None:
            return near
    return None


def documents_json(release: str, rows: list[dict[str, Any]]) -> str:
    """Rows of a ledger as JSON, for programs."""
    answer = {"format": "lowbackground.explain/1", "release": release, "documents": rows}
    return for_programs(answer)


def list_documents(rows: list[dict[str, Any]]) -> str:
    """A line for each row: its id, where it came from, and what became of it."""
    return "\n".join(f"{row['id']}  {row['source']}  {row['path']}, row {row['row']}: {fate(row)}" for row in rows)


def explain_document(release: str, doc_id: str, width: int = 100, texts: bool = True) -> str:
    """What the ledger says of a document and, of a duplicate, how its text differs from the one that is kept.

    Args:
      release: folder of a release or a rejection.
      doc_id: the ledger's `id`, the beginning of one, or the input's own id.
      width: of the two texts side by side, in cells of a terminal; at least `side_by_side.MIN_WIDTH`.
      texts: whether to show them.

    Raises:
      ReleaseError: there is no ledger, or a part of it is gone or damaged.
      RecipeError: the document is not in it.
    """
    ledger = _LedgerReader(release, [read_ledger(path) for path in ledger_files(release)], width, texts)
    found = _found(ledger, doc_id)
    lines = [line for row in found[:SHOWN] for line in _about(row, ledger)]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN} more records with this id")
    return "\n".join(lines)


def _spellings(doc_id: str) -> Iterator[tuple[str, str]]:
    """Columns and values to look for: the id as it was given, and a UUID or hash with its letters and hyphens as ours are."""
    yield "id", doc_id
    yield "input_id", doc_id
    bare = doc_id.strip().lower().replace("-", "")
    if re.fullmatch("[0-9a-f]{32}", bare):
        yield "id", bare
        yield "input_id", str(uuid.UUID(bare))
        yield "input_id", bare
    yield "input_id", doc_id.strip()


def _about(row: dict[str, Any], ledger: _LedgerReader) -> Iterator[str]:
    yield f"document {named(row)}"
    survivor = _survivor_row(row, ledger)
    yield f"  {fate_of(row, survivor)}{_where(row)}"
    for label, words in facts(row, ledger.unit):
        yield f"  {label:11} {words}"
    if row["cluster_size"] > 1:
        yield from _cluster(row, ledger)
    if survivor is not None and not survivor["kept"]:
        yield f"  survivor    {named(survivor)}: {fate(survivor)}"
    if row["reason"] == "withdrawn":
        if row["survivor_id"] != row["id"]:
            yield f"  like        {row['survivor_id']}, which was withdrawn; similarity {row['similarity']:.3f} seen by the run"
        return
    if row.get("earlier_id"):
        yield from _earlier(row["earlier_id"], ledger)
    if row.get("contaminated_by"):
        yield from _items(row, ledger)
    if row["stage"] == "dedup":
        yield from _beside_survivor(row, ledger, beside_title(row, survivor))


def facts(row: dict[str, Any], unit: str) -> Iterator[tuple[str, str]]:
    """What a row of the ledger says by itself: (label, words); an empty label goes on from the one before."""
    yield "read from", f"source {row['source']!r}, {row['path']}, row {row['row']}"
    p = "not scored" if row["p_synthetic"] is None else f"p_synthetic {row['p_synthetic']:.3f}"
    yield "origin", f"{row['origin']}, basis {row['origin_basis'] or 'none'}; {p}"
    yield from _evidence(row)
    yield "length", amount(row["n_tokens"], unit)
    if row.get("removed_tokens"):
        yield "removed", f"{plural(row['removed_tokens'], 'word')} more, in repeated paragraphs, before all else"
    if row.get("masked"):
        yield "masked", f"{row['masked']}, in the text that is released"


def _survivor_row(row: dict[str, Any], ledger: _LedgerReader) -> dict[str, Any] | None:
    """What the ledger says of the document that a duplicate was dropped for; an earlier release's is in another ledger."""
    if row["stage"] != "dedup":
        return None
    # The same record once more has the same id, and one of the two is the survivor.
    return next((r for r in ledger.rows("id", row["survivor_id"]) if r["stage"] != "dedup"), None)


def fate_of(row: dict[str, Any], survivor: dict[str, Any] | None) -> str:
    """What became of a document. A later stage may have dropped its survivor as well, and then nothing is kept for it."""
    if row["reason"] in DUPLICATES:
        lost = survivor is not None and not survivor["kept"]
        what = "was chosen instead, and then dropped as well" if lost else "is kept instead"
        return f"dropped: {DUPLICATES[row['reason']]} {what}"
    return SENTENCES.get(row["reason"], "dropped")


def fate(row: dict[str, Any]) -> str:
    """What became of a document, and where."""
    return f"{fate_of(row, None)}{_where(row)}"


def _where(row: dict[str, Any]) -> str:
    return f" [stage {row['stage']}, reason {row['reason']}]" if row["reason"] else ""


def named(row: dict[str, Any]) -> str:
    """Its id, and the input's own."""
    return row["id"] + (f" (input id {row['input_id']!r})" if row["input_id"] is not None else "")


def beside_title(row: dict[str, Any], survivor: dict[str, Any] | None) -> str:
    """Of the column beside a duplicate's own text."""
    if row["reason"] == "in_earlier_release":
        return "in the earlier release"
    return "survivor, kept" if survivor is None or survivor["kept"] else "survivor, dropped as well"


def _earlier(doc_id: str, ledger: _LedgerReader) -> Iterator[str]:
    """Which earlier release has it, and as which of its documents, by the ledgers of those that are still there."""
    try:
        recipe = released_recipe(ledger.release)
    except RecipeError as error:
        yield f"  earlier     {doc_id}, of a release that cannot be named: {error}"
        return
    for earlier in recipe.dedup.against:
        for folder in places(earlier, ledger.release, recipe):
            if (row := _kept_there(folder, doc_id)) is not None:
                yield f"  earlier     {folder} has it as {named(row)}"
                yield f"              source {row['source']!r}, {row['path']}, row {row['row']}"
                return
    where = ", ".join(recipe.dedup.against)
    yield f"  earlier     {doc_id}, of one of {where}; no ledger there has it any more"


def _kept_there(release: str, doc_id: str) -> dict[str, Any] | None:
    try:
        for path in ledger_files(release):
            for batch in ledger_batches(path, ["id", "input_id", "source", "path", "row", "kept"]):
                found = batch.filter(pc.and_(batch["kept"], pc.equal(batch["id"], doc_id)))
                if found.num_rows:
                    return dict(found.slice(0, 1).to_pylist()[0])
    except ReleaseError:
        return None
    return None


SAYS = {
    "credential:synthetic:unverified": "a content credential says that a machine wrote it; its signature was not verified",
    "credential:unverified": "a content credential that names no machine; nobody verified its signature, so it says nothing",
    "credential:malformed": "a content credential that is damaged, so it counts for nothing",
    "date:human": "it is older than evidence.date_cutoff, in a source whose dates are trusted",
}


def _evidence(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each that spoke of its origin, the highest authority first; releases of earlier versions do not say."""
    phrases = {entry.id: entry.proves for entry in load_phrases()}
    for place, word in enumerate((row.get("evidence") or "").split()):
        basis, _, says = word.partition(":")
        sentence = SAYS.get(word, f"{basis} says {says}")
        if basis == "boilerplate":
            name = row["boilerplate"]
            sentence += f": phrase {name!r}" + (f" ({phrases[name]})" if name in phrases else "")
        elif basis == "watermark":
            sentence += f": {row['watermark']!r}, p-value {row['watermark_p']:.3g}"
        yield "" if place else "evidence", sentence
    if row.get("watermark_p") is not None and row["watermark"] is None:
        yield "", f"no watermark: the smallest p-value is {row['watermark_p']:.3g}, which says nothing"


def _items(row: dict[str, Any], ledger: _LedgerReader) -> Iterator[str]:
    """The evaluation items that a document holds, and where in it, by its text and theirs once more."""
    names = row["contaminated_by"]
    more = f", {', '.join(names[1:SHOWN])}{', ...' if len(names) > SHOWN else ''}" if len(names) > 1 else ""
    yield f"  items       {len(names):,}: {names[0]}{more}"
    try:
        recipe = released_recipe(ledger.release)
        items = items_of(ledger.release, recipe)
        text = input_text(row, ledger.release, recipe)
    except (NoTextError, RecipeError, InputError) as error:
        yield f"              the passages cannot be shown: {error}"
        return
    for one in held(text, names[:SHOWN], items, recipe.contamination.min_overlap):
        yield f"    {one.item}  {number(one.overlap, 'share')} of its n-grams of {items.grams.ngram} words, by their weight"
        for passage in one.passages[:SHOWN]:
            shown = (
                passage if len(passage) <= PASSAGE else f"{passage[: PASSAGE // 2]} [...] {passage[-PASSAGE // 2 :]}"
            )
            yield f"      “{one_line(shown)}”"


def _cluster(row: dict[str, Any], ledger: _LedgerReader) -> Iterator[str]:
    yield f"  cluster     {row['cluster_id']}, {row['cluster_size']} documents"
    members = [m for m in ledger.rows("cluster_id", row["cluster_id"]) if m["reason"] not in contracts.EXCLUDED]
    for member in sorted(members, key=lambda m: (m["id"] != row["survivor_id"], m["id"]))[:SHOWN]:
        mark = "survivor" if member["id"] == row["survivor_id"] and member["stage"] != "dedup" else "        "
        yield f"    {mark}  {member['id']}  {member['source']}  {member['path']}, row {member['row']}"
    if len(members) > SHOWN:
        yield f"    ... and {len(members) - SHOWN} more"


def _beside_survivor(row: dict[str, Any], ledger: _LedgerReader, title: str) -> Iterator[str]:
    """How alike a duplicate and its survivor are, and their texts."""
    if row.get("similarity") is not None:
        yield f"  similarity  {row['similarity']:.3f} seen by the run"
    if row["survivor_id"] == row["id"]:  # the id is a hash of source, input id and text
        yield "  texts       the survivor is the same record once more: same source, same input id, same text"
        return
    try:
        recipe = released_recipe(ledger.release)
        text = input_text(row, ledger.release, recipe)
    except (NoTextError, RecipeError) as error:
        yield f"  texts       this document's cannot be shown: {error}"
        return
    try:
        survivor, place = survivor_text(row["survivor_id"], ledger.release, recipe, ledger.rows)
    except NoTextError as error:
        yield f"  texts       the survivor's cannot be shown: {error}"
        return
    if row.get("removed_tokens"):  # which paragraphs went depends on the whole corpus, and is not in the release
        yield "  similarity  below, of this document's text as it was read, with the paragraphs that were removed"
    yield from _similarity(text, survivor, recipe)
    if ledger.texts:
        yield f"  texts       this document's from the input, the survivor's from {place}"
        yield ""
        yield from side_by_side(text, survivor, ledger.width, ("this document", title))
        yield ""


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


def _similarity(text: str, survivor: str, recipe: Recipe) -> Iterator[str]:
    found = alike(text, survivor, recipe.dedup)
    if found is None:
        yield f"  similarity  too short for shingles of {recipe.dedup.ngram} words"
        return
    agree = round(found.estimated * recipe.dedup.num_perm)
    yield f"  similarity  {found.estimated:.3f} estimated: {agree} of {recipe.dedup.num_perm} signature values agree"
    one, other = found.distinct
    counts = f"of {one:,} here and {other:,} in the survivor"
    yield f"              {found.exact:.3f} exact: {plural(found.shared, 'shingle')} shared, {counts}"
