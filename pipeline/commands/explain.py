"""Why a document was kept or dropped: what a release's own ledger says, and the two texts of a duplicate."""

from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc

from expectations import contracts
from expectations.wording import number, one_line, plural
from pipeline.advice.side_by_side import side_by_side
from pipeline.reading.answer import for_programs
from pipeline.reading.document_fate import beside_title, facts, fate, named
from pipeline.reading.document_text import NoTextError, input_text, places, released_recipe, survivor_text
from pipeline.reading.item_passages import held, items_of
from pipeline.reading.ledger_lookup import LedgerTables, found_by_id, read_tables
from pipeline.reading.text_similarity import alike
from pipeline.recipe import Recipe, RecipeError
from transforms.ingest.sources import InputError
from transforms.release.read_release import ReleaseError, ledger_batches, ledger_files

SHOWN = 10
PASSAGE = 400  # characters of a passage that are shown


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
    ledger = read_tables(release)
    found = found_by_id(ledger, doc_id)
    lines = [line for row in found[:SHOWN] for line in _about(row, ledger, width if texts else None)]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN} more records with this id")
    return "\n".join(lines)


def _about(row: dict[str, Any], ledger: LedgerTables, width: int | None) -> Iterator[str]:
    yield f"document {named(row)}"
    survivor = _survivor_row(row, ledger)
    yield f"  {fate(row, survivor)}"
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
        yield from _beside_survivor(row, ledger, beside_title(row, survivor), width)


def _survivor_row(row: dict[str, Any], ledger: LedgerTables) -> dict[str, Any] | None:
    """What the ledger says of the document that a duplicate was dropped for; an earlier release's is in another ledger."""
    if row["stage"] != "dedup":
        return None
    # The same record once more has the same id, and one of the two is the survivor.
    return next((r for r in ledger.rows("id", row["survivor_id"]) if r["stage"] != "dedup"), None)


def _earlier(doc_id: str, ledger: LedgerTables) -> Iterator[str]:
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


def _items(row: dict[str, Any], ledger: LedgerTables) -> Iterator[str]:
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


def _cluster(row: dict[str, Any], ledger: LedgerTables) -> Iterator[str]:
    yield f"  cluster     {row['cluster_id']}, {row['cluster_size']} documents"
    members = [m for m in ledger.rows("cluster_id", row["cluster_id"]) if m["reason"] not in contracts.EXCLUDED]
    for member in sorted(members, key=lambda m: (m["id"] != row["survivor_id"], m["id"]))[:SHOWN]:
        mark = "survivor" if member["id"] == row["survivor_id"] and member["stage"] != "dedup" else "        "
        yield f"    {mark}  {member['id']}  {member['source']}  {member['path']}, row {member['row']}"
    if len(members) > SHOWN:
        yield f"    ... and {len(members) - SHOWN} more"


def _beside_survivor(row: dict[str, Any], ledger: LedgerTables, title: str, width: int | None) -> Iterator[str]:
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
    if width is not None:
        yield f"  texts       this document's from the input, the survivor's from {place}"
        yield ""
        yield from side_by_side(text, survivor, width, ("this document", title))
        yield ""


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
