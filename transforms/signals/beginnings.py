"""The first characters of a few documents, as a person is shown them: read again from the files, and kept for the next run.

The review queue and the examples of a report want the same few documents in every run of a corpus, and to find one of them all
text before it is read. What is kept of a split grows by the documents that another ratio asks for.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from transforms.engine.checksums import DamagedError
from transforms.ingest.sources import InputError, Split
from transforms.kernels.text.masking import mask
from transforms.kernels.text.personal import Kind
from transforms.signals.corpus import Corpus
from transforms.signals.kept import Kept, digest_of

TEXTS = "texts"  # the kind of what is kept
TEXT_CHARS = 2000
BEGINNINGS = pa.schema([("ordinal", pa.int64()), ("doc_id", contracts.HASH), ("text", pa.large_string())])


def texts_of(split: Split, corpus: Corpus, rows: pa.RecordBatch, texts: Kept | None = None) -> pa.LargeStringArray:
    """The first characters of some documents of a split, masked, in the order of `rows`.

    Args:
      split: of the corpus.
      corpus: what is read.
      rows: `ordinal` and `doc_id` of each, no document twice.
      texts: where such texts are kept; None: nowhere.

    Raises:
      InputError: the split is not what the survey read.
    """
    wanted = rows["ordinal"].to_numpy().astype(np.int64)
    made_of = digest_of([corpus.store.path(split)]) if texts else None
    found = _kept(texts, split, made_of)
    missing = np.setdiff1d(wanted, found["ordinal"].to_numpy())
    if len(missing):
        found = pa.concat_batches([found, _read(split, corpus, missing)])
    at = pc.index_in(pa.array(wanted), found["ordinal"])
    if at.null_count or not found["doc_id"].take(at).equals(rows["doc_id"]):
        raise InputError(
            f"source {corpus.source(split).name!r}: {split.pieces[0].path} changed while the run was going; run again"
        )
    if texts and made_of and len(missing):
        texts.write(TEXTS, found, made_of, split, plain=("doc_id",))
    return found["text"].take(at)


def _kept(texts: Kept | None, split: Split, made_of: str | None) -> pa.RecordBatch:
    """BEGINNINGS of a split that earlier runs read; a run that cleans the store may be at work."""
    try:
        if texts and texts.has(TEXTS, made_of, split):
            return texts.read(TEXTS, BEGINNINGS, split)
    except (DamagedError, FileNotFoundError):
        pass
    return pa.RecordBatch.from_pylist([], schema=BEGINNINGS)


def _read(split: Split, corpus: Corpus, wanted: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """BEGINNINGS of some documents, from the files.

    Args:
      wanted: ordinals, rising.
    """
    found = [pa.RecordBatch.from_pylist([], schema=BEGINNINGS)]
    at = 0
    for documents, _ in corpus.read(split):
        here = wanted[(wanted >= at) & (wanted < at + documents.num_rows)]
        found.append(_first(documents.take(pa.array(here - at)), here, corpus.mask))
        at += documents.num_rows
        if at > wanted[-1]:
            break
    return pa.concat_batches(found)


def _first(documents: pa.RecordBatch, ordinals: npt.NDArray[np.int64], masked: tuple[Kind, ...]) -> pa.RecordBatch:
    text = pc.utf8_slice_codeunits(mask(documents["text"], masked)[0], 0, TEXT_CHARS)
    return pa.RecordBatch.from_arrays([pa.array(ordinals), documents["doc_id"], text], schema=BEGINNINGS)
