"""fastText's model file (`.bin` or `.ftz`, version 12), read and written without fastText.

The layout is that of fastText 0.9's `FastText::saveModel`: magic and version; 12 int32 and a double of arguments; the
dictionary (words, then labels, each as bytes, a zero, an int64 count and an int8 type); for each of the two matrices a
byte "quantised", two int64 of shape and float32 rows. A quantised model (`.ftz`, see `fasttext_quantised`) is read as the
model of dimension 1 that predicts the same. All little-endian. Nothing in the file is trusted: every length
is checked against what is left of it before anything is allocated.
"""

import dataclasses
import struct

import numpy as np
import numpy.typing as npt

from expectations.errors import UserError
from transforms.detector.fasttext_quantised import MAX_BUCKETS, Quantised, kept_buckets, spread
from transforms.kernels.models.subwords import SubwordModel, subword_model

MAGIC, VERSION = 793712314, 12
HIERARCHICAL, SOFTMAX, SUPERVISED = 1, 3, 3
_ARGS = struct.Struct("<12id")
_DICTIONARY = struct.Struct("<3i2q")
_ENTRY_TAIL = struct.Struct("<qb")
MAX_DIM, MAX_SUBWORD = 10_000, 32
_BLOCK = 1 << 16  # rows
MACHINE_LABELS = ("synthetic", "ai", "machine", "generated")
HUMAN_LABELS = ("human", "real")


class DetectorError(UserError):
    """A detector cannot be used: which file, what is wrong with it, what to do. One line."""


@dataclasses.dataclass(frozen=True)
class FastTextFile:
    """A two-class fastText classifier with the softmax loss and without subwords.

    Attributes:
      args: dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t.
      words: the vocabulary, in UTF-8, with `counts`.
      labels: the two labels, `__label__` included, with `label_counts`.
      n_tokens: how many tokens it was trained on.
      input: one row per word, then one per n-gram bucket, float32[words + buckets, dim]; NaN: no feature.
      output: one row per label, float32[2, dim].
    """

    args: tuple[int | float, ...]
    words: list[bytes]
    counts: list[int]
    labels: list[bytes]
    label_counts: list[int]
    n_tokens: int
    input: npt.NDArray[np.float32]
    output: npt.NDArray[np.float32]

    @property
    def word_ngrams(self) -> int:
        """The longest n-gram, in tokens."""
        return int(self.args[5])

    @property
    def direction(self) -> npt.NDArray[np.float32]:
        """Output of the machine's label minus output of the human's, float32[dim]."""
        machine = _machine_label(self.labels)
        return self.output[machine] - self.output[1 - machine]

    def weights(self) -> npt.NDArray[np.float32]:
        """How much each word, then each bucket, speaks for the machine, in log-odds. float32[words + buckets]."""
        # In float64, so that the order of the sum, which differs between processors, does not show; and in blocks, so
        # that a large model is not copied whole. Who uses the weights checks that they are finite.
        direction = self.direction.astype(np.float64)
        weights = np.empty(len(self.input), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(weights), _BLOCK):
                block = slice(start, start + _BLOCK)
                weights[block] = self.input[block].astype(np.float64) @ direction
        return weights


class _Reader:
    """Takes bytes from the front and refuses to read past the end."""

    def __init__(self, data: bytes, path: str) -> None:
        self.data, self.path, self.at = data, path, 0

    def refuse(self, what: str) -> DetectorError:
        return DetectorError(f"{self.path}: {what}")

    def take(self, size: int) -> memoryview:
        if size < 0 or size > len(self.data) - self.at:
            raise self.ends_early()
        self.at += size
        return memoryview(self.data)[self.at - size : self.at]

    def unpack(self, layout: struct.Struct) -> tuple:
        return layout.unpack(self.take(layout.size))

    def entries(self, size: int) -> list[tuple[bytes, int, int]]:
        """So many of a vocabulary: a word or label, its count and its kind."""
        found, tail = [], _ENTRY_TAIL.size
        for _ in range(size):
            end = self.data.find(b"\0", self.at)
            if end < 0:
                raise self.refuse("the file ends inside its vocabulary. Copy it again or train the detector again")
            if end + 1 + tail > len(self.data):
                raise self.ends_early()
            found.append((self.data[self.at : end], *_ENTRY_TAIL.unpack_from(self.data, end + 1)))
            self.at = end + 1 + tail
        return found

    def ends_early(self) -> DetectorError:
        return self.refuse("the file ends too early or is damaged. Copy it again or train the detector again")

    def matrix(self, name: str, rows: int, dim: int) -> npt.NDArray[np.float32]:
        if self.take(1)[0]:
            raise self.refuse(f"the {name} matrix is quantised. Quantise the model again without qout")
        shape = self.unpack(struct.Struct("<2q"))
        if shape != (rows, dim):
            raise self.refuse(f"the {name} matrix is {shape[0]} x {shape[1]}, the dictionary asks for {rows} x {dim}")
        values = np.frombuffer(self.take(4 * rows * dim), "<f4").reshape(rows, dim)
        if not np.isfinite(values).all():
            raise self.refuse(f"the {name} matrix has a value that is not a number. Train the detector again")
        return values


def read_fasttext(data: bytes, path: str, positive: str | None = None) -> FastTextFile:
    """Read a model.

    Args:
      data: the whole file.
      path: what to call it in an error.
      positive: of a classifier of something else, the label (without `__label__`) that takes the machine's place here.

    Raises:
      DetectorError: it is damaged, or a kind of fastText model that is not two-class, softmax and without subwords.
    """
    reader = _Reader(data, path)
    if len(data) < 8 or struct.unpack_from("<2i", data) != (MAGIC, VERSION):
        raise reader.refuse("not a fastText model of version 12 (a .bin file). Train one: lowbackground detector train")
    reader.take(8)
    args = reader.unpack(_ARGS)
    n_words, n_labels, n_tokens, n_pruned = _check_args(reader, args)
    entries = reader.entries(n_words + n_labels)
    if any(kind != (i >= n_words) for i, (_, _, kind) in enumerate(entries)):
        raise reader.refuse("its vocabulary is out of order: damaged. Copy it again or train the detector again")
    words, labels = entries[:n_words], entries[n_words:]
    kept = kept_buckets(reader, n_pruned, args[8])
    rows = n_words + (args[8] if kept is None else len(kept))
    quantised = None
    if data[reader.at : reader.at + 1] == b"\1":
        reader.take(1)
        quantised = Quantised(reader, rows, args[0])
    elif kept is not None:
        raise reader.refuse("its dictionary is pruned but it is not quantised: damaged. Copy it again")
    dense = reader.matrix("input", rows, args[0]) if quantised is None else np.zeros((0, args[0]), np.float32)
    model = FastTextFile(
        args=args,
        words=[word for word, _, _ in words],
        counts=[count for _, count, _ in words],
        labels=_renamed(reader, [label for label, _, _ in labels], positive),
        label_counts=[count for _, count, _ in labels],
        n_tokens=n_tokens,
        input=dense,
        output=reader.matrix("output", n_labels, args[0]),
    )
    _check_labels(reader, model.labels)
    if quantised is None:
        return model
    return one_dimension(model, spread(quantised.weights(model.direction), n_words, kept, args[8]))


def _check_args(reader: _Reader, args: tuple) -> tuple[int, int, int, int]:
    dim, word_ngrams, loss, model, bucket, maxn = (args[i] for i in (0, 5, 6, 7, 8, 10))
    size, n_words, n_labels, n_tokens, n_pruned = reader.unpack(_DICTIONARY)
    left = len(reader.data) - reader.at
    if model != SUPERVISED:
        raise reader.refuse("word vectors, not a classifier. Train one: lowbackground detector train")
    if maxn > 0:
        raise reader.refuse(f"trained with subwords (maxn {maxn}). Train it again with minn 0 and maxn 0")
    if loss != SOFTMAX:
        raise reader.refuse("trained with a loss other than softmax. Train it again with loss softmax")
    if n_labels != 2:
        raise reader.refuse(f"{n_labels} labels; a detector has two, __label__human and __label__synthetic")
    # Each entry takes 10 bytes or more, each row a byte: what cannot fit is refused before anything is allocated.
    sane = 0 < dim <= MAX_DIM and word_ngrams >= 1 and bucket >= 0 and n_words >= 0 and size == n_words + n_labels
    rows = n_words + (bucket if n_pruned < 0 else n_pruned)
    if not sane or 10 * size > left or rows > left or bucket > MAX_BUCKETS or (word_ngrams > 1 and bucket == 0):
        raise reader.refuse("its header makes no sense or the file ends too early. Copy it again")
    return n_words, n_labels, n_tokens, n_pruned


def read_labels(data: bytes, path: str) -> tuple[list[str], SubwordModel]:
    """Read a quantised classifier with subwords, many labels and the hierarchical softmax, such as `lid.176.ftz`.

    Args:
      data: the whole file.
      path: what to call it in an error.

    Returns:
      The labels without `__label__`, and what tells them.

    Raises:
      DetectorError: it is damaged or a model of another kind.
    """
    reader = _Reader(data, path)
    if len(data) < 8 or struct.unpack_from("<2i", data) != (MAGIC, VERSION):
        raise reader.refuse("not a fastText model of version 12. Copy it again")
    reader.take(8)
    args = reader.unpack(_ARGS)
    dim, word_ngrams, loss, model, buckets, minn, maxn = (int(args[i]) for i in (0, 5, 6, 7, 8, 9, 10))
    size, n_words, n_labels, _, n_pruned = reader.unpack(_DICTIONARY)
    if (word_ngrams, loss, model) != (1, HIERARCHICAL, SUPERVISED) or n_pruned < 0:
        raise reader.refuse("not a pruned classifier of single words with the hierarchical softmax")
    left = len(data) - reader.at
    sane = 0 < dim <= MAX_DIM and 1 <= minn <= maxn <= MAX_SUBWORD and 0 < buckets <= MAX_BUCKETS and n_labels > 1
    if not sane or n_words < 0 or size != n_words + n_labels or 10 * size > left or n_words + n_pruned > left:
        raise reader.refuse("its header makes no sense or the file ends too early. Copy it again")
    entries = reader.entries(size)
    if any(kind != (i >= n_words) for i, (_, _, kind) in enumerate(entries)):
        raise reader.refuse("its vocabulary is out of order: damaged. Copy it again")
    kept = kept_buckets(reader, n_pruned, buckets)
    if not reader.take(1)[0]:
        raise reader.refuse("it is pruned but not quantised: damaged. Copy it again")
    vector = Quantised(reader, n_words + n_pruned, dim).rows(dim)
    node = reader.matrix("output", n_labels, dim)
    counts = [count for _, count, _ in entries[n_words:]]
    if counts != sorted(counts, reverse=True) or not 0 <= min(counts) <= max(counts) < 10**12:
        raise reader.refuse("its labels are out of order: damaged. Copy it again")
    words = [word for word, _, _ in entries[:n_words]]
    labels = [label.removeprefix(b"__label__").decode("utf-8", "replace") for label, _, _ in entries[n_words:]]
    return labels, subword_model(words, vector, kept, buckets, minn, maxn, counts, node)


def _check_labels(reader: _Reader, labels: list[bytes]) -> None:
    names = sorted(label.decode("utf-8", "replace") for label in labels)
    try:
        _machine_label(labels)
    except ValueError:
        raise reader.refuse(
            f"labels {', '.join(names)[:120]!r}; name them __label__human (or real) and __label__synthetic (or ai, "
            "machine, generated)"
        ) from None


def _renamed(reader: _Reader, labels: list[bytes], positive: str | None) -> list[bytes]:
    """Labels of whatever names as those of a detector."""
    if positive is None:
        return labels
    names = [label.removeprefix(b"__label__").decode("utf-8", "replace") for label in labels]
    if names.count(positive) != 1:
        raise reader.refuse(f"has no label {positive[:60]!r}; it has {', '.join(names)[:120]}")
    return [f"__label__{(MACHINE_LABELS if name == positive else HUMAN_LABELS)[0]}".encode() for name in names]


def _machine_label(labels: list[bytes]) -> int:
    """Which of two labels is the machine's."""
    names = [label.removeprefix(b"__label__").decode("utf-8", "replace").lower() for label in labels]
    machine = next((i for i, name in enumerate(names) if name in MACHINE_LABELS), None)
    if machine is None or names[1 - machine] not in HUMAN_LABELS:
        raise ValueError(names)
    return machine


def write_fasttext(model: FastTextFile) -> bytes:
    """The file of a model, as fastText's `saveModel` would write it."""
    n_words, n_labels = len(model.words), len(model.labels)
    parts = [
        struct.pack("<2i", MAGIC, VERSION),
        _ARGS.pack(*model.args),
        _DICTIONARY.pack(n_words + n_labels, n_words, n_labels, model.n_tokens, -1),
    ]
    for entry, count in zip(model.words, model.counts, strict=True):
        parts.append(entry + b"\0" + _ENTRY_TAIL.pack(count, 0))
    for entry, count in zip(model.labels, model.label_counts, strict=True):
        parts.append(entry + b"\0" + _ENTRY_TAIL.pack(count, 1))
    for matrix in (model.input, model.output):
        parts += [struct.pack("<b2q", 0, *matrix.shape), np.ascontiguousarray(matrix, "<f4").tobytes()]
    return b"".join(parts)


def collapse(model: FastTextFile) -> FastTextFile:
    """The model of dimension 1 that predicts the same, dim times smaller.

    input: w_f = (o_machine - o_human) . v_f; output: +1/2 for the machine, -1/2 for the human. The difference of the
    two outputs, and so the softmax, is the same.
    """
    return one_dimension(model, model.weights())


def one_dimension(model: FastTextFile, weights: npt.NDArray[np.float32]) -> FastTextFile:
    """The model of dimension 1 that has these weights."""
    output = np.full((2, 1), -0.5, np.float32)
    output[_machine_label(model.labels)] = 0.5
    return dataclasses.replace(model, args=(1, *model.args[1:]), input=weights[:, None], output=output)
