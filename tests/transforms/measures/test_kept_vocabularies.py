"""What a mixture drops, taken from what dedup kept: the vocabularies are those of a count of all documents."""

import pathlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.ingest.sources import Piece, Split, Splits
from transforms.kernels.statistics import vocabulary
from transforms.kernels.statistics.vocabulary import Vocabulary
from transforms.measures import kept_vocabularies
from transforms.measures.kept_vocabularies import FIELDS, KeepVocabularies, complete, is_whole
from transforms.measures.tally import FOLDED_BELOW, Tally, ordered
from transforms.mixture.left_by_dedup import DECISIONS
from transforms.signals.kept import Kept
from transforms.signals.store import SignalStore

NAMES = [
    (at, who, source, language) for at in range(3) for who in (0, 1) for source in (0, 1) for language in ("de", "en")
]
BY_FOLD = [(*name, fold) for name in NAMES for fold in range(2)]
Document = tuple[bool, int, set[int]]  # whether dedup kept it, whose it is, its types
document = st.tuples(
    st.booleans(), st.integers(0, 7), st.sets(st.integers(0, 2**32 - 1) | st.integers(0, 9), max_size=5)
)


def tally(documents: list[Document], dropped: set[int], of_all: bool = True) -> Tally:
    """Of documents of which a mixture drops some, by number."""
    at = np.array(
        [(1 if number in dropped else 2) if kept else 0 for number, (kept, _, _) in enumerate(documents)], int
    )
    group = at * 8 + np.array([who for _, who, _ in documents], int)
    group = np.where(of_all | (at == 1), group, -1)
    fold = np.where(group < 0, -1, 2 * group + np.arange(len(group)) % 2)
    types = np.array([one for _, _, own in documents for one in own], np.uint32)
    offsets = np.cumsum([0, *(len(own) for _, _, own in documents)])
    total = Tally()
    for order, below in enumerate(FOLDED_BELOW, 1):
        total.ngrams[order] = [vocabulary.count(offsets, types, group, NAMES)]
        total.folded[order] = [vocabulary.count(offsets, types, fold, BY_FOLD, below)]
    return total


def plain(one: Vocabulary) -> tuple[dict, dict, int]:
    counts = {name: dict(zip(c.types.tolist(), c.documents.tolist(), strict=True)) for name, c in one.counts.items()}
    return counts, one.documents, one.below


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Kept, Splits]:
    """Where a run keeps what it counted, with decisions that it is of."""
    signals = SignalStore(str(tmp_path_factory.mktemp("signals")), (("source 0", ""),))
    kept, split = Kept(signals, "of a recipe"), Split(0, 0, (Piece("a", "jsonl", "", 1, "1"),), 1)
    kept.write(DECISIONS, pa.RecordBatch.from_pydict({"n": [1]}), "signals", split)
    return kept, Splits((split,))


@settings(max_examples=25)
@pytest.mark.parametrize("most", [1 << 20, 7])
@given(
    documents=st.lists(document, min_size=1, max_size=12),
    first=st.sets(st.integers(0, 11)),
    second=st.sets(st.integers(0, 11)),
)
def test_another_mixture_is_counted_by_what_it_drops(
    most: int, documents: list[Document], first: set[int], second: set[int], store: tuple[Kept, Splits]
) -> None:
    kept, splits = store
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "MOST_COUNTS", most)
        before, expected = ordered(tally(documents, first)), ordered(tally(documents, second))
        pathlib.Path(kept.path(kept_vocabularies.VOCABULARIES)).unlink(missing_ok=True)
        KeepVocabularies(kept, splits).work(before)
        assert kept.has(kept_vocabularies.VOCABULARIES, kept_vocabularies.decisions_of(kept, splits)) == is_whole(
            before
        )
        if is_whole(before):
            found = ordered(complete(tally(documents, second, of_all=False), kept))
            for field in FIELDS:
                for order, (one,) in getattr(expected, field).items():
                    assert plain(getattr(found, field)[order][0]) == plain(one)
