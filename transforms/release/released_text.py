"""A split's text a second time, with what the ledger says of it: RELEASE batches, of what was kept.

It is read where an earlier release of the folder has it (earlier_texts.py), and else from the input, where it is held against
what the survey read. The batches are the same either way, and so are the bytes of shards.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations import contracts
from transforms.engine.threads import ahead
from transforms.ingest.columns import kept_as
from transforms.ingest.paragraph_removal import Unwanted, cut
from transforms.kernels.text.columns import hexadecimal, joined
from transforms.kernels.text.masking import mask
from transforms.kernels.text.personal import Kind
from transforms.release.earlier_texts import COLUMNS, EarlierTexts
from transforms.release.ledger import Recorded
from transforms.signals.corpus import Corpus
from transforms.signals.store import read_parquet

FOUND = ("language", "language_confidence")  # by the survey, where the input does not say
SAID = [name for name in contracts.release(()).schema.names if name not in (*COLUMNS, *FOUND)]  # by the ledger


class ReleasedBatch(NamedTuple):
    """RELEASE rows of one batch of a split as the input has it.

    Attributes:
      rows: what is kept of the batch.
      ordinals: of the rows, in the split.
      number: of the batch, if it was read from the input; None: from an earlier release.
    """

    rows: pa.RecordBatch
    ordinals: npt.NDArray[np.int64]
    number: int | None


def released(part: Recorded, corpus: Corpus, unwanted: Unwanted, earlier: EarlierTexts) -> Iterator[ReleasedBatch]:
    """RELEASE batches of one split: its text again, with what the ledger says of it.

    Args:
      part: its ledger.
      corpus: of which it is a split.
      unwanted: paragraphs that are removed.
      earlier: where text need not be read from the input, and which of its columns are asked for.

    Raises:
      InputError: the split is not what the survey read.
    """
    split, keep = corpus.split(part.split), earlier.keeps
    ledger = read_parquet(part.path).combine_chunks()
    surveyed = corpus.signals(split, ["doc_id", *FOUND]).combine_chunks()
    kept = ledger["kept"].to_numpy()
    done, left = -1, part.kept
    for number, ordinals, texts in earlier.read(split, kept):
        rows = _release(texts, ledger, surveyed, ordinals, keep)
        if not rows["id"].equals(joined(ledger["id"].take(pa.array(ordinals)))):
            break  # another document than the one that is meant
        yield ReleasedBatch(rows, ordinals, None)
        done, left = number, left - len(ordinals)
    if not left:
        return
    at = 0
    for number, (documents, _) in enumerate(ahead(corpus.read(split, keep))):
        n = documents.num_rows
        if not documents["doc_id"].equals(joined(surveyed["doc_id"].slice(at, n))):
            raise corpus.changed(split)
        if number > done:
            own = kept[at : at + n]
            documents, _ = cut(documents.filter(pa.array(own)), unwanted)
            ordinals = at + np.flatnonzero(own)
            rows = _release(_as_released(documents, corpus.mask, keep), ledger, surveyed, ordinals, keep)
            yield ReleasedBatch(rows, ordinals, number)
        at += n
    if at != part.documents:
        raise corpus.changed(split)


def _as_released(documents: pa.RecordBatch, masked: tuple[Kind, ...], keep: tuple[str, ...]) -> dict[str, pa.Array]:
    """What of documents is released as it was read, and their text, masked."""
    text, _ = mask(documents["text"], masked)
    return {
        **{name: documents[name] for name in ("created", "generator", "kind")},
        **{name: documents[kept_as(name)] for name in keep},
        "id": hexadecimal(documents["doc_id"]),
        "input_id": documents["id"],
        "text": text,
    }


def _release(
    read: Mapping[str, pa.Array] | pa.RecordBatch,
    ledger: pa.Table,
    signals: pa.Table,
    ordinals: npt.NDArray[np.int64],
    keep: tuple[str, ...],
) -> pa.RecordBatch:
    at = pa.array(ordinals)
    said, found = ledger.select(SAID).take(at), signals.select(FOUND).take(at)
    return contracts.release(keep).batch(
        {
            **{name: read[name] for name in (*COLUMNS, *keep)},
            **{name: joined(said[name]) for name in SAID},
            **{name: joined(found[name]) for name in FOUND},
        }
    )
