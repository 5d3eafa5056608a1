"""Words that a year has more of than the years before let expect (Kobak et al. 2025, Sci. Adv.; arXiv 2406.07016).

Needs dates and no detector. With p(t) the share of documents of year t that have a word, what is expected is
q = p(t-2) + 2 max(p(t-2) - p(t-3), 0), and the excess is p(t) - q, with the ratio p(t) / q. A word is *in excess* if the
excess is above 0.01, or log10 of the ratio above log10 2 - (log10 p + 4) (log10 2) / 4, for words with p at least 0.0001.
Text of language models brought such words into many documents at once; so do events (a pandemic).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations.metrics.row import Row
from expectations.wording import plural
from transforms.kernels.similarity import minhash
from transforms.kernels.statistics import diversity, vocabulary
from transforms.kernels.statistics.vocabulary import Vocabulary
from transforms.kernels.text import text

LEAST_DOCUMENTS = 1000  # of each of the years
LEAST_SHARE, LEAST_COUNT = 1e-4, 10
DELTA, SHOWN = 0.01, 10


def expected(before: npt.NDArray[np.float64], earlier: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The share that the years t-2 and t-3 let expect."""
    found: npt.NDArray[np.float64] = before + 2 * np.maximum(before - earlier, 0)
    return found


def in_excess(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether words with this share are in excess of what was expected."""
    p = np.maximum(p, 1e-12)
    ratio = np.log10(p) - np.log10(np.maximum(q, 1e-12))
    least = np.log10(2) - (np.log10(p) + 4) * np.log10(2) / 4
    found: npt.NDArray[np.bool_] = (p >= LEAST_SHARE) & ((p - q > DELTA) | (ratio > least))
    return found


def excess_rows(parts: list[Vocabulary], heads: list[str]) -> Iterator[Row]:
    """By year: how many words are in excess, and by how much the one that is most.

    Args:
      parts: documents of words of the release, by (year,).
      heads: beginnings of some of its documents, by which words are named.
    """
    whole = vocabulary.merge(parts)
    years = {int(name[0]) for name, n in whole.documents.items() if n >= LEAST_DOCUMENTS}
    names: dict[int, str] | None = None
    for year in sorted(year for year in years if {year - 2, year - 3} <= years):
        types, counts = whole.counts[str(year),]
        p, before, earlier = (_shares(whole, one, types) for one in (year, year - 2, year - 3))
        q = expected(before, earlier)
        found = in_excess(p, q) & (counts >= LEAST_COUNT)
        names = _names(heads) if names is None else names
        order = np.argsort(-(p - q), kind="stable")
        worst = [names[t] for t in types[order[found[order]]].tolist() if t in names][:SHOWN]
        rate = vocabulary.EVERYWHERE / whole.below
        note = f"of {plural(len(types), 'word')}, against {year - 2} and {year - 3}" + (
            f", 1 in {rate:g}" if rate > 1 else ""
        )
        row: Row = {"slice_kind": "year", "slice": str(year), "n": whole.documents[str(year),]}
        named = f"; most: {', '.join(worst)}" if worst else ""
        yield row | Row(metric="excess.words", value=float(found.sum() * rate), note=note + named)
        most = float((p - q)[found].max()) if found.any() else 0.0
        yield row | {"metric": "excess.delta_max", "value": most, "note": note}


def _shares(whole: Vocabulary, year: int, types: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    known, counts = whole.counts[str(year),]
    if not len(known):
        return np.zeros(len(types))
    at = np.minimum(np.searchsorted(known, types), len(known) - 1)
    return np.where(known[at] == types, counts[at], 0) / whole.documents[str(year),]


def _names(heads: list[str]) -> dict[int, str]:
    """Words by their type."""
    canonical, _ = text.canonicalise(pa.array(heads, pa.large_string()))
    words = sorted({word for one in canonical.to_pylist() for word in one.split(" ") if word})
    _, tokens = text.canonicalise(pa.array(words, pa.large_string()))
    offsets, types = diversity.sketch(*minhash.words(tokens), 1)
    return {int(types[offsets[i]]): word for i, word in enumerate(words) if offsets[i + 1] == offsets[i] + 1}
