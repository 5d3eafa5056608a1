"""Why a document was kept or dropped: what a release's own ledger says, and the two texts of a duplicate."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from pipeline.alike import alike
from pipeline.find_text import NoTextError, input_text, places, released_recipe, released_text
from pipeline.recipe import Recipe, RecipeError
from pipeline.side_by_side import side_by_side
from transforms.phrases import load_phrases
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
    "over_limit": "dropped: past the cut that keeps a limit of the mixture (ratio.limits and its neighbours in the recipe)",
}


@dataclasses.dataclass(frozen=True)
class _Ledger:
    """A release's ledger, and how its reader wants it told."""

    release: str
    tables: list[pa.Table]
    width: int
    texts: bool

    def rows(self, column: str, value: str) -> list[dict[str, Any]]:
        """The documents with a value in a column."""
        return [row for table in self.tables for row in table.filter(pc.equal(table[column], value)).to_pylist()]


def explain_document(release: str, doc_id: str, width: int = 100, texts: bool = True) -> str:
    """What the ledger says of a document and, of a duplicate, how its text differs from the one that is kept.

    Args:
      release: folder of a release or a rejection.
      doc_id: the ledger's `doc_id`, or the input's own id.
      width: of the two texts side by side, in cells of a terminal; at least `side_by_side.MIN_WIDTH`.
      texts: whether to show them.

    Raises:
      RecipeError: there is no ledger, or the document is not in it.
    """
    ledger = _Ledger(release, [_read(path) for path in _ledger_files(release)], width, texts)
    found = ledger.rows("doc_id", doc_id) or ledger.rows("input_id", doc_id)
    if not found:
        raise RecipeError(f"{release}: its ledger has no document {doc_id!r}; give a doc_id or the input's own id")
    lines = [line for row in found[:SHOWN] for line in _about(row, ledger)]
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


def _about(row: dict[str, Any], ledger: _Ledger) -> Iterator[str]:
    yield f"document {row['doc_id']}" + (f" (input id {row['input_id']!r})" if row["input_id"] is not None else "")
    yield f"  {SENTENCES.get(row['reason'], 'dropped')}" + (
        f" [stage {row['stage']}, reason {row['reason']}]" if row["reason"] else ""
    )
    yield f"  read from   source {row['source']!r}, {row['path']}, row {row['row']}"
    p = "not scored" if row["p_synthetic"] is None else f"p_synthetic {row['p_synthetic']:.3f}"
    yield f"  origin      {row['origin']}, basis {row['origin_basis'] or 'none'}; {p}"
    yield from _evidence(row)
    yield f"  length      {row['n_tokens']:,} tokens"
    if row.get("removed_tokens"):
        yield f"  removed     {row['removed_tokens']:,} tokens more, in repeated paragraphs, before all else"
    if row["cluster_size"] > 1:
        yield from _cluster(row, ledger)
    if row["stage"] == "dedup":
        yield from _beside_survivor(row, ledger)


SAYS = {
    "credential:synthetic:unverified": "a content credential says that a machine wrote it; its signature was not verified",
    "credential:unverified": "a content credential that names no machine; nobody verified its signature, so it says nothing",
    "credential:malformed": "a content credential that is damaged, so it counts for nothing",
    "date:human": "it is older than evidence.date_cutoff, in a source whose dates are trusted",
}


def _evidence(row: dict[str, Any]) -> Iterator[str]:
    """Each that spoke of its origin, the highest authority first; releases of earlier versions do not say."""
    phrases = {entry.id: entry.proves for entry in load_phrases()}
    for number, word in enumerate((row.get("evidence") or "").split()):
        basis, _, says = word.partition(":")
        sentence = SAYS.get(word, f"{basis} says {says}")
        if basis == "boilerplate":
            name = row["boilerplate"]
            sentence += f": phrase {name!r}" + (f" ({phrases[name]})" if name in phrases else "")
        elif basis == "watermark":
            sentence += f": {row['watermark']!r}, p-value {row['watermark_p']:.3g}"
        yield f"  {'' if number else 'evidence':11} {sentence}"
    if row.get("watermark_p") is not None and row["watermark"] is None:
        yield f"              no watermark: the smallest p-value is {row['watermark_p']:.3g}, which says nothing"


def _cluster(row: dict[str, Any], ledger: _Ledger) -> Iterator[str]:
    yield f"  cluster     {row['cluster_id']}, {row['cluster_size']} documents"
    members = [m for m in ledger.rows("cluster_id", row["cluster_id"]) if m["reason"] != "empty_text"]
    for member in sorted(members, key=lambda m: (m["doc_id"] != row["survivor_id"], m["doc_id"]))[:SHOWN]:
        mark = "survivor" if member["doc_id"] == row["survivor_id"] and member["stage"] != "dedup" else "        "
        yield f"    {mark}  {member['doc_id']}  {member['source']}  {member['path']}, row {member['row']}"
    if len(members) > SHOWN:
        yield f"    ... and {len(members) - SHOWN} more"


def _beside_survivor(row: dict[str, Any], ledger: _Ledger) -> Iterator[str]:
    """How alike a duplicate and its survivor are, and their texts."""
    if row.get("similarity") is not None:
        yield f"  similarity  {row['similarity']:.3f} seen by the run"
    if row["survivor_id"] == row["doc_id"]:  # the id is a hash of source, input id and text
        yield "  texts       the survivor is the same record once more: same source, same input id, same text"
        return
    try:
        recipe = released_recipe(ledger.release)
        text = input_text(row, ledger.release, recipe)
    except (NoTextError, RecipeError) as error:
        yield f"  texts       this document's cannot be shown: {error}"
        return
    try:
        survivor, place = _survivor(row["survivor_id"], ledger, recipe)
    except NoTextError as error:
        yield f"  texts       the survivor's cannot be shown: {error}"
        return
    if row.get("removed_tokens"):  # which paragraphs went depends on the whole corpus, and is not in the release
        yield "  similarity  below, of this document's text as it was read, with the paragraphs that were removed"
    yield from _similarity(text, survivor, recipe)
    if ledger.texts:
        yield f"  texts       this document's from the input, the survivor's from {place}"
        yield ""
        yield from side_by_side(text, survivor, ledger.width, ("this document", "survivor, kept"))
        yield ""


def _survivor(doc_id: str, ledger: _Ledger, recipe: Recipe) -> tuple[str, str]:
    """A survivor's text, and where it was found. A later stage may have dropped it: then it is in no shard."""
    if (text := released_text(ledger.release, doc_id)) is not None:
        return text, "the release"
    for earlier in recipe.dedup.against:
        for folder in places(earlier, ledger.release, recipe):
            if (text := released_text(folder, doc_id)) is not None:
                return text, f"the earlier release {folder}"
    rows = ledger.rows("doc_id", doc_id)
    if not rows and recipe.dedup.against:
        raise NoTextError(
            f"document {doc_id} is in none of the earlier releases {', '.join(recipe.dedup.against)} any more"
        )
    if not rows:
        raise NoTextError(f"the ledger has no document {doc_id}; a part of it is missing")
    return input_text(rows[0], ledger.release, recipe), "the input"


def _similarity(text: str, survivor: str, recipe: Recipe) -> Iterator[str]:
    found = alike(text, survivor, recipe.dedup)
    if found is None:
        yield f"  similarity  too short for shingles of {recipe.dedup.ngram} words"
        return
    agree = round(found.estimated * recipe.dedup.num_perm)
    yield f"  similarity  {found.estimated:.3f} estimated: {agree} of {recipe.dedup.num_perm} signature values agree"
    one, other = found.distinct
    counts = f"of {one:,} here and {other:,} in the survivor"
    yield f"              {found.exact:.3f} exact: {found.shared:,} shingles shared, {counts}"
