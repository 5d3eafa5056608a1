"""Documents in the formats that trainers read. Each writer takes Arrow batches and says how many documents its files hold.

The bytes depend on the documents and the options only. Sources of the layouts: WebDataset, Aizman et al. 2020 (tar files whose
members of one stem are one sample); Megatron Core, `IndexedDataset`; MosaicML Streaming, version 2 of MDS.
"""

import abc
import dataclasses
import io
import json
import os
import posixpath
import struct
import tarfile
from collections.abc import Iterator
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from expectations.errors import UserError
from transforms.engine.files import HashedFile
from transforms.survey.tokenizers import TokenizerModel

MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
MEGATRON_CODES = {"uint16": 8, "int32": 4}
MDS_SHARD_BYTES = 1 << 26  # as its own writer has it
_NO_MORE = 1 << 32  # offsets in an MDS shard are 32 bits


class ExportError(UserError):
    """A release cannot be exported: what, why, what to do. One line."""


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """How documents are written.

    Attributes:
      text: what the text is called.
      columns: that go along with it.
      shard_bytes: about how much text one file holds, where a format has several.
      eod: token behind each document; None: none.
    """

    text: str = "text"
    columns: tuple[str, ...] = ()
    shard_bytes: int = 500_000_000
    eod: int | None = None


def _ended(file: HashedFile) -> dict[str, Any]:
    """End a file, and say what it is, for the list of files."""
    file.close()
    return {"path": posixpath.basename(file.path), "bytes": file.size, "sha256": file.sha256.hexdigest()}


class ExportWriter(abc.ABC):
    """Writes documents into a folder, in their order.

    Attributes:
      files: what was written: path, bytes and sha256 of each.
      tokens: of the tokenizer, those behind documents included; 0 without one.
    """

    def __init__(self, folder: str, options: ExportOptions, tokenizer: TokenizerModel | None) -> None:
        self.folder, self.options, self.tokenizer = folder, options, tokenizer
        self.files: list[dict[str, Any]] = []
        self.tokens = 0

    def _at(self, name: str) -> str:
        return posixpath.join(self.folder, name)

    @abc.abstractmethod
    def add(self, batch: pa.RecordBatch, copy: list[int]) -> None:
        """Write documents. `copy` says of each which of its copies it is, from 0."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the last file."""

    @abc.abstractmethod
    def count(self) -> tuple[int, int]:
        """How many documents and tokens are in the files, by reading them again."""

    def _encoded(self, batch: pa.RecordBatch) -> list[npt.NDArray[np.generic]]:
        assert self.tokenizer is not None
        return self.tokenizer.encode(batch["text"].to_pylist())

    def _rows(self, batch: pa.RecordBatch, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Documents as mappings, the text under its name."""
        chosen = batch.select([name for name in names if name in batch.schema.names])
        renamed = [self.options.text if name == "text" else name for name in chosen.schema.names]
        return iter(chosen.rename_columns(renamed).to_pylist())


class _Sharded(ExportWriter):
    """A format of several files: one ends with the document that fills it, however the batches are cut."""

    def __init__(self, folder: str, options: ExportOptions, tokenizer: TokenizerModel | None) -> None:
        super().__init__(folder, options, tokenizer)
        self._file: HashedFile | None = None
        self._text = 0

    def add(self, batch: pa.RecordBatch, copy: list[int]) -> None:
        """Write documents into one file or several."""
        ends = np.cumsum(pc.binary_length(batch["text"]).to_numpy().astype(np.int64))
        at = before = 0
        while at < len(batch):
            self._file = self._file or self._open()
            full = np.searchsorted(ends, before + self.options.shard_bytes - self._text)
            after = min(int(full) + 1, len(batch))
            self._add(batch.slice(at, after - at), copy[at:after])
            self._text += int(ends[after - 1]) - before
            at, before = after, int(ends[after - 1])
            if self._text >= self.options.shard_bytes:
                self.close()

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._end(self._file)
            self.files.append(_ended(self._file))
            self._file, self._text = None, 0

    @abc.abstractmethod
    def _open(self) -> HashedFile: ...

    @abc.abstractmethod
    def _add(self, batch: pa.RecordBatch, copy: list[int]) -> None: ...

    @abc.abstractmethod
    def _end(self, file: HashedFile) -> None: ...


class JsonLines(_Sharded):
    """JSON lines in zstd, `part-00000.jsonl.zst` and so on: a line is a document with its columns. Times are RFC 3339."""

    def _open(self) -> HashedFile:
        file = HashedFile(self._at(f"part-{len(self.files):05d}.jsonl.zst"))
        self._stream = zstandard.ZstdCompressor(level=3).stream_writer(cast(IO[bytes], file), closefd=False)
        return file

    def _add(self, batch: pa.RecordBatch, copy: list[int]) -> None:
        lines = (orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in self._rows(batch, self.options.columns))
        self._stream.write(b"".join(lines))

    def _end(self, file: HashedFile) -> None:
        self._stream.close()

    def count(self) -> tuple[int, int]:
        """Lines."""
        lines = 0
        for entry in self.files:
            with open(posixpath.join(self.folder, entry["path"]), "rb") as file:
                for block in zstandard.ZstdDecompressor().read_to_iter(file):
                    lines += block.count(b"\n")
        return lines, 0


class WebDataset(_Sharded):
    """Tar files, `000000.tar` and so on: a document is `<id>.txt` and `<id>.json` with its other columns."""

    def _open(self) -> HashedFile:
        return HashedFile(self._at(f"{len(self.files):06d}.tar"))

    def _add(self, batch: pa.RecordBatch, copy: list[int]) -> None:
        others = tuple(name for name in self.options.columns if name != "text")
        rows, ids, texts = self._rows(batch, others), batch["id"].to_pylist(), batch["text"].to_pylist()
        for row, name, text, number in zip(rows, ids, texts, copy, strict=True):
            key = name if not number else f"{name}-{number}"  # samples of one key would be one sample
            self._member(f"{key}.json", orjson.dumps(row))
            self._member(f"{key}.txt", text.encode())

    def _member(self, name: str, data: bytes) -> None:
        assert self._file is not None
        header = tarfile.TarInfo(name)
        header.size, header.mode = len(data), 0o444
        self._file.write(header.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE))

    def _end(self, file: HashedFile) -> None:
        end = 2 * tarfile.BLOCKSIZE  # as tar does: two empty blocks, filled up to a record
        file.write(bytes(end + -(file.size + end) % tarfile.RECORDSIZE))

    def count(self) -> tuple[int, int]:
        """Members that are texts."""
        found = 0
        for entry in self.files:
            with open(posixpath.join(self.folder, entry["path"]), "rb") as file:
                while any(head := file.read(tarfile.BLOCKSIZE)):
                    member = tarfile.TarInfo.frombuf(head, "utf-8", "strict")  # it verifies the header's checksum
                    found += member.name.endswith(".txt")
                    file.seek(-(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE, io.SEEK_CUR)
        return found, 0


class Megatron(ExportWriter):
    """`text_document.bin` and `text_document.idx`: the prefix for `--data-path` is their path without the ending.

    The index: 9 bytes of magic, version 1 (u64), code of the type (u8), sequences (u64), document indices (u64), then the length
    of each sequence (i32), where each begins in bytes (i64), and at which sequence each document begins, and the last ends
    (i64). Each document is one sequence. All numbers are little-endian.
    """

    def __init__(self, folder: str, options: ExportOptions, tokenizer: TokenizerModel | None) -> None:
        super().__init__(folder, options, tokenizer)
        assert tokenizer is not None
        self._tail = np.array([] if options.eod is None else [options.eod], tokenizer.dtype)
        self._lengths: list[npt.NDArray[np.int32]] = []
        self._file = HashedFile(self._at("text_document.bin"))

    def add(self, batch: pa.RecordBatch, copy: list[int]) -> None:
        """One sequence for each."""
        encoded = [part for tokens in self._encoded(batch) for part in (tokens, self._tail)]
        lengths = [len(tokens) + len(self._tail) for tokens in encoded[::2]]
        self._file.write(np.concatenate(encoded).tobytes())
        self._lengths.append(np.array(lengths, np.int32))
        self.tokens += sum(lengths)

    def close(self) -> None:
        """End the tokens, and write the index."""
        self.files.append(_ended(self._file))
        assert self.tokenizer is not None
        dtype = np.dtype(self.tokenizer.dtype)
        lengths = np.concatenate([np.zeros(0, np.int32), *self._lengths])
        n = len(lengths)
        begins = np.zeros(n, np.int64)
        np.cumsum(lengths[:-1].astype(np.int64) * dtype.itemsize, out=begins[1:])
        index = HashedFile(self._at("text_document.idx"))
        index.write(MEGATRON_MAGIC + struct.pack("<QBQQ", 1, MEGATRON_CODES[dtype.name], n, n + 1))
        for column in (lengths.astype("<i4"), begins.astype("<i8"), np.arange(n + 1, dtype="<i8")):
            index.write(column.tobytes())
        self.files.append(_ended(index))

    def count(self) -> tuple[int, int]:
        """What the index says, if the tokens' file is as long as it says."""
        dtype = np.dtype(self.tokenizer.dtype)  # type: ignore[union-attr]
        with open(posixpath.join(self.folder, "text_document.idx"), "rb") as file:
            head = file.read(len(MEGATRON_MAGIC) + struct.calcsize("<QBQQ"))
            n = struct.unpack("<QBQQ", head[len(MEGATRON_MAGIC) :])[2]
            tokens = int(np.frombuffer(file.read(4 * n), "<i4").sum(dtype=np.int64))
        size = os.path.getsize(posixpath.join(self.folder, "text_document.bin"))
        return n, tokens if size == tokens * dtype.itemsize else -1


class Mds(ExportWriter):
    """`shard.00000.mds` and so on with an `index.json`, version 2 of the format.

    A shard: its number of samples (u32), where each begins and the last ends (u32), a JSON of its columns, the samples. A
    sample: the sizes of its columns in bytes (u32) but for those of one size, then their bytes. Columns are in the order of
    their names.
    """

    def __init__(self, folder: str, options: ExportOptions, tokenizer: TokenizerModel | None) -> None:
        super().__init__(folder, options, tokenizer)
        self._encodings: dict[str, str] = {}
        self._samples: list[bytes] = []
        self._bytes = 0
        self._shards: list[dict[str, Any]] = []

    def add(self, batch: pa.RecordBatch, copy: list[int]) -> None:
        """One sample for each."""
        columns = self._columns(batch)
        config = self._config()
        for values in zip(*(columns[name] for name in config["column_names"]), strict=True):
            variable = [len(v) for v, size in zip(values, config["column_sizes"], strict=True) if size is None]
            sample = struct.pack(f"<{len(variable)}I", *variable) + b"".join(values)
            if len(sample) >= _NO_MORE - MDS_SHARD_BYTES:
                raise ExportError("a document is too long for MDS, whose shards hold 4 GB; export jsonl.zst")
            if self._samples and self._bytes + len(sample) + 4 > MDS_SHARD_BYTES:
                self._flush()
            self._samples.append(sample)
            self._bytes += len(sample) + 4

    def _columns(self, batch: pa.RecordBatch) -> dict[str, list[bytes]]:
        """The columns of samples as bytes; a null of text is the empty text."""
        found: dict[str, list[bytes]] = {}
        for name in self.options.columns:
            column, called = batch[name], self.options.text if name == "text" else name
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                self._encodings[called] = "str"
                found[called] = [(value or "").encode() for value in column.to_pylist()]
            elif pa.types.is_integer(column.type) and not column.null_count:
                self._encodings[called] = "int"
                found[called] = [struct.pack("<q", value) for value in column.to_pylist()]
            else:
                raise ExportError(f"--column {name}: MDS holds columns of text and of whole numbers; leave it out")
        if self.tokenizer is not None:
            dtype = np.dtype(self.tokenizer.dtype)
            self._encodings["tokens"] = f"ndarray:{dtype.name}"
            encoded = self._encoded(batch)
            self.tokens += sum(map(len, encoded))
            found["tokens"] = [_mds_array(tokens) for tokens in encoded]
        return found

    def _config(self) -> dict[str, Any]:
        names = sorted(self._encodings)
        return {
            "version": 2,
            "format": "mds",
            "compression": None,
            "hashes": [],
            "size_limit": MDS_SHARD_BYTES,
            "column_names": names,
            "column_encodings": [self._encodings[name] for name in names],
            "column_sizes": [8 if self._encodings[name] == "int" else None for name in names],
        }

    def _flush(self) -> None:
        config = self._config()
        data = json.dumps(config, sort_keys=True).encode()
        n = len(self._samples)
        sizes = np.array([0, *map(len, self._samples)], np.int64)
        offsets = np.cumsum(sizes) + 4 + 4 * (n + 1) + len(data)
        file = HashedFile(self._at(f"shard.{len(self._shards):05d}.mds"))
        file.write(struct.pack("<I", n) + offsets.astype("<u4").tobytes() + data)
        file.write(b"".join(self._samples))
        entry = _ended(file)
        self.files.append(entry)
        raw = {"basename": entry["path"], "bytes": entry["bytes"], "hashes": {}}
        self._shards.append(config | {"raw_data": raw, "zip_data": None, "samples": n})
        self._samples, self._bytes = [], 0

    def close(self) -> None:
        """End the shard, and write the index."""
        if self._samples:
            self._flush()
        file = HashedFile(self._at("index.json"))
        file.write(json.dumps({"version": 2, "shards": self._shards}, sort_keys=True).encode())
        self.files.append(_ended(file))

    def count(self) -> tuple[int, int]:
        """What the shards say, by their offsets and the sizes in their samples."""
        documents = tokens = 0
        for shard in self._shards:
            with open(posixpath.join(self.folder, shard["raw_data"]["basename"]), "rb") as file:
                n = struct.unpack("<I", file.read(4))[0]
                offsets = np.frombuffer(file.read(4 * (n + 1)), "<u4")
                documents += n if offsets[-1] == os.fstat(file.fileno()).st_size else 0
                tokens += self._tokens_in(file, offsets[:-1].tolist(), shard) if self.tokenizer else 0
        return documents, tokens

    def _tokens_in(self, file: IO[bytes], begins: list[int], shard: dict[str, Any]) -> int:
        names = [n for n, size in zip(shard["column_names"], shard["column_sizes"], strict=True) if size is None]
        ahead = [name for name in shard["column_names"] if name < "tokens"]
        fixed = sum(
            8 for n, size in zip(shard["column_names"], shard["column_sizes"], strict=True) if size and n in ahead
        )
        found = 0
        for begin in begins:
            file.seek(begin)
            sizes = dict(zip(names, struct.unpack(f"<{len(names)}I", file.read(4 * len(names))), strict=True))
            file.seek(fixed + sum(sizes.get(name, 0) for name in ahead), io.SEEK_CUR)
            width = 1 << (file.read(1)[0] & 3)
            found += int.from_bytes(file.read(width), "little")
        return found


def _mds_array(tokens: npt.NDArray[np.generic]) -> bytes:
    """One dimension: its number and the width of the shape in one byte, the shape, the values."""
    width = next(power for power in range(4) if len(tokens) < 1 << (8 << power))
    return bytes([1 << 2 | width]) + len(tokens).to_bytes(1 << width, "little") + tokens.tobytes()


WRITERS: dict[str, type[ExportWriter]] = {
    "jsonl.zst": JsonLines,
    "webdataset": WebDataset,
    "megatron": Megatron,
    "mds": Mds,
}
