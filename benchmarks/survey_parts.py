"""Parts of the survey beside the way that each was done before: CPU seconds, in turns, and the same results.

    python -m benchmarks.survey_parts CORPUS_DIR [--repeats 5]

CORPUS_DIR comes from `benchmarks.corpus`. The ways before are kept here, in few lines, and nowhere else (decisions 65, 81, 89).
"""

import argparse
import hashlib
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from isal import igzip

from benchmarks.reading_speed import blocks_of
from expectations.contracts import HASH
from pipeline.execution import give_memory_back
from transforms.detector.detector import load_detector
from transforms.ingest.columns import document_ids
from transforms.ingest.json_columns import Block, ColumnReader
from transforms.ingest.sources import Split
from transforms.kernels.compiled import kernel
from transforms.kernels.lookup import first_at_least, is_new
from transforms.kernels.models.linear import hash32
from transforms.kernels.similarity import duplicate_rate, minhash, ngrams
from transforms.kernels.similarity.ngrams import _START, _extend, weigh
from transforms.kernels.statistics import diversity, repetition
from transforms.kernels.text import dates, literals
from transforms.kernels.text.columns import distinct_numbers, hash_texts, packed, text_buffers
from transforms.kernels.text.personal import (
    _ALPHANUMERIC,
    _AT,
    _BETWEEN,
    _CLASSES,
    _COLON,
    _DIGIT,
    _DOT,
    _HYPHEN,
    _TOKEN,
    _UPPER,
    KINDS,
    may_hold,
)
from transforms.kernels.text.text import Tokens, canonicalise
from transforms.origin.witnesses import EvidenceConfig, load_witnesses
from transforms.signals.store import HASHES, SignalStore, read_parquet, write_parquet

_ONE, _S32 = np.uint64(1), np.uint64(32)


def traces_by_numpy(offsets: npt.NDArray[np.int64], shingles: npt.NDArray[np.uint32]) -> duplicate_rate.Traces:
    """All documents' hashes sorted at once, behind the number of the document."""
    n = np.diff(offsets)
    halved = np.ceil(np.log2(np.maximum(n, 1) / duplicate_rate.MOST)).clip(0).astype(np.int64)
    hashes = minhash.mixed(shingles.astype(np.uint64) ^ duplicate_rate._OTHER) >> _S32
    document = np.repeat(np.arange(len(n)), n)
    kept = hashes < np.uint64(1 << 32) >> halved[document].astype(np.uint64)
    sets = distinct_numbers(document[kept].astype(np.uint64) << _S32 | hashes[kept])
    size = np.bincount((sets >> _S32).astype(np.int64), minlength=len(n))
    keys = np.full(len(n), np.uint64(2**64 - 1))
    own = minhash.mixed(shingles.astype(np.uint64) ^ duplicate_rate._SALT)
    keys[n > 0] = np.minimum.reduceat(own, offsets[:-1][n > 0])
    return duplicate_rate.Traces(keys, halved, size, sets.astype(np.uint32))


def dates_by_patterns(values: pa.StringArray) -> pa.TimestampArray:
    """Each group of a regular expression a number."""
    with mock.patch.object(dates, "_plain", return_value=None):
        return dates.from_strings(values)


def ids_joined(source: str, ids: pa.StringArray, text: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    """What is hashed made one text first."""
    name = source.encode()
    sizes = pc.binary_length(ids).cast(pa.int64()).to_numpy().astype("<i8")
    sizes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(ids), [None, pa.py_buffer(sizes)])
    parts = pa.scalar(len(name).to_bytes(8, "little") + name, pa.large_binary()), sizes.cast(pa.large_binary()), ids
    last = text.cast(pa.large_binary()), pa.scalar(b"", pa.large_binary())
    return hash_texts(pc.binary_join_element_wise(*parts[:2], ids.cast(pa.large_binary()), *last))


@kernel("i64[] u64[] u64[] u64[] u64[] i64 f32[,] i64 f64[] u8[]! u64[]! u64[]! f32[,]!")
def _score(offsets, hash64, maybe, table, places, longest, weight, slots, bias, counts, touched, candidates, out):  # type: ignore[no-untyped-def]
    last = np.uint64(slots - 1)
    for d in range(len(offsets) - 1):
        n = np.uint64(0)
        end = np.uint64(offsets[d + 1])
        for start in range(np.uint64(offsets[d]), end):
            h = _START
            for j in range(start, min(start + np.uint64(longest), end)):
                h = _extend(h, hash64[j])
                candidates[n] = h
                n += (maybe[h >> np.uint64(49)] >> ((h >> np.uint64(43)) & np.uint64(63))) & _ONE
        n_touched = 0
        for i in range(n):
            h = candidates[i]
            slot = (h ^ (h >> _S32)) & last
            while places[slot] and table[slot] != h:
                slot = (slot + _ONE) & last
            if places[slot]:
                number = places[slot] - _ONE
                touched[n_touched] = number
                n_touched += counts[number] == 0
                counts[number] += counts[number] < np.uint8(255)
        weigh(touched, n_touched, counts, weight, bias, d, out)


def by_slots(model: ngrams.NgramModel) -> Callable[[Tokens], npt.NDArray[np.float32]]:
    """Scores by n-grams in an open-addressing table, which is two thirds empty."""
    slots = 1 << (2 * len(model.hash64)).bit_length()
    table, places = np.zeros(slots, np.uint64), np.zeros(slots, np.uint64)
    for number, hash64 in enumerate(model.hash64[:-1].tolist()):
        slot = (hash64 ^ hash64 >> 32) & (slots - 1)
        while places[slot]:
            slot = (slot + 1) & (slots - 1)
        table[slot], places[slot] = hash64, number + 1
    counts, touched = np.zeros(len(model.weight), np.uint8), np.empty(len(model.weight), np.uint64)

    def score(tokens: Tokens) -> npt.NDArray[np.float32]:
        out = np.empty((len(tokens.offsets) - 1, model.weight.shape[1]), np.float32)
        room = np.empty(int(np.diff(tokens.offsets).max(initial=0)) * model.longest + 1, np.uint64)
        read = (
            tokens.offsets,
            tokens.hash64,
            model.maybe,
            table,
            places,
            model.longest,
            model.weight,
            slots,
            model.bias,
        )
        _score(*read, counts, touched, room, out)
        return out

    return score


@kernel("u8[] i64[] u8[] u8[,]!")
def _may_hold(data, offsets, classes, may):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        digits, dots, colons, token, upper, hyphens = 0, 0, 0, 0, 0, 0
        was_digit, was_dot = False, False
        for i in range(offsets[d], offsets[d + 1]):
            c = classes[data[i]]
            is_digit, is_dot = c & _DIGIT != 0, data[i] == _DOT
            if is_digit:
                digits += 1
                may[d, 1] |= digits == 7
                may[d, 2] |= digits == 13
                may[d, 3] |= upper == 2 and i + 1 < offsets[d + 1] and classes[data[i + 1]] & _DIGIT != 0
                dots += was_dot
                may[d, 4] |= dots >= 3
            elif not c & _BETWEEN:
                digits = 0
            if not is_digit and not (is_dot and was_digit):
                dots = 0
            upper = upper + 1 if c & _UPPER else 0
            hyphens = hyphens + 1 if c & _HYPHEN else 0
            token = token + 1 if c & _TOKEN else 0
            may[d, 5] |= token >= 20 or hyphens >= 5
            if c & _COLON:
                colons += 1
                may[d, 4] |= colons >= 2
            elif not c & _ALPHANUMERIC:
                colons = 0
            may[d, 0] |= c & _AT != 0
            was_digit, was_dot = is_digit, is_dot and was_digit


def may_hold_by_states(text: pa.LargeStringArray) -> npt.NDArray[np.bool_]:
    """Every byte changes what was seen of each kind so far."""
    may = np.zeros((len(text), len(KINDS)), np.uint8)
    _may_hold(*text_buffers(text), _CLASSES, may)
    return may.view(bool)


@kernel("u8[] u32[] i64[] u8[] i64[] i64[] i64[] bool[] u32[] i64[] i64[] bool[,]!")
def _search(data, words, offsets, folded, ends, groups, within, seen, grams, strings, places, found):  # type: ignore[no-untyped-def]
    last = offsets[len(offsets) - 1]
    d = 0
    for i in range(np.uint64(offsets[0] // 4), np.uint64(min((last + 3) // 4, len(words)))):
        word = words[i] | literals._FOLDS
        if not seen[np.uint32(word * literals._MULTIPLIER) >> literals._SHIFT]:
            continue
        n = first_at_least(grams, word)
        while n < len(grams) and grams[n] == word:
            base, size = ends[strings[n]], ends[strings[n] + 1] - ends[strings[n]]
            group = groups[strings[n]]
            start = np.int64(4 * i) - places[n]
            end = start + size
            n += 1
            if start < offsets[0] or end > last:
                continue
            while offsets[d + 1] <= start:
                d += 1
            while offsets[d] > start:
                d -= 1
            if end > offsets[d + 1] or start - offsets[d] >= within[group] or found[d, group]:
                continue
            equal = 0
            while equal < size and data[start + equal] | literals._FOLD == folded[base + equal]:
                equal += 1
            found[d, group] = equal == size


def search_by_halves(looked_for: literals.Literals) -> Callable[[pa.LargeStringArray], npt.NDArray[np.bool_]]:
    """Of four bytes that may be a string's, all of them are searched for by halves."""
    order = np.argsort(looked_for.grams, kind="stable")
    sorted_by_bytes = (column[order] for column in (looked_for.grams, looked_for.string, looked_for.at))
    table = (*looked_for[:5], *sorted_by_bytes)

    def search(text: pa.LargeStringArray) -> npt.NDArray[np.bool_]:
        data, offsets = text_buffers(text)
        found = np.zeros((len(text), len(looked_for.within)), np.bool_)
        _search(data, data[: len(data) // 4 * 4].view(np.uint32), offsets, *table, found)
        return found

    return search


def hashes_one_by_one(texts: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    """By the standard library."""
    return pa.array(
        [hashlib.blake2b(text, digest_size=16).digest() for text in texts.cast(pa.large_binary()).to_pylist()], HASH
    )


def with_both_hashes(texts: pa.LargeStringArray) -> tuple[Any, ...]:
    """The canonical form, and the hash of each token that only fastText's models ask for."""
    canonical, tokens = canonicalise(texts)
    hash32(tokens)
    return canonical, *tokens


def with_one_hash(texts: pa.LargeStringArray) -> tuple[Any, ...]:
    """Without that."""
    canonical, tokens = canonicalise(texts)
    return canonical, *tokens


@kernel("i64[] u64[] i64 i64 u32[]! i64[]! u32[]! i64[]!")
def _sketch(word_offsets, words, order, rate, table, stamp, out, out_offsets):  # type: ignore[no-untyped-def]
    n = 0
    for d in range(len(word_offsets) - 1):
        start = word_offsets[d]
        end = min(word_offsets[d + 1], start + diversity.WINDOW)
        for t in range(start, end - order + 1):
            h = np.uint64(order)
            for i in range(order):
                h = h * minhash.POLYNOMIAL + words[t + i]
            value = np.uint32(minhash.mix64(h) >> _S32)
            if value & np.uint32(rate - 1):
                continue
            if is_new(table, stamp, diversity._SLOTS, d, value >> np.uint32(8), value):
                out[n] = value
                n += 1
        out_offsets[d + 1] = n
    return n


def sketches_by_branches(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint64]) -> tuple[Any, ...]:
    """One n-gram after the other, each hashed, drawn and looked up."""
    found = []
    for order, rate in zip(diversity.ORDERS, diversity.RATES, strict=True):
        table, stamp = np.empty(diversity._SLOTS, np.uint32), np.full(diversity._SLOTS, -1, np.int64)
        out, ends = np.empty(len(words), np.uint32), np.zeros(len(offsets), np.int64)
        n = _sketch(offsets, words, order, rate, table, stamp, out, ends)
        found.append((ends, out[:n].copy()))
    return tuple(found)


def sketches(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint64]) -> tuple[Any, ...]:
    """Of all orders."""
    return tuple(diversity.sketch(offsets, words, order) for order in diversity.ORDERS)


def read_as_data_set(path: str, columns: list[str]) -> pa.Table:
    """By Arrow's reader of data sets."""
    read = {"use_threads": False, "pre_buffer": False, "memory_map": True, "partitioning": None}
    return pq.read_table(path, columns=columns, **read)


def stored(words: list[tuple[Any, ...]], folder: str) -> None:
    """What words take in the store: types of all documents, first words of one in six; bytes a document and CPU seconds."""
    batches, keep = [], np.arange(1 << 20) % 6 == 0
    for offsets, hashes in words:
        types, first = (
            diversity.sketch(offsets, hashes, 1),
            repetition.first_words(offsets, hashes, keep[: len(offsets) - 1]),
        )
        batches.append(pa.RecordBatch.from_pydict({"ngrams_1": packed(*types), "first_words": packed(*first)}))
    schema = pa.schema([pa.field(name, pa.binary(), nullable=False) for name in ("ngrams_1", "first_words")])
    batches = [batch.cast(schema) for batch in batches]
    split, store = Split(0, 0, (), 0), SignalStore(folder, (("source 0", ""),))
    path, n = f"{folder}/plain.parquet", sum(batch.num_rows for batch in batches)
    ways: dict[str, tuple[Callable[[], Any], Callable[[], Any], str]] = {
        "as they are": (
            lambda: write_parquet(path, batches, schema, tuple(schema.names)),
            lambda: read_parquet(path, schema.names),
            path,
        ),
        "as steps and as lists": (
            lambda: store.write(split, batches, schema),
            lambda: store.read(split, schema.names),
            store.path(split),
        ),
    }
    sys.stdout.write("\n| words in the signal store | bytes a document | write, CPU s | read |\n|---|--:|--:|--:|\n")
    for name, (write, read, where) in ways.items():
        seconds = [min(_cpu(work) for _ in range(3)) for work in (write, read)]
        size = pathlib.Path(where).stat().st_size / max(1, n)
        sys.stdout.write(f"| {name} | {size:,.0f} | {seconds[0]:.3f} | {seconds[1]:.3f} |\n")


def _cpu(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal to the last bit."""
    if isinstance(one, pa.Array | pa.Table):
        return bool(one.equals(other))
    if isinstance(one, tuple):
        return all(map(same, one, other))
    return bool(np.array_equal(one, other))


def main() -> None:
    """Measure and show a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    give_memory_back()  # as a local run does
    reader, batches = ColumnReader(("text",), ("id",)), list[tuple[Any, Any]]()
    for path in sorted(asked.corpus.glob("*.jsonl.gz")):
        blocks = map(Block, blocks_of(igzip.decompress(path.read_bytes())))
        read = filter(None, map(reader.read, blocks))  # the last lines of a file may be too few
        batches += [(text, columns.text("id")) for text, columns in read]
    size = sum(int(pc.sum(pc.binary_length(text)).as_py()) for text, _ in batches)
    tokens = [canonicalise(text)[1] for text, _ in batches]
    shingles = [minhash.shingles(*minhash.words(one), 5) for one in tokens]
    named = [("s", ids, text) for text, ids in batches]
    days = [
        (pa.array([f"20{i % 20:02}-05-{1 + i % 28:02}T00:00:00Z" for i in range(len(text))]),) for text, _ in batches
    ]
    words = [minhash.words(one) for one in tokens]
    folder = tempfile.TemporaryDirectory(prefix="lowbackground-signals-")
    signals = []  # of each file what later stages read of it, or about that
    for number, ((_, ids), (offsets, _)) in enumerate(zip(batches, words, strict=True)):
        columns = {"id": ids, "doc_id": hash_texts(ids.cast(pa.large_string())), "n_words": np.diff(offsets)}
        batch = pa.RecordBatch.from_pydict(columns)
        path = f"{folder.name}/{number}.parquet"
        write_parquet(path, [batch], batch.schema, HASHES)
        signals.append((path, ["n_words", "doc_id"]))
    model = load_detector().model.table  # type: ignore[attr-defined]
    phrases = load_witnesses(EvidenceConfig()).phrases.literals
    parts: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[Any]]] = {
        "traces": (traces_by_numpy, duplicate_rate.traces, shingles),
        "n-grams of the detector": (by_slots(model), lambda one: ngrams.score(one, model), [(one,) for one in tokens]),
        "ids": (ids_joined, document_ids, named),
        "what may be personal": (may_hold_by_states, may_hold, [(text,) for text, _ in batches]),
        "phrases, the quick search": (
            search_by_halves(phrases),
            lambda one: literals.search(one, phrases),
            [(text,) for text, _ in batches],
        ),
        "content hashes": (hashes_one_by_one, hash_texts, [(text,) for text, _ in batches]),
        "canonical form": (with_both_hashes, with_one_hash, [(text,) for text, _ in batches]),
        "sketches": (sketches_by_branches, sketches, words),
        "reading signals": (read_as_data_set, read_parquet, signals),
        "dates": (dates_by_patterns, dates.from_strings, days),
    }
    sys.stdout.write(f"{sum(len(text) for text, _ in batches):,} documents, {size / 1e6:.1f} MB\n\n")
    sys.stdout.write("| | before, CPU s | now | times as quick |\n|---|--:|--:|--:|\n")
    for name, (before, now, calls) in parts.items():
        assert all(same(before(*call), now(*call)) for call in calls), f"{name}: other results"
        seconds = [np.inf, np.inf]
        for _ in range(asked.repeats):
            for place, way in enumerate((before, now)):
                begun = time.process_time()
                for call in calls:
                    way(*call)
                seconds[place] = min(seconds[place], time.process_time() - begun)
        sys.stdout.write(
            f"| {name} | {seconds[0]:.3f} | {seconds[1]:.3f} | {seconds[0] / max(seconds[1], 1e-9):.1f} |\n"
        )
    stored(words, folder.name)


if __name__ == "__main__":
    main()
