"""Gold items: text of known origin that is mixed in, so that the reviewers are measured and not only the corpus."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from expectations import parquet
from expectations.contracts import HUMAN, SYNTHETIC
from expectations.errors import UserError
from expectations.paths import open_for_reading
from transforms.detector.fasttext_file import HUMAN_LABELS, MACHINE_LABELS
from transforms.kernels.statistics import sampling
from transforms.kernels.text.columns import EMPTY_HASH, halves, hash_texts
from transforms.kernels.text.text import canonicalise


class GoldError(UserError):
    """Gold items cannot be used: which file, what is wrong, what to do. One line."""


@dataclasses.dataclass(frozen=True, eq=False)
class GoldItems:
    """Texts of known origin, each once.

    Attributes:
      text: as they were given.
      content_hash: of the canonical texts.
      origin: human or synthetic, int8[items].
    """

    text: pa.LargeStringArray
    content_hash: pa.FixedSizeBinaryArray
    origin: npt.NDArray[np.int8]

    def choose(self, n: int, salt: str, taken: pa.Array) -> "GoldItems":
        """Choose n by hash, half of each origin if there are enough, none whose content is in `taken`.

        Raises:
          GoldError: there are fewer than n.
        """
        free = np.flatnonzero(~pc.is_in(self.content_hash.cast(pa.binary()), taken).to_numpy(zero_copy_only=False))
        if len(free) < n:
            raise GoldError(
                f"{n} gold items are needed and {len(free)} are there (in the release's sample already: not counted); "
                "give more of them, or lower --n or --gold-share"
            )
        u = sampling.places(halves(self.content_hash), salt, "gold").u[free]
        ordered = free[np.argsort(u, kind="stable")]
        of = {origin: ordered[self.origin[ordered] == origin] for origin in (HUMAN, SYNTHETIC)}
        synthetic = min(len(of[SYNTHETIC]), max(n // 2, n - len(of[HUMAN])))
        rows = np.r_[of[SYNTHETIC][:synthetic], of[HUMAN][: n - synthetic]]
        return GoldItems(self.text.take(pa.array(rows)), self.content_hash.take(pa.array(rows)), self.origin[rows])


def read_gold(path: str) -> GoldItems:
    """Read items of known origin: Parquet or JSONL with the columns `text` and `label`.

    Raises:
      GoldError: the file is missing or unreadable, lacks a column, or says two things of one text.
    """
    table = _read(path)
    missing = [name for name in ("text", "label") if name not in table.column_names]
    if missing:
        raise GoldError(f"{path}: no column {missing[0]!r}; gold items have the columns text and label")
    try:
        texts, labels = (table[name].cast(pa.large_string()).combine_chunks() for name in ("text", "label"))
    except pa.ArrowException:
        raise GoldError(f"{path}: text and label must be text") from None
    texts, names = pc.fill_null(texts, ""), pc.utf8_lower(pc.fill_null(labels, ""))
    words = pa.array([*HUMAN_LABELS, *MACHINE_LABELS], pa.large_string())
    unknown = pc.index(pc.is_in(names, words), False).as_py()
    if unknown >= 0:
        given = str(labels[unknown].as_py())[:40]
        raise GoldError(f"{path}: row {unknown}: unknown label {given!r}. Use human (or real), and synthetic (or ai)")
    machine = pc.is_in(names, pa.array(MACHINE_LABELS, pa.large_string())).to_numpy(zero_copy_only=False)
    origin = np.where(machine, SYNTHETIC, HUMAN).astype(np.int8)
    hashes = hash_texts(canonicalise(texts)[0])
    filled = pc.not_equal(hashes, pa.scalar(EMPTY_HASH, hashes.type)).to_numpy(zero_copy_only=False)
    high, low = halves(hashes)
    _, first, inverse = np.unique(np.stack([high, low], 1), axis=0, return_index=True, return_inverse=True)
    if (origin != origin[first][inverse.ravel()]).any():
        raise GoldError(f"{path}: a text is called both human and synthetic; gold must be certain, so leave it out")
    rows = np.sort(first[filled[first]])
    return GoldItems(texts.take(pa.array(rows)), hashes.take(pa.array(rows)), origin[rows])


def _read(path: str) -> pa.Table:
    try:
        with open_for_reading(path) as file:
            content = pa.py_buffer(file.read())
    except OSError:
        raise GoldError(f"{path}: no such file. Give Parquet or JSONL with the columns text and label") from None
    try:
        data = pa.BufferReader(content)
        if path.endswith((".jsonl.gz", ".jsonl.zst")):
            data = pa.CompressedInputStream(data, "gzip" if path.endswith("gz") else "zstd")
        if path.endswith((".jsonl", ".json", ".jsonl.gz", ".jsonl.zst")):
            return pyarrow.json.read_json(data)
        return parquet.read(content)
    except (pa.ArrowException, OSError) as error:
        raise GoldError(f"{path}: cannot be read ({str(error).splitlines()[0][:120]})") from None
