"""A sample of what dedup kept, by hash, with its words: what is measured between documents is measured here.

A document is in it if its sample key is among the `SAMPLE` smallest of those that came as far, so which parts it is put
together from changes nothing. Contents are unique after dedup, and so are keys.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.metrics.row import Row
from expectations.wording import plural
from transforms.engine.threads import spread
from transforms.kernels.models.bytes_model import bits_per_byte
from transforms.kernels.similarity import embedding
from transforms.kernels.statistics import diversity, hill, repetition, topics
from transforms.kernels.statistics import structures as cores
from transforms.kernels.text.columns import first_half, text_buffers
from transforms.measures import yardstick
from transforms.signals.populations import FOLDS, OF_ORIGIN, STAGES, folds, how_far, whose

SAMPLE = 4096
LEAST_BYTES = 200  # of a head: a shorter one says little of bits per byte
READ_TOGETHER = 512  # sampled documents that the yardstick reads on one thread
LEAST = 100  # sampled documents: of fewer, nothing is said of a slice
LIMITS = f"limits by leaving out each of {FOLDS} parts"
SAMPLED = pa.schema(
    [
        ("key", pa.uint64()),
        ("at", pa.int8()),
        ("whose", pa.int8()),
        ("source", pa.int16()),
        ("language", pa.string()),
        ("fold", pa.int8()),
        ("words", pa.binary()),
        ("head", pa.large_string()),
    ]
)


def take(
    decisions: pa.RecordBatch,
    columns: dict[str, pa.Array],
    keys: npt.NDArray[np.uint64],
    eligible: npt.NDArray[np.bool_],
) -> pa.RecordBatch:
    """SAMPLED of one split.

    Args:
      decisions: DECISION for every document.
      columns: of its signals, in the same order.
      keys: sample keys.
      eligible: whose words the survey kept.
    """
    at = how_far(decisions)
    rows = np.flatnonzero(eligible & (at > 0))
    rows = rows[_smallest(keys[rows], at[rows])]
    own = pa.array(rows)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(keys[rows]),
            pa.array(at[rows]),
            pa.array(whose(decisions)[rows]),
            decisions["source"].take(own),
            columns["language"].fill_null("unknown").take(own),
            pa.array(folds(first_half(columns["content_hash"]))[rows]),
            columns["first_words"].take(own),
            columns["head"].fill_null("").take(own),
        ],
        schema=SAMPLED,
    )


def _smallest(keys: npt.NDArray[np.uint64], at: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """The rows with the `SAMPLE` smallest keys of each stage, by stage and key."""
    order = np.lexsort((keys, at))
    place = np.arange(len(keys)) - np.searchsorted(at[order], at[order])
    found: npt.NDArray[np.int64] = order[place < SAMPLE]
    return found


def merge(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """The sample of all documents of the parts; `merge([])` is the empty one. Commutative and associative."""
    if len(parts) == 1:  # which is in order, and no larger than a sample
        return parts[0]
    whole = pa.concat_batches(parts) if parts else _EMPTY
    return whole.take(pa.array(_smallest(whole["key"].to_numpy(), whole["at"].to_numpy())))


_EMPTY = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in SAMPLED], schema=SAMPLED)


def compact(parts: list[pa.RecordBatch], tightly: bool = False) -> list[pa.RecordBatch]:
    """The same sample in fewer parts, if there are many, or always; or without rows that are not in it, if those are many."""
    if len(parts) > 1 and (tightly or len(parts) > 64):
        return [merge(parts)]
    stages = len(set().union(*(part["at"].unique().to_pylist() for part in parts)))  # each fills a sample of its own
    return _thinned(parts) if sum(part.num_rows for part in parts) > (1 + stages) * SAMPLE else parts


def _thinned(parts: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The parts without what cannot be in the sample. To merge them takes twice the memory, where a worker holds most."""
    key, at = (np.concatenate([part[name].to_numpy() for part in parts]) for name in ("key", "at"))
    stays = np.zeros(len(key), bool)
    stays[_smallest(key, at)] = True
    ends = np.cumsum([part.num_rows for part in parts])
    return [part.filter(pa.array(own)) for part, own in zip(parts, np.split(stays, ends[:-1]), strict=True)]


def read(whole: pa.RecordBatch) -> pa.RecordBatch:
    """The sample with what the yardstick reads of each document in place of its head: `topic` and `bits` per byte.

    Bits of a short head are NaN.
    """
    if "bits" in whole.schema.names:
        return whole
    stick = yardstick.bundled()

    def reading(some: pa.RecordBatch) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
        data, offsets = text_buffers(some["head"])
        bits = bits_per_byte(data, offsets, stick.bytes_model.trie)
        bits[np.diff(offsets) < LEAST_BYTES] = np.nan
        return topics.nearest(*words_of(some), stick.topics), bits

    parts = (whole.slice(first, READ_TOGETHER) for first in range(0, max(1, whole.num_rows), READ_TOGETHER))
    topic, bits = map(np.concatenate, zip(*spread(reading, parts), strict=True))
    return whole.drop_columns("head").append_column("topic", pa.array(topic)).append_column("bits", pa.array(bits))


def reached(whole: pa.RecordBatch, at: int, below: int) -> pa.RecordBatch:
    """The sampled documents that came at least so far: those with keys below what is complete for all of them.

    They are `read`: they have topics and bits.
    """
    whole = read(whole)
    key, stage = whole["key"].to_numpy(), whole["at"].to_numpy()
    for one in range(at, len(STAGES)):
        own = key[stage == one]
        if len(own) == SAMPLE:
            below = min(below, int(own.max()) + 1)
    chosen = whole.filter(pa.array((stage >= at) & (key < np.uint64(below))))
    return chosen.take(pc.sort_indices(chosen["key"]))


def words_of(chosen: pa.RecordBatch) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """`(offsets, hashes)` of the words of sampled documents."""
    column = chosen["words"]
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1].astype(
        np.int64
    )
    data = column.buffers()[2]
    words = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return (offsets - offsets[:1]) // 4, words[offsets[0] : offsets[-1]].view("<u4")


def points_of(chosen: pa.RecordBatch) -> embedding.Points:
    """The points of sampled documents, int8[documents, dimensions]."""
    return embedding.embed(*words_of(chosen))


def by_fold(points: embedding.Points, fold: npt.NDArray[np.int8]) -> list[embedding.Sums]:
    """The sums of the points of each fold."""
    return [embedding.sums(points[fold == number]) for number in range(FOLDS)]


class _Each(NamedTuple):
    """What is found once of each sampled document, whatever slices it is in."""

    points: embedding.Points
    ratios: npt.NDArray[np.float64]
    repeated: repetition.RepeatedNgrams
    templates: repetition.RepeatedNgrams


def sample_rows(parts: list[pa.RecordBatch], below: int, sources: tuple[str, ...]) -> Iterator[Row]:
    """What is measured in the sample: by stage and slice."""
    whole = read(merge(parts))
    words = words_of(whole)
    of_each: tuple[Callable[..., Any], ...]
    of_each = embedding.embed, repetition.mattr, repetition.repeated, repetition.templates
    each = _Each(*spread(lambda find: find(*words), iter(of_each)))
    whole = whole.drop_columns("words").append_column("row", pa.array(np.arange(whole.num_rows)))
    rows: list[tuple[Row, tuple[bool, bytes]]] = []
    known: dict[tuple[bool, bytes], pa.RecordBatch] = {}  # of one source a slice is there twice
    for at in range(1, len(STAGES)):
        chosen = reached(whole, at, below)
        for kind, name, mask in _slices(chosen, sources):
            # Slices of the release only: the eigenvalues of one cost tens of milliseconds.
            if kind == "overall" or (STAGES[at] == "after" and mask.sum() >= LEAST):
                own = chosen.filter(pa.array(mask))
                # Of the whole release a number is told however few documents it rests on, or none.
                always = kind == "overall" and STAGES[at] == "after"
                which = always, own["row"].to_numpy().tobytes()
                known[which] = own
                rows.append(({"stage": STAGES[at], "slice_kind": kind, "slice": name}, which))
    measured = spread(lambda which: list(_measured(known[which], each, which[0])), iter(known))
    found = dict(zip(known, measured, strict=True))
    for row, which in rows:
        yield from (row | one for one in found[which])


def _slices(chosen: pa.RecordBatch, sources: tuple[str, ...]) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    yield "overall", "", np.ones(chosen.num_rows, bool)
    for name, who in OF_ORIGIN.items():
        yield "origin", name, np.isin(chosen["whose"].to_numpy(), who)
    for number, name in enumerate(sources):
        yield "source", name, chosen["source"].to_numpy() == number
    for name in sorted(pc.unique(chosen["language"]).to_pylist()):
        yield "language", name, pc.equal(chosen["language"], name).to_numpy(zero_copy_only=False)


def _measured(chosen: pa.RecordBatch, each: _Each, always: bool) -> Iterator[Row]:
    row: Row = {"n": chosen.num_rows}
    rows = chosen["row"].to_numpy()
    sampled = f"of {plural(chosen.num_rows, 'document')}, a sample by hash"
    sums = embedding.sums(each.points[rows])
    hashed = f"{sampled}; hashed words and pairs, {embedding.DIMENSIONS} dimensions"
    for metric, value in zip(("vendi_1", "vendi_inf"), embedding.vendi(sums), strict=True):
        yield row | {"metric": f"semantic.{metric}", "value": value, "note": hashed}
    distance = embedding.mean_distance(sums)
    yield row | {"metric": "semantic.mean_distance", "value": distance, "note": hashed}
    ratios = each.ratios[rows]
    ratios = ratios[~np.isnan(ratios)]
    yield row | Row(
        metric="lexical.mattr",
        value=ratios.mean() if len(ratios) else None,
        n=len(ratios),
        note=f"windows of {repetition.MATTR_WINDOW} words, {sampled}",
    )
    grows = f"{sampled}; grows with their number"
    note = f"{repetition.REPEATED_NGRAM}-grams of the first {repetition.REPEATED_WORDS} words, {grows}"
    value = repetition.self_repetition(each.repeated, rows)
    yield row | {"metric": "repetition.self_repetition", "value": value, "note": note}
    note = f"a phrase of {repetition.PHRASE_NGRAM} words in {repetition.PHRASE_DOCUMENTS} or more, {grows}"
    value = repetition.template_rate(each.templates, rows)
    yield row | {"metric": "repetition.template_rate", "value": value, "note": note}
    yield from _hardness(chosen, row, always)
    yield from _topics(chosen, row, always)


def _hardness(chosen: pa.RecordBatch, row: Row, always: bool) -> Iterator[Row]:
    """How hard documents are for the yardstick's model of bytes, and how that spreads."""
    bits, fold = chosen["bits"].to_numpy(), chosen["fold"].to_numpy()
    model = yardstick.bundled().bytes_model
    human = [model.of(language) for language in chosen["language"].to_pylist()]
    above = np.array([one.q95 for one in human]) < bits
    below = np.array([one.q05 for one in human]) > bits
    said = ~np.isnan(bits)
    bits, fold, sides = bits[said], fold[said], np.stack([above, below], axis=1)[said]
    if len(bits) < LEAST and not always:
        return
    names = ("mean", "sd", "q05", "q50", "q95", "tail", "low")

    def numbers(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        if not chosen.any():
            return np.full(len(names), np.nan)
        own = bits[chosen]
        return np.r_[own.mean(), own.std(), np.quantile(own, [0.05, 0.5, 0.95]), sides[chosen].mean(axis=0)]

    note = (
        f"of the first {diversity.HEAD_CHARS:,} characters of {plural(len(bits), 'document')} that have {LEAST_BYTES} bytes "
        f"there, a sample by hash; {_stick()}"
    )
    for name, number in zip(names, _limited(numbers, fold), strict=True):
        row = row | {"metric": f"lm.bpb_{name}", "n": len(bits), "note": note}
        row |= {"value": number.value, "lower": number.lower, "upper": number.upper}
        if name in ("tail", "low"):
            # Where none or all of the documents are in it, leaving out some makes no difference.
            by_chance = cores.wilson(number.value, len(bits))
            row |= {
                "lower": float(np.fmin(number.lower, by_chance.lower)),
                "upper": float(np.fmax(number.upper, by_chance.upper)),
                "note": f"{note}; of human text that the model was not fitted on, 5% is there",
            }
        yield row


def _topics(chosen: pa.RecordBatch, row: Row, always: bool) -> Iterator[Row]:
    """How much of the sample is about how few things."""
    topic, fold = chosen["topic"].to_numpy(), chosen["fold"].to_numpy()
    said = topic >= 0
    counts = topic_counts(topic, fold)
    if said.sum() < LEAST and not always:
        return

    def numbers(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return concentration(np.bincount(topic[said][chosen], minlength=len(counts)))

    read = plural(int(said.sum()), "document")
    note = f"of {read}, a sample by hash, by the nearest of {len(counts)} fixed centres; {_stick()}"
    names = ("max_share", "effective_number", "effective_number_2")
    for name, number in zip(names, _limited(numbers, fold[said]), strict=True):
        yield row | Row(
            metric=f"topic.{name}",
            n=int(said.sum()),
            note=note,
            value=number.value,
            lower=number.lower,
            upper=number.upper,
        )


def _stick() -> str:
    return f"{LIMITS}; yardstick {yardstick.bundled().name}"


def topic_counts(topic: npt.NDArray[np.int16], fold: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Documents by topic and fold, int64[topics, folds]; those without a topic are left out."""
    counts = np.zeros((yardstick.bundled().topics.shape[1], FOLDS), np.int64)
    np.add.at(counts, (topic[topic >= 0], fold[topic >= 0]), 1)
    return counts


def concentration(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Largest share and the Hill numbers of order 1 and 2 of counts; NaN where nothing is counted. float64[3]."""
    p = counts[counts > 0] / max(1, counts.sum())
    return np.array([p.max() if len(p) else np.nan, *hill.of_shares(p)[:2]])


def _limited(
    numbers: Callable[[npt.NDArray[np.bool_]], npt.NDArray[np.float64]], fold: npt.NDArray[np.int8]
) -> list[cores.Interval]:
    """Numbers of all documents, with limits from leaving out each fold of them."""
    values = numbers(np.ones(len(fold), bool))
    without = [numbers(fold != one) for one in np.unique(fold)]
    found = np.array(without).reshape(-1, len(values)).T
    return [cores.jackknife(float(v), left) for v, left in zip(values, found, strict=True)]
