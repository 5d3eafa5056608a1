"""Labelled text, human or machine: what a detector is trained, calibrated and evaluated on."""

import dataclasses
import functools
import glob
import hashlib
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy  # its parts load where they are used

from expectations.errors import UserError
from expectations.language_tags import normal_tags
from expectations.paths import is_local
from transforms.detector.fasttext_file import HUMAN_LABELS, MACHINE_LABELS
from transforms.kernels.similarity import minhash
from transforms.kernels.text import prose, text
from transforms.kernels.text.columns import joined

GROUPS = ("source_dataset", "language", "generator", "domain", "attack", "licence", "date", "id", "pair_id")
LINK_NGRAM, LINK_FRACTION = 10, 0.1
CELL = ("source_dataset", "domain", "language")
FEWEST_IN_CELL = 20  # documents of each class that make a comparison
COMMON = 50  # documents


class TrainingError(UserError):
    """The labelled data cannot be used: which file, what is wrong with it, what to do. One line."""


@dataclasses.dataclass(frozen=True)
class DataFile:
    """A file that was read."""

    name: str
    sha256: str
    rows: int


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Labelled documents, in columns.

    Attributes:
      texts: as they were read.
      canonical: the canonical texts.
      tokens: their tokens.
      n_tokens: words and ideographs of each, int32[documents].
      machine: whether the label is a machine's, bool[documents].
      key: a hash of each canonical text, uint64[documents]: what every order and every fold depends on.
      groups: the columns of `GROUPS` that the data has, as str[documents]; "" where null. "file" is where a document was read.
      pair: the human document that a machine was asked about (the one whose `id` is its `pair_id`), int64[documents]; -1: none.
      files: what was read.
      dropped: documents that were dropped because they are empty or the same as an earlier one.
    """

    texts: pa.LargeStringArray
    canonical: pa.LargeStringArray
    tokens: text.Tokens
    n_tokens: npt.NDArray[np.int32]
    machine: npt.NDArray[np.bool_]
    key: npt.NDArray[np.uint64]
    groups: dict[str, npt.NDArray[np.object_]]
    pair: npt.NDArray[np.int64]
    files: tuple[DataFile, ...]
    dropped: int

    def group(self, name: str) -> npt.NDArray[np.object_]:
        """A column of `GROUPS`, all "" if the data does not have it."""
        return self.groups.get(name, np.full(len(self.machine), "", object))

    @functools.cached_property
    def prose(self) -> npt.NDArray[np.bool_]:
        """Which documents are prose without doubt: from others nothing is learned. bool[documents]."""
        return np.asarray(prose.against_prose(prose.shares(self.texts)) < prose.DOUBTFUL)

    @property
    def origin_source(self) -> npt.NDArray[np.object_]:
        """The source of each document; of one that was written about a human document, that document's. str[documents]."""
        source = self.group("source_dataset")
        return np.where(self.pair >= 0, source[self.pair], source)


def read_labelled(data: Sequence[str]) -> Labelled:
    """Read Parquet files with columns `text` and `label`, and any of `GROUPS`.

    Documents whose canonical text was seen before are dropped: a random split would put the copies on both sides.

    Args:
      data: paths or glob patterns.

    Raises:
      TrainingError: nothing matches, a file is unreadable, a column is missing or a label is unknown.
    """
    paths: list[str] = []
    for pattern in data:
        if not is_local(pattern):
            raise TrainingError(
                f"{pattern}: labelled data are read from this machine; copy the files here, and name them"
            )
        found = [pattern] if os.path.isfile(pattern) else sorted(p for p in glob.glob(pattern) if os.path.isfile(p))
        if not found:
            raise TrainingError(f"{pattern}: no such file. Give Parquet files with columns text and label")
        paths += [path for path in found if path not in paths]
    tables, files = [], []
    for path in paths:
        table = _read_table(path)
        with open(path, "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        files.append(DataFile(os.path.basename(path), digest, table.num_rows))
        tables.append(
            table.append_column("file", pa.repeat(pa.scalar(os.path.basename(path), pa.large_string()), len(table)))
        )
    if not tables:
        raise TrainingError("no data given. Give Parquet files with columns text and label")
    return _labelled(pa.concat_tables(tables, promote_options="default").combine_chunks(), tuple(files))


def _read_table(path: str) -> pa.Table:
    try:
        file = pq.ParquetFile(path)
        missing = [name for name in ("text", "label") if name not in file.schema_arrow.names]
        if missing:
            raise TrainingError(f"{path}: no column {missing[0]!r}; it has {', '.join(file.schema_arrow.names)[:200]}")
        columns = [name for name in ("text", "label", *GROUPS) if name in file.schema_arrow.names]
        table = file.read(columns)
        table = table.cast(pa.schema([(name, pa.large_string()) for name in columns]))
    except (pa.ArrowException, OSError) as error:
        what = str(error).splitlines()[0][:160]
        raise TrainingError(f"{path}: cannot be read as Parquet with text columns ({what})") from None
    names = pc.utf8_lower(table["label"])
    known = pc.is_in(names, pa.array([*MACHINE_LABELS, *HUMAN_LABELS], pa.large_string()))
    if not pc.all(known, min_count=0).as_py():
        bad = table["label"].filter(pc.invert(known))[0].as_py()
        raise TrainingError(
            f"{path}: unknown label {str(bad)[:40]!r}. Use human (or real), and ai, synthetic, machine or generated"
        )
    return table.set_column(1, "machine", pc.is_in(names, pa.array(MACHINE_LABELS, pa.large_string())))


def _labelled(table: pa.Table, files: tuple[DataFile, ...]) -> Labelled:
    texts = pc.fill_null(table["text"], "")
    canonical, _ = text.canonicalise(joined(texts))
    digests = [hashlib.blake2b(value.encode(), digest_size=8).digest() for value in canonical.to_pylist()]
    key = np.frombuffer(b"".join(digests), "<u8")
    _, first = np.unique(key, return_index=True)
    first = np.sort(first[pc.binary_length(canonical).to_numpy(zero_copy_only=False)[first] > 0])
    taken = table.take(pa.array(first))
    # Canonical text is its own canonical form, so these are the tokens of the original texts.
    canonical, tokens = text.canonicalise(canonical.take(pa.array(first)))
    groups = {
        name: joined(pc.fill_null(taken[name], "")).to_numpy(zero_copy_only=False)
        for name in (*GROUPS, "file")
        if name in table.column_names
    }
    if "language" in groups:
        groups["language"] = normal_tags(joined(taken["language"])).fill_null("").to_numpy(zero_copy_only=False)
    machine = joined(taken["machine"]).to_numpy(zero_copy_only=False)
    return Labelled(
        texts=joined(pc.fill_null(taken["text"], "")),
        canonical=canonical,
        tokens=tokens,
        n_tokens=text.count_words(tokens),
        machine=machine,
        key=key[first],
        groups=groups,
        pair=_pairs(groups, machine),
        files=files,
        dropped=table.num_rows - len(first),
    )


def _pairs(groups: dict[str, npt.NDArray[np.object_]], machine: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The human document of each machine document that names one."""
    found = np.full(len(machine), -1, np.int64)
    if "id" in groups and "pair_id" in groups:
        humans = {name: row for row, name in zip(np.flatnonzero(~machine), groups["id"][~machine], strict=True) if name}
        asked = np.flatnonzero(machine)
        found[asked] = [humans.get(name, -1) for name in groups["pair_id"][asked]]
    return found


def thinned(labelled: Labelled, chosen: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.bool_]:
    """The chosen documents, at most `most` machine ones of a cell, by hash: more of the same would only take time."""
    names = ["\0".join(row) for row in zip(*map(labelled.group, CELL), strict=True)]
    cell = np.unique(names, return_inverse=True)[1]
    rows = np.flatnonzero(chosen & labelled.machine)
    rows = rows[np.lexsort((labelled.key[rows], cell[rows]))]
    starts = np.flatnonzero(np.r_[True, np.diff(cell[rows]) != 0]) if len(rows) else np.zeros(0, np.int64)
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))
    kept = chosen & ~labelled.machine
    kept[rows[place < most]] = True
    return kept


def compared(labelled: Labelled, chosen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Which of the chosen documents to learn from, and what each is compared within: its source, domain and language.

    A cell that has too few of one class says what its text is about, not who wrote it: it is left out, unless no cell
    has enough of both. Then all chosen documents are one cell.

    Returns:
      bool[documents], and the number of each document's cell, int64[documents].
    """
    names = ["\0".join(row) for row in zip(*map(labelled.group, CELL), strict=True)]
    cell = np.unique(names, return_inverse=True)[1].astype(np.int64)
    counts = [np.bincount(cell[chosen & (labelled.machine == side)], minlength=len(cell)) for side in (False, True)]
    used = chosen & (np.minimum(*counts) >= FEWEST_IN_CELL)[cell]
    return (used, cell) if used.any() else (chosen, np.zeros(len(chosen), np.int64))


class Links:
    """Which documents quote each other: those that share a tenth of their ten-word shingles.

    The same human text, or the prompt that a machine continued, is often in two data sets. Left in the training data it
    makes the other one's held-out numbers better than they are.
    """

    def __init__(self, labelled: Labelled) -> None:
        offsets, words = minhash.words(labelled.tokens)
        self._offsets, shingles = minhash.shingles(offsets, words, LINK_NGRAM)
        distinct, self._shingles = np.unique(shingles, return_inverse=True)  # each shingle as its number
        self._n_distinct = len(distinct)

    def to(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The documents that share text with any of the chosen ones. bool[documents]."""
        sizes = np.diff(self._offsets)
        theirs = np.zeros(self._n_distinct, bool)
        theirs[self._shingles[np.repeat(chosen, sizes)]] = True
        shared = np.r_[0, np.cumsum(theirs[self._shingles])]
        counts = shared[self._offsets[1:]] - shared[self._offsets[:-1]]
        return counts > LINK_FRACTION * np.maximum(sizes, 1)

    def groups(self) -> npt.NDArray[np.int64]:
        """A number for each document, the same for two that share a tenth of the shorter one's shingles, and for their like.

        Shingles of more than `COMMON` documents are no quotation and do not count. int64[documents].
        """
        sizes = np.diff(self._offsets)
        rows = np.repeat(np.arange(len(sizes)), sizes)
        has = scipy.sparse.csr_matrix(
            (np.ones(len(rows), np.int32), (rows, self._shingles)), (len(sizes), self._n_distinct)
        )
        has.data[:] = 1
        documents = np.asarray(has.sum(axis=0)).ravel()
        has = has[:, np.flatnonzero((documents >= 2) & (documents <= COMMON))]
        both = (has @ has.T).tocoo()
        linked = both.data > LINK_FRACTION * np.minimum(sizes[both.row], sizes[both.col])
        pairs = scipy.sparse.coo_matrix((np.ones(linked.sum()), (both.row[linked], both.col[linked])), both.shape)
        return scipy.sparse.csgraph.connected_components(pairs, directed=False)[1].astype(np.int64)
