"""What stages made of the signals, kept in the signal store's folder: a later run of the same inputs reads it and makes no more.

A file is named by all that it depends on and the launcher knows: the recipe's parts, the input's files, the code, the libraries
(`pipeline/dependencies.py`). In its footer is of which files it was made, by their checksums: signals that were made anew and
came out otherwise leave it behind, whatever the times of files say. It is verified like signals (docs/decisions/0028): one that
is damaged, or came of a failure that may heal, is as one that is not there.
"""

import dataclasses
import hashlib
import posixpath
from collections.abc import Iterable

import pyarrow as pa

from transforms.engine import checksums, files
from transforms.engine.staged import Staged
from transforms.engine.threads import spread
from transforms.ingest.sources import Split
from transforms.kernels.text.columns import joined
from transforms.signals.store import SignalStore, is_usable, read_parquet, write_parquet


@dataclasses.dataclass(frozen=True)
class Kept(Staged):
    """Where results are that depend on the same.

    Attributes:
      signals: the store of the splits' signals.
      depends_on: a digest of all that they depend on beside the signals.
    """

    signals: SignalStore
    depends_on: str

    def path(self, kind: str, split: Split | None = None) -> str:
        """The file of a kind of result, whether it exists or not: of a split, or of all."""
        of = posixpath.basename(self.signals.path(split)) if split else repr(self.signals.depends_on)
        digest = hashlib.blake2b(f"{kind}\0{self.depends_on}\0{of}".encode(), digest_size=16).hexdigest()
        return posixpath.join(self.signals.folder, f"{digest}.{kind}.parquet")

    def has(self, kind: str, made_of: str | None, split: Split | None = None) -> bool:
        """Whether there is a result that a run may use, made of this: verified here. See `digest_of`."""
        return made_of is not None and is_usable(self.path(kind, split), made_of)

    def write(
        self,
        kind: str,
        rows: pa.RecordBatch | pa.RecordBatchReader,
        made_of: str | None,
        split: Split | None = None,
        plain: tuple[str, ...] = (),
    ) -> None:
        """Keep a result.

        Args:
          kind: letters.
          rows: the result; of a reader, each batch is made when it is written.
          made_of: of what, as `digest_of` says it; None: it serves its own run and no other.
          split: of which split it is; None: of all.
          plain: columns of hashes.
        """
        path, lasts = self.path(kind, split), made_of is not None
        batches = [rows] if isinstance(rows, pa.RecordBatch) else rows
        write_parquet(path, batches, rows.schema, plain, lasts, made_of or "", sync=False, group_bytes=0)

    def forget(self, kind: str) -> None:
        """Delete a result of all, that it may be made anew."""
        files.delete(self.path(kind))

    def read(self, kind: str, schema: pa.Schema, split: Split | None = None) -> pa.RecordBatch:
        """A result, as a batch of this schema.

        Raises:
          DamagedError: the file is not what was written.
          FileNotFoundError: it is gone.
        """
        table = read_parquet(self.path(kind, split))
        return pa.RecordBatch.from_arrays([joined(table[name]) for name in schema.names], schema=schema)


def digest_of(paths: Iterable[str]) -> str | None:
    """What is in some files that `write_parquet` wrote, by their checksums in this order.

    None if there are none, if one is gone, or if one is not for a later run.
    """
    found = list(spread(_claimed, iter(paths)))
    known = [checksum for checksum in found if checksum is not None]
    if not found or len(known) < len(found):
        return None
    return hashlib.blake2b("\n".join(known).encode(), digest_size=16).hexdigest()


def _claimed(path: str) -> str | None:
    try:
        return checksums.claimed(path)
    except (FileNotFoundError, checksums.DamagedError):
        return None
