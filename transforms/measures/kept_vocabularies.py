"""Words and n-grams of what dedup kept, for a run with another ratio: it counts what the mixture drops, and takes that away.

They are most of what a tally costs. Counts are whole numbers, so a difference of them is exact, if the whole was counted in all
of its part of hash space: what `vocabulary.bounded` cut for one mixture, another may have room for.
"""

from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from transforms.engine.memory import give_back
from transforms.engine.threads import Beside
from transforms.ingest.sources import Splits
from transforms.kernels.statistics import vocabulary
from transforms.kernels.statistics.diversity import ORDERS, TypeCounts
from transforms.kernels.statistics.vocabulary import Vocabulary
from transforms.kernels.text.columns import packed
from transforms.measures.tally import FOLDED_BELOW, Tally
from transforms.mixture.left_by_dedup import decisions_of
from transforms.signals.kept import Kept

VOCABULARIES = "vocabularies"  # the kind of what is kept
BEFORE, DEDUPLICATED, AFTER = range(3)  # how far documents came: numbers of `populations.STAGES`
FIELDS = ("ngrams", "folded")  # of a tally
POPULATION = ("at", "whose", "source", "language", "fold")
ROWS = pa.schema(
    [
        ("field", pa.string()),
        ("order", pa.int64()),
        ("below", pa.int64()),
        *((name, pa.string() if name == "language" else pa.int64()) for name in POPULATION),  # no fold: all
        ("with_text", pa.int64()),  # documents
        ("types", pa.large_binary()),  # uint32
        ("documents", pa.large_binary()),  # of each type, an unsigned number
        ("width", pa.int64()),  # its bytes
    ]
)  # one row a population


def _of_stage(one: Vocabulary, stage: int, named: int) -> Vocabulary:
    """The populations of one stage, under the name of another."""
    names = {name: (named, *name[1:]) for name in one.counts if name[0] == stage}
    return Vocabulary(
        {new: one.counts[old] for old, new in names.items()},
        {new: one.documents[old] for old, new in names.items()},
        one.below,
    )


def before_mixture(one: Vocabulary) -> Vocabulary:
    """The same documents, as far as they came before the mixture: what it drops is with what it keeps."""
    return vocabulary.merge(
        [_of_stage(one, stage, min(stage, DEDUPLICATED)) for stage in (BEFORE, DEDUPLICATED, AFTER)]
    )


def after_mixture(whole: Vocabulary, dropped: Vocabulary) -> Vocabulary:
    """What `before_mixture` was made of, for a mixture that drops other documents.

    Args:
      whole: of all documents, before it.
      dropped: of those that it drops alone.
    """
    kept = vocabulary.less(_of_stage(whole, DEDUPLICATED, AFTER), _of_stage(dropped, DEDUPLICATED, AFTER))
    return vocabulary.merge([_of_stage(whole, BEFORE, BEFORE), _of_stage(dropped, DEDUPLICATED, DEDUPLICATED), kept])


@beam.typehints.with_output_types(type(None))
class KeepVocabularies(Beside[Tally, None]):
    """The tally of a corpus -> nothing, once its vocabularies are kept."""

    def __init__(self, decisions: Kept, splits: Splits) -> None:
        self.decisions, self.splits = decisions, splits

    def work(self, tally: Tally, *_: object) -> tuple[()]:
        """One file, of all splits; none of a corpus with too many types: how many of them count depends on the mixture."""
        if is_whole(tally):
            made_of = decisions_of(self.decisions, self.splits)
            rows = pa.RecordBatchReader.from_batches(ROWS, _rows(tally))
            self.decisions.write(VOCABULARIES, rows, made_of, plain=("types",))
            give_back()  # as much as the largest vocabulary, where a run holds most
        return ()


def is_whole(tally: Tally) -> bool:
    """Whether no vocabulary was cut to fit into memory."""
    return all(
        part.below == (FOLDED_BELOW[ORDERS.index(order)] if field == "folded" else vocabulary.EVERYWHERE)
        for field in FIELDS
        for order, parts in getattr(tally, field).items()
        for part in parts
    )


def _rows(tally: Tally) -> Iterator[pa.RecordBatch]:
    """A batch for each vocabulary, made when it is written: all of them are the most that a run holds."""
    for field in FIELDS:
        for order, parts in getattr(tally, field).items():
            one = before_mixture(vocabulary.merge(parts))
            said = {"field": field, "order": order, "below": one.below}
            rows = [said | dict(zip(POPULATION, name, strict=False)) for name in one.counts]
            types = np.concatenate([np.zeros(0, np.uint32), *(own.types for own in one.counts.values())])
            documents = np.concatenate([np.zeros(0, np.int64), *(own.documents for own in one.counts.values())])
            narrow = documents.astype(np.min_scalar_type(documents.max(initial=0)))
            ends = np.cumsum([0, *(len(own.types) for own in one.counts.values())])
            columns = {
                "with_text": pa.array([one.documents[name] for name in one.counts], pa.int64()),
                "types": packed(ends, types, pa.large_binary()),
                "documents": packed(ends, narrow, pa.large_binary()),
                "width": pa.repeat(pa.scalar(narrow.itemsize, pa.int64()), len(rows)),
            }
            named = pa.RecordBatch.from_pylist(rows, schema=pa.schema([f for f in ROWS if f.name not in columns]))
            yield pa.RecordBatch.from_arrays([*named.columns, *columns.values()], schema=ROWS)


def complete(tally: Tally, decisions: Kept) -> Tally:
    """The tally whose vocabularies are of what the mixture drops alone, with those of all documents.

    Raises:
      DamagedError: what was kept is not what was written.
    """
    known: dict[tuple[str, int], Vocabulary] = {}
    for row in decisions.read(VOCABULARIES, ROWS).to_pylist():
        one = known.setdefault((row["field"], row["order"]), Vocabulary({}, {}, row["below"]))
        name = tuple(row[part] for part in POPULATION if row[part] is not None)
        documents = np.frombuffer(row["documents"], f"u{row['width']}").astype(np.int64)
        one.counts[name] = TypeCounts(np.frombuffer(row["types"], np.uint32), documents)
        one.documents[name] = row["with_text"]
    for field in FIELDS:
        of_field = getattr(tally, field)
        for order, parts in of_field.items():
            dropped = vocabulary.merge(parts)
            of_field[order] = [after_mixture(known.get((field, order), Vocabulary({}, {}, dropped.below)), dropped)]
    return tally
