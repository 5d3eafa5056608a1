"""Fit the yardstick, the models that measures of a release are taken by, and write its card.

    python -m benchmarks.yardstick DATA... --output transforms/measures/bundled/yardstick [--exclude COLUMN=VALUE]

DATA are Parquet files with columns `text` and `label`, and if there are any `language`, `domain`, `source_dataset` and `licence`,
as for `lowbackground detector train`. Both models are fitted on human text alone. A quarter of the documents is held out, by
hash and together with all that quote each other: what the card says was measured on it.
"""

import argparse
import pathlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.byte_fitting import fit_bytes
from benchmarks.topic_fitting import fit_topics, shared_bits
from transforms.detector.training.labelled import CELL, Labelled, Links, read_labelled
from transforms.kernels.models.bytes_model import Trie, bits_per_byte
from transforms.kernels.similarity import minhash
from transforms.kernels.statistics import repetition
from transforms.kernels.statistics.diversity import HEAD_CHARS
from transforms.kernels.statistics.topics import Weights, nearest
from transforms.kernels.text.columns import text_buffers
from transforms.measures.sample import LEAST_BYTES
from transforms.measures.yardstick import BYTES, TOPICS, ByteModel, quantiles_of, write_bytes_model, write_topics

HELD_OUT = 4  # one in so many groups
LONGEST, MOST_NGRAMS = 6, 400_000
N_TOPICS = 128
OF_A_KIND = 600  # documents of a source and domain that topics are fitted on, at most
LEAST_HUMAN = 100  # held-out documents that speak for a language
LEAST_DOMAIN = 30  # held-out documents for each domain of a line in the card

Chosen = npt.NDArray[np.bool_]


def main() -> None:
    """Fit, write, and say what it is worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--exclude", action="append", default=[], metavar="COLUMN=VALUE")
    asked = parser.parse_args()
    labelled = read_labelled(asked.data)
    usable = np.ones(len(labelled.key), bool)
    for rule in asked.exclude:
        column, _, value = rule.partition("=")
        usable &= labelled.group(column) != value
    held = held_out(labelled)
    human = usable & ~labelled.machine
    if not (human & held).any() or not (human & ~held).any():
        parser.error("too few human documents that do not quote each other: some are fitted on, and others held out")
    model = fitted_bytes(labelled, human & ~held, usable & held)
    weights, n_topics = fitted_topics(labelled, human & ~held)
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / BYTES).write_bytes(write_bytes_model(model))
    (asked.output / TOPICS).write_bytes(write_topics(weights))
    text = "\n".join(card(labelled, usable, held, model, weights, n_topics)) + "\n"
    (asked.output / "README.md").write_text(text, "utf-8")
    print(text)


def held_out(labelled: Labelled) -> Chosen:
    """Which documents nothing is fitted on: whole groups of those that quote each other. bool[documents]."""
    group = Links(labelled).groups()
    first = np.full(group.max(initial=0) + 1, 2**64 - 1, np.uint64)
    np.minimum.at(first, group, labelled.key)
    found: Chosen = (first[group] >> np.uint64(8)) % np.uint64(HELD_OUT) == 0
    return found


def bits_of(labelled: Labelled, trie: Trie) -> npt.NDArray[np.float64]:
    """Bits per byte of the head of every document; NaN where it is too short, as in a release."""
    heads = pc.utf8_slice_codeunits(labelled.texts, 0, HEAD_CHARS)
    data, offsets = text_buffers(heads)
    bits = bits_per_byte(data, offsets, trie)
    bits[np.diff(offsets) < LEAST_BYTES] = np.nan
    return bits


def fitted_bytes(labelled: Labelled, chosen: Chosen, held: Chosen) -> ByteModel:
    """The model of the chosen documents, and what held-out human text has under it."""
    texts = [one.encode() for one in labelled.texts.filter(pa.array(chosen)).to_pylist()]
    trie = fit_bytes(texts, LONGEST, MOST_NGRAMS)
    bits, language = bits_of(labelled, trie), labelled.group("language")
    held = held & ~labelled.machine
    human = {"": quantiles_of(bits[held])}
    for name in sorted(set(language[held].tolist()) - {""}):
        own = quantiles_of(bits[held & (language == name)])
        if own.documents >= LEAST_HUMAN:
            human[name] = own
    return ByteModel(trie, LONGEST, human)


def words_of(labelled: Labelled, chosen: Chosen) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """The first words of the chosen documents, as the survey keeps them; none of the others."""
    return repetition.first_words(*minhash.words(labelled.tokens), chosen)


def fitted_topics(labelled: Labelled, chosen: Chosen) -> tuple[Weights, int]:
    """The centres, and of how many documents: no kind of text has more than `OF_A_KIND`, the first ones in hash order."""
    kind = np.unique(["\0".join(row) for row in zip(*map(labelled.group, CELL), strict=True)], return_inverse=True)[1]
    rows = np.flatnonzero(chosen)
    rows = rows[np.lexsort((labelled.key[rows], kind[rows]))]
    place = np.arange(len(rows)) - np.searchsorted(kind[rows], kind[rows])
    used = np.zeros(len(chosen), bool)
    used[rows[place < OF_A_KIND]] = True
    offsets, words = words_of(labelled, used)
    sizes = np.diff(offsets)[used]
    return fit_topics(np.r_[0, np.cumsum(sizes)], words, labelled.key[used], N_TOPICS), int(used.sum())


def card(
    labelled: Labelled, usable: Chosen, held: Chosen, model: ByteModel, weights: Weights, n_topics: int
) -> Iterator[str]:
    """The card, line by line."""
    fitted = usable & ~labelled.machine & ~held
    yield ABOUT.format(
        bytes=BYTES, longest=model.longest, ngrams=len(model.trie.symbol) - 1, documents=int(fitted.sum()),
        topics=TOPICS, centres=weights.shape[1], buckets=weights.shape[0], of_topics=n_topics,
    )  # fmt: skip
    yield "| file | SHA-256 | licence | human documents fitted on |\n|---|---|---|--:|"
    source, licence = labelled.group("source_dataset"), labelled.group("licence")
    for file in labelled.files:
        own = fitted & (source == file.name.rsplit(".", 1)[0])
        names = ", ".join(sorted(set(licence[own].tolist()) - {""})) or "–"
        yield f"| {file.name} | `{file.sha256[:16]}` | {names} | {int(own.sum()):,} |"
    yield BITS.format(chars=HEAD_CHARS, least=LEAST_BYTES)
    yield from _bits_table(labelled, usable & held, model)
    yield SHARED
    yield from _topic_table(labelled, usable & held & ~labelled.machine, weights)
    yield WORTH


def _bits_table(labelled: Labelled, held: Chosen, model: ByteModel) -> Iterator[str]:
    bits, language = bits_of(labelled, model.trie), labelled.group("language")
    for name in sorted(model.human):
        for who, machine in (("humans", False), ("machines", True)):
            own = bits[held & (labelled.machine == machine) & ((language == name) | (name == ""))]
            own = own[~np.isnan(own)]
            if len(own):
                found = quantiles_of(own)
                numbers = " | ".join(f"{one:.3f}" for one in (found.mean, found.sd, found.q05, found.q50, found.q95))
                high = float((own > model.of(name).q95).mean())
                yield f"| {name or 'all'} | {who} | {found.documents:,} | {numbers} | {100 * high:.1f} % |"


def _topic_table(labelled: Labelled, held: Chosen, weights: Weights) -> Iterator[str]:
    topic = nearest(*words_of(labelled, held), weights).astype(np.int64) + 1
    domain, source, language = (labelled.group(name) for name in ("domain", "source_dataset", "language"))
    parts = [("all", held)]
    parts += [(f"language {name}", held & (language == name)) for name in sorted(set(language[held].tolist()) - {""})]
    parts += [(f"source {name}", held & (source == name)) for name in sorted(set(source[held].tolist()) - {""})]
    for name, chosen in parts:
        own, number = np.unique(domain[chosen], return_inverse=True)
        if len(own) < 2 or len(number) < LEAST_DOMAIN * len(own):
            continue
        order = np.argsort(labelled.key[chosen], kind="stable")
        chance = shared_bits(topic[chosen][order], np.roll(number[order], len(order) // 2))
        shared, entropy = shared_bits(topic[chosen], number), shared_bits(number, number)
        yield f"| {name} | {len(number):,} | {len(own)} | {entropy:.2f} | {shared:.2f} | {chance:.2f} |"


ABOUT = """# The bundled yardstick

Models that two kinds of measures of a release are taken by. They judge no document: they say how a corpus spreads.

- `{bytes}`: a back-off model of n-grams of up to {longest} bytes, {ngrams:,} of them, fitted on {documents:,} human documents;
  for `lm.bpb_*` and `reference.bpb_*`.
- `{topics}`: {centres} centres by spherical k-means over the rarity of hashed words ({buckets:,} buckets), fitted on
  {of_topics:,} of these documents; for `topic.*` and `reference.topic_*`.

Made by `python -m benchmarks.yardstick`, without chance: the same data make the same bytes. No text is in the files.

## Data
"""
BITS = """
## Bits per byte of held-out text

Of the first {chars:,} characters of documents that have {least} bytes there. A quarter of the data is held out, whole groups of
documents that quote each other.

| language | who wrote it | documents | mean | sd | q05 | q50 | q95 | above the human q95 |
|---|---|--:|--:|--:|--:|--:|--:|--:|"""
SHARED = """
## Do topics mean anything?

Mutual information of topic and `domain` over held-out human documents, in bits, beside the entropy of the domain, and what
the same labels in another order have by chance alone.

| documents | n | domains | entropy of domain | shared with topic | by chance |
|---|--:|--:|--:|--:|--:|"""
WORTH = """
## Limits

- Languages: those in the tables above. Text in any other is far from all that the models know: its bits are high and its
  topics few, before and after alike. Compare releases of one mix of languages, or read the slices.
- Domains are those of the data; code or patents are another language to it. Ratios against a reference release
  (`reference.*`) measure both sides by the same stick, and neither need be like the data.
- Text that it was fitted on is easier, and spread more evenly over topics, than any other: held against it, all else seems to
  have lost a part. Do not measure the data above with it.
- The model of bytes is small. A large language model finds easy what it finds hard; what is compared is how text spreads.
- A quality filter cuts the hard tail too, and need not be wrong to do so: the stages show which step did it."""


if __name__ == "__main__":
    main()
