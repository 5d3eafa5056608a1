"""A detector that is only counted: in which documents does a word occur, among human texts and among machine texts?

The word-occurrence model of Liang et al. 2024 (arXiv 2403.07183, equations 3 to 5). With p_w and q_w the fractions of human and
of machine documents that have the word w,

    log P(machine) / P(human) = sum over present words of log q_w / p_w + sum over absent ones of log (1 - q_w) / (1 - p_w).

They look at sentences; here it is the first hundred words of a document, so that all documents are equally long. Words do not
occur independently, so the log-ratio is far too sure of itself, and their estimate, which takes it at its word, is far too
high on text of many kinds (docs/decisions/0016). Here the ratio is a score like any other's, calibrated on sources left out.

A table of counts is a Parquet file; nothing is trained. `lowbackground detector words` counts one from labelled text.
"""

import dataclasses
import functools
import hashlib
import io
import json
import os

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations import parquet
from expectations.wording import named
from transforms.detector.calibration import Language
from transforms.detector.fasttext_file import DetectorError
from transforms.detector.training.calibrate import languages_of
from transforms.detector.training.labelled import Labelled, TrainingError
from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.lookup import as_bits, first_from, is_among
from transforms.kernels.models.linear import hash_words
from transforms.kernels.text import language
from transforms.kernels.text.columns import ranges
from transforms.kernels.text.text import PUNCTUATION, Tokens, canonicalise

BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bundled", "words")
FILE = "words.parquet"
FORMAT = 1
CARD = (
    "Counts of the documents in which a word is among the first hundred, human and machine (Liang et al. 2024, 2403.07183). "
    "Weaker than a trained model, and a cross-check of one: it knows nothing of order, punctuation or length."
)
FIRST = 100  # words of a document that are looked at; one with fewer has no score
RAREST = 20  # documents of each class that a word must occur in
MOST = 5000  # words of a language, the most frequent
_MAYBE_BITS = 18  # 32 KB, of which the words of four languages set one bit in thirteen
_TO_BIT, _ONE, _OF_LANGUAGE = np.uint64(64 - _MAYBE_BITS), np.uint64(1), np.uint64(0x9E3779B97F4A7C15)
_COLUMNS = {"language": pa.int8(), "word": pa.string(), "human": pa.int32(), "machine": pa.int32()}
SCHEMA = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _COLUMNS.items()])


@dataclasses.dataclass(frozen=True)
class Words:
    """The scorer. Equal tables give equal scores.

    Attributes:
      version: of the table, a hash of its bytes.
      languages: how a text's language is known.
      maybe, before: bits of `key` that are counted (`kernels/lookup.py`).
      key: of a word in a language (`_keyed`), rising; the last is none.
      weight: what each adds to the log-odds of a text that has it.
      absent: log-odds of a text that has none of the words; float64[languages].
    """

    version: str
    languages: tuple[Language, ...]
    maybe: npt.NDArray[np.uint64]
    before: npt.NDArray[np.uint32]
    key: npt.NDArray[np.uint64]
    weight: npt.NDArray[np.float64]
    absent: npt.NDArray[np.float64]

    @functools.cached_property
    def _lists(self) -> language.WordLists:
        return language.word_lists([known.words for known in self.languages])

    def score(self, texts: pa.LargeStringArray) -> npt.NDArray[np.float32]:
        """Log-ratio of each text, float32[texts]; NaN for a short one and for one in none of the languages."""
        return self.scores(texts, canonicalise(texts)[1])[:, 0]

    @property
    def experts(self) -> tuple[str, ...]:
        """The table alone."""
        return ("words",)

    def scores(self, texts: pa.LargeStringArray, tokens: Tokens) -> npt.NDArray[np.float32]:
        """The same for tokens that are there already, float32[texts, 1]."""
        least = np.array([known.least for known in self.languages], np.float32)
        spoken = language.language_of(language.covered(tokens, self._lists), least)
        out = np.full(len(tokens.offsets) - 1, np.nan, np.float32)
        read = (
            tokens.offsets,
            tokens.kind,
            tokens.hash64,
            spoken,
            self.maybe,
            self.before,
            self.key,
            self.weight,
            self.absent,
        )
        _ratios(*read, np.zeros(len(self.key), np.int64), np.empty(FIRST + 1, np.uint64), out)
        return out[:, None]


def bundled() -> Words:
    """The scorer with the table that is shipped: what the entry point `words` makes."""
    with open(os.path.join(BUNDLED, FILE), "rb") as source:
        return read_words(source.read(), FILE)


@inlined
def _keyed(hash64, language):  # type: ignore[no-untyped-def]
    """A word's name in the table of all languages."""
    return hash64 ^ np.uint64(language) * _OF_LANGUAGE


@kernel("i64[] u8[] u64[] i8[] u64[] u32[] u64[] f64[] f64[] i64[]! u64[]! f32[]!")
def _ratios(offsets, kind, hash64, spoken, maybe, before, known, weight, absent, seen, found, out):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        if spoken[d] < 0:
            continue
        # First all that may be in the table, then the table, as with n-grams (`kernels/similarity/ngrams.py`).
        n, words = np.uint64(0), np.uint64(0)
        for t in range(np.uint64(offsets[d]), np.uint64(offsets[d + 1])):
            key = _keyed(hash64[t], spoken[d])
            is_word = np.uint64(kind[t] != PUNCTUATION)
            found[n] = key
            n += is_word & is_among(maybe, key >> _TO_BIT)
            words += is_word
            if words == FIRST:
                break
        if words < FIRST:
            continue
        total = absent[spoken[d]]
        for i in range(n):
            key = found[i]
            number = first_from(maybe, before, known, key, key >> _TO_BIT)
            if known[number] == key:
                total += weight[number] * (seen[number] != d + 1)
                seen[number] = d + 1
        out[d] = total


def count_words(labelled: Labelled, chosen: npt.NDArray[np.bool_]) -> bytes:
    """The table of some labelled documents, as a Parquet file; the same documents give the same bytes.

    Raises:
      TrainingError: no language has enough documents of `FIRST` words.
    """
    chosen = chosen & (labelled.n_tokens >= FIRST)
    languages = languages_of(labelled, chosen)
    column = labelled.group("language")
    if not languages:
        raise TrainingError(
            f"no language has 50 documents of each class with {FIRST} words; the data needs a column language"
        )
    parts, totals = [], []
    for place, known in enumerate(languages):
        counts = []
        for machine in (False, True):
            own = np.flatnonzero(chosen & (column == known.name) & (labelled.machine == machine))
            counts.append(_occurrences(labelled, own, "machine" if machine else "human"))
            totals.append(len(own))
        both = counts[0].join(counts[1], "word", join_type="inner")
        both = both.filter((pc.field("human") >= RAREST) & (pc.field("machine") >= RAREST))
        both = both.append_column("n", pc.add(both["human"], both["machine"]))
        both = both.sort_by([("n", "descending"), ("word", "ascending")]).slice(0, MOST)
        columns = [np.full(len(both), place, np.int8), *(both[name] for name in SCHEMA.names[1:])]
        parts.append(pa.table(dict(zip(SCHEMA.names, columns, strict=True))).cast(SCHEMA))
    about = {
        "format": FORMAT,
        "first": FIRST,
        "languages": [
            dataclasses.asdict(known) | {"human": human, "machine": machine}
            for known, human, machine in zip(languages, totals[::2], totals[1::2], strict=True)
        ],
    }
    out = io.BytesIO()
    table = pa.concat_tables(parts).replace_schema_metadata({"words": json.dumps(about, sort_keys=True)})
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _occurrences(labelled: Labelled, documents: npt.NDArray[np.int64], name: str) -> pa.Table:
    """word, and in how many documents it is among the first words."""
    offsets = labelled.tokens.offsets
    sizes = offsets[documents + 1] - offsets[documents]
    owner = np.repeat(np.arange(len(documents)), sizes)
    places = ranges(sizes, offsets[documents])
    is_word = labelled.tokens.kind[places] != PUNCTUATION
    before = np.cumsum(is_word) - is_word
    first = is_word & (before - before[np.cumsum(sizes) - sizes][owner] < FIRST)
    # The tokens of a canonical text are what stands between its spaces.
    spelled = pc.list_flatten(pc.split_pattern(labelled.canonical.take(pa.array(documents)), " "))
    pairs = pa.table({"document": owner[first], "word": spelled.filter(pa.array(first))})
    return (
        pairs.group_by(["document", "word"])
        .aggregate([])
        .group_by("word")
        .aggregate([([], "count_all")])
        .rename_columns(["word", name])
    )


def read_words(data: bytes, path: str) -> Words:
    """Read a table of counts.

    Raises:
      DetectorError: it is not one, or its numbers contradict each other.
    """
    try:
        table = parquet.read(pa.py_buffer(data))
        about = json.loads((table.schema.metadata or {})[b"words"])
        if about["format"] != FORMAT or about["first"] != FIRST:
            raise ValueError(f"format {about['format']}")
        languages = tuple(
            Language(str(one["name"]), tuple(map(str, one["words"])), float(one["least"])) for one in about["languages"]
        )
        totals = [(int(one["human"]), int(one["machine"])) for one in about["languages"]]
        return _words(hashlib.sha256(data).hexdigest()[:16], languages, totals, table.select(SCHEMA.names).cast(SCHEMA))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DetectorError(f"{path}: not a table of word counts ({named(error)}). Count it again") from None


def _words(version: str, languages: tuple[Language, ...], totals: list[tuple[int, int]], table: pa.Table) -> Words:
    keys, weights, absent = [], [], []
    for place, (n_human, n_machine) in enumerate(totals):
        own = table.filter(pc.equal(table["language"], place))
        human, machine = (own[name].to_numpy().astype(np.float64) for name in ("human", "machine"))
        # A half more on either side, so that nothing is impossible.
        p, q = (human + 0.5) / (n_human + 1), (machine + 0.5) / (n_machine + 1)
        if not len(own) or (human < 0).any() or (machine < 0).any() or max(p.max(), q.max()) >= 1:
            raise ValueError("a count is not between 0 and the number of documents")
        gone = np.log((1 - q) / (1 - p))
        absent.append(float(gone.sum()))
        keys.append(_keyed.py_func(hash_words([word.encode() for word in own["word"].to_pylist()]), np.array([place])))
        weights.append(np.log(q / p) - gone)
    key = np.concatenate(keys)
    order = np.argsort(key)
    key = key[order]
    if (key[1:] == key[:-1]).any():
        raise ValueError("a word is there twice")
    maybe, before = as_bits((key >> _TO_BIT).astype(np.int64), 1 << _MAYBE_BITS)
    weight = np.append(np.concatenate(weights)[order], 0.0)
    return Words(version, languages, maybe, before, np.append(key, np.uint64(2**64 - 1)), weight, np.array(absent))
