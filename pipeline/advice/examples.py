"""Some dropped documents of each reason for the report, with their text and that of the document which stands for them.

Chosen by their ids, which are hashes of what they say, from the first parts of the ledger, and there from the first documents
of a split, which are soonest read: the same input gives the same examples, and a large corpus costs no more than a small one.
What may not be shown (withdrawn text, licences that are not allowed, items of evaluation sets) is named without its text.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from pipeline.advice.side_by_side import Stretch, stretches, visible
from transforms.engine.threads import spread
from transforms.ingest.sources import InputError
from transforms.release.ledger import Recorded
from transforms.signals.beginnings import texts_of
from transforms.signals.corpus import Corpus
from transforms.signals.kept import Kept
from transforms.signals.store import read_parquet

PARTS = 64  # of the ledger that are looked at
EACH = 2  # examples of a reason
BLOCK = 2048  # documents: what a split begins with is read soonest
WORDS = 90  # of a text that are shown
UNBROKEN, ENDS = 30, 10  # a longer stretch that both texts have is cut down to so many words at each end
HIDDEN = ("withdrawn", "licence", "contaminated", "empty_text")
COLUMNS = ("id", "source", "path", "row", "reason", "survivor_id", "similarity", "n_tokens", "p_synthetic")

Place = tuple[int, int]  # number of a split, and of a document in it
Pieces = list[tuple[str, bool]]  # stretches of a text, and whether the other text has something else there


def examples(corpus: Corpus, recorded: Sequence[Recorded], texts: Kept | None = None) -> list[dict[str, Any]]:
    """At most `EACH` of every reason, in the order of `contracts.REASONS`.

    Args:
      corpus: what was read.
      recorded: its ledger.
      texts: that earlier runs read.

    Returns:
      For each: `COLUMNS` of the ledger; `text`, its Pieces, None if it is not shown; `survivor`, None or its `source`,
      `path`, `row` and `text`.
    """
    parts = sorted(recorded, key=lambda part: part.split)[:PARTS]
    rows = _rows(parts)
    if rows.num_rows == 0:
        return []
    there = set(rows["reason"].unique().to_pylist())
    reasons = (reason for reason in contracts.REASONS[1:] if reason in there)
    chosen = [row for found in spread(lambda reason: _of_reason(rows, reason), reasons) for row in found]
    stands_for = _by_id(rows, {row["survivor_id"] for row in chosen if row["reason"] in contracts.DUPLICATE})
    wanted = [row for row in chosen if row["reason"] not in HIDDEN]
    shown = _texts(corpus, [*wanted, *stands_for.values()], texts)
    return [_example(row, stands_for.get(row["survivor_id"]), shown) for row in chosen]


def _rows(parts: Sequence[Recorded]) -> pa.Table:
    """The rows of some parts of the ledger, each with its `place`: split and ordinal."""

    def rows_of(part: Recorded) -> pa.Table:
        table = read_parquet(part.path, list(COLUMNS))
        places = {"split": np.full(table.num_rows, part.split), "ordinal": np.arange(table.num_rows)}
        for name, numbers in places.items():
            table = table.append_column(name, pa.array(numbers, pa.int64()))
        return table

    found = list(spread(rows_of, iter(parts)))
    return pa.concat_tables(found) if found else pa.table({"id": pa.array([], pa.string())})


def _of_reason(rows: pa.Table, reason: str) -> list[dict[str, Any]]:
    """The first by id of the first block, those before others whose survivor is among the rows: of its block too."""
    own = rows.filter(pc.equal(rows["reason"], reason))
    block = pc.divide(own["ordinal"], BLOCK)
    if reason in contracts.DUPLICATE:
        survivor = pc.index_in(own["survivor_id"], rows["id"].combine_chunks())
        if survivor.null_count < len(survivor):
            block = pc.max_element_wise(block, pc.divide(rows["ordinal"].take(survivor), BLOCK))
            own, block = own.filter(survivor.is_valid()), block.filter(survivor.is_valid())
    own = own.append_column("block", block)
    order = [(name, "ascending") for name in ("block", "id", "split", "ordinal")]
    return list(own.take(pc.select_k_unstable(own, EACH, order)).to_pylist())


def _by_id(rows: pa.Table, ids: set[str]) -> dict[str, dict[str, Any]]:
    """The documents that stand for others; of one that was read twice the one that dedup did not drop."""
    own = rows.filter(pc.is_in(rows["id"], pa.array(sorted(ids), pa.string())))
    found = [row for row in own.to_pylist() if row["reason"] not in contracts.DUPLICATE]
    return {row["id"]: row for row in reversed(found)}


def _texts(corpus: Corpus, rows: Sequence[dict[str, Any]], texts: Kept | None) -> dict[Place, str]:
    """The first characters of some documents, by their place. One whose file is gone or changed has none."""
    ids = {_place(row): bytes.fromhex(row["id"]) for row in rows}

    def of_split(own: list[Place]) -> dict[Place, str]:
        asked = [{"ordinal": place[1], "doc_id": ids[place]} for place in own]
        schema = pa.schema([("ordinal", pa.int64()), ("doc_id", contracts.HASH)])
        try:
            first = texts_of(corpus.split(own[0][0]), corpus, pa.RecordBatch.from_pylist(asked, schema=schema), texts)
        except (InputError, OSError, pa.ArrowException):
            return {}
        return dict(zip(own, first.to_pylist(), strict=True))

    by_split = (list(own) for _, own in itertools.groupby(sorted(ids), key=lambda place: place[0]))
    return {place: text for found in spread(of_split, by_split) for place, text in found.items()}


def _place(row: dict[str, Any]) -> Place:
    return row["split"], row["ordinal"]


def _example(row: dict[str, Any], other: dict[str, Any] | None, texts: dict[Place, str]) -> dict[str, Any]:
    found = {name: row[name] for name in COLUMNS}
    mine = texts.get(_place(row)) if row["reason"] not in HIDDEN else None
    its = texts.get(_place(other)) if other is not None else None
    survivor = None if other is None else {name: other[name] for name in ("id", "source", "path", "row", "reason")}
    if mine is None or its is None or survivor is None:
        return found | {"text": None if mine is None else _shown([(True, mine.split())]), "survivor": survivor}
    left, right = two_texts(mine, its)
    return found | {"text": left, "survivor": survivor | {"text": right}}


def two_texts(one: str, other: str, words: int = WORDS) -> tuple[Pieces, Pieces]:
    """Two texts to stand beside each other, with what differs marked, and at most so many words of each."""
    both, _ = stretches(one, other)
    left, right = (_shown([(_alike(part), _words(part, side)) for part in both], words) for side in ("left", "right"))
    return left, right


def _alike(stretch: Stretch) -> bool:
    """Whether both sides say the same but for case, which no duplicate is told apart by."""
    left, right = ([word.casefold() for word in _words(stretch, side)] for side in ("left", "right"))
    return left == right


def _words(stretch: Stretch, side: str) -> list[str]:
    return [word.text for word in (stretch.left if side == "left" else stretch.right)]


def _shown(parts: list[tuple[bool, list[str]]], room: int = WORDS) -> Pieces:
    """Stretches of words as they are shown: what is equal is folded, and all of it is cut."""
    pieces: Pieces = []
    for equal, words in parts:
        if not words:
            continue
        if equal and len(parts) > 1 and len(words) > UNBROKEN:
            words = [*words[:ENDS], f"[… {len(words) - 2 * ENDS:,} …]", *words[-ENDS:]]
        pieces.append((visible(" ".join(words[:room])), not equal))
        room -= len(words)
        if room <= 0:
            pieces.append(("…", False))
            break
    return pieces
