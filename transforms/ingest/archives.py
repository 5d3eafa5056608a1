"""Archives -> documents: tar (also WebDataset) and zip, member by member, in the archive's order.

A member that is data (JSON Lines, CSV, Parquet, ...) is read as a file of its own. One that is text is a document, whose id is
its name; beside it, under the same name up to the first dot, a member of JSON gives its columns, as WebDataset has it. `row`
counts the records of the whole archive.
"""

import contextlib
import dataclasses
import functools
import io
import posixpath
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from expectations.wording import message
from transforms.ingest import columns as documents
from transforms.ingest import html
from transforms.ingest.decompress import (
    SPOOLED_BYTES,
    ChunkStream,
    DamageError,
    Inside,
    chunks,
    is_decoders,
    look,
    open_seekable,
)
from transforms.ingest.formats import FORMATS, is_description, named
from transforms.ingest.quarantine import WHOLE_FILE, Bad, Pair, Reading, finish, missing_text, no_documents
from transforms.ingest.warc import not_documents

Read = Callable[[Reading], Iterator[Pair]]
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)
_RECORD = re.compile(r"\.json(\.\w+)?$")  # a member that may be one record, or the columns of a text
_END_BYTES = 22 + 0xFFFF  # of the end of a zip file, with its comment


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
      name: with its folders.
      n_bytes: in storage, about.
      open: gives its bytes.
      is_once: it can be opened only once, before the next member.
    """

    name: str
    n_bytes: int
    open: Callable[[], BinaryIO]
    is_once: bool = False


def read_tar(job: Reading, read: Read) -> Iterator[Pair]:
    """Documents of a tar file, read once from its beginning.

    Raises:
      DamageError: it holds no member that can be read.
    """
    stream = ChunkStream(chunks(job.piece, job.chunk_bytes))
    archive = _Archive(job, read)
    end = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape") as file:
            yield from archive.read(_of_tar(file, archive))
            end = file.offset
    except _BROKEN as error:
        if not is_decoders(error):
            raise
        archive.fail(stream.damage or DamageError("corrupt_file", f"it is no tar file from here on: {message(error)}"))
    total = stream.drain()
    if stream.damage is not None and archive.damage is None:
        archive.fail(stream.damage)
    elif archive.damage is None and stream.used > end:
        share = (total - end) / max(1, total)
        detail = (
            "more lies behind where the tar file ends: it is damaged there, or several in one (tar -x --ignore-zeros)"
        )
        archive.fail(DamageError("corrupt_file", detail, n_bytes=int(job.piece.size * share)))
    elif archive.damage is None and stream.tail.strip(b"\0"):
        archive.fail(
            DamageError("truncated_file", "the tar file has no end mark: it ends too early; fetch it again", n_bytes=0)
        )
    yield from archive.rest()


def _of_tar(file: tarfile.TarFile, archive: "_Archive") -> Iterator[Member]:
    for info in file:
        if info.isdir():
            continue
        name = info.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if not info.isreg():
            archive.others["link or device"] += 1
            continue

        def opened(info: tarfile.TarInfo = info) -> BinaryIO:
            found = file.extractfile(info)
            assert found is not None
            return found  # type: ignore[return-value]

        yield Member(name, info.size, opened, is_once=True)


def read_zip(job: Reading, read: Read) -> Iterator[Pair]:
    """Documents of a zip file.

    Raises:
      DamageError: its directory cannot be read.
    """
    archive = _Archive(job, read)
    with open_seekable(job.piece, job.limits) as raw:
        try:
            file = zipfile.ZipFile(raw)
        except _BROKEN as error:
            if not is_decoders(error):
                raise
            raise DamageError(
                "corrupt_file", f"the directory of the zip file cannot be read: {message(error)}"
            ) from error
        with file:
            if _entries(raw) not in (None, len(file.infolist())):
                raise DamageError(
                    "corrupt_file", "the directory of the zip file is damaged: it has not all entries that it says"
                )
            infos = [info for info in file.infolist() if not info.is_dir()]
            members = (Member(one.filename, one.compress_size, functools.partial(_open_in, file, one)) for one in infos)
            yield from archive.read(members)
    yield from archive.rest()


def _open_in(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    return _ZipMember(file.open(info))  # type: ignore[return-value]


class _ZipMember(io.RawIOBase):
    """A member of a zip file, whose damage is an error of reading like that of any compressed file."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._inner.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._inner.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        try:
            return self._inner.read(-1 if size is None else size)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise OSError(message(error)) from error

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def _entries(raw: BinaryIO) -> int | None:
    """How many entries a zip file says that it has (PKWARE's APPNOTE, 4.3.16); None: it is one of 64 bits, or does not say."""
    raw.seek(0, io.SEEK_END)
    raw.seek(max(0, raw.tell() - _END_BYTES))
    end = raw.read()
    at = end.rfind(b"PK\5\6")
    n = int.from_bytes(end[at + 10 : at + 12], "little")
    return n if at >= 0 and n < 0xFFFF else None


@dataclasses.dataclass
class _Sample:
    """A document that waits to be in a batch."""

    row: int
    name: str
    text: bytes | None  # None: it is in the record
    is_page: bool
    record: dict[str, Any]
    line: bytes


class _Archive:
    """The reading of one archive."""

    def __init__(self, job: Reading, read: Read) -> None:
        self.job, self._read = job, read
        self.row = 0  # of the next record
        self.others: Counter[str] = Counter()  # members that are no documents, by what they are
        self.damage: DamageError | None = None
        self._samples: list[_Sample] = []
        self._bad: list[Bad] = []
        self._size = 0

    def fail(self, damage: DamageError) -> None:
        """The rest of the archive is lost."""
        self.damage = damage
        behind = self.job.bad(self.row, damage.reason, damage.detail, damage.raw)
        self._bad.append(behind._replace(records=None, n_bytes=damage.n_bytes or 0))
        self.row += 1

    def read(self, members: Iterator[Member]) -> Iterator[Pair]:
        """The documents of the members; what is not yet in a batch waits for `rest`."""
        group: list[tuple[Member, bytes]] = []
        key = ""
        for member in members:
            what = self._is_no_document(member)
            if what:
                self.others[what] += 1
                continue
            form, compression = named(member.name)
            small = FORMATS[form].one_document or (form == "jsonl" and _RECORD.search(member.name.lower()) is not None)
            if group and (not small or _key(member.name) != key):
                yield from self._group(group)
                group = []
            if not small:
                yield from self._flush()
                yield from self._file(member, form, compression)
                continue
            key = _key(member.name)
            try:
                content = self._content(member, form, compression)
                if isinstance(content, Member):  # more than a record: it holds many
                    if group:
                        yield from self._group(group)
                        group = []
                    yield from self._flush()
                    yield from self._file(content, form, compression)
                    continue
                group.append((member, content))
            except _BROKEN as error:
                self._lost(member, error)
                if isinstance(error, tarfile.TarError):
                    raise
            except DamageError as damage:
                self._lost(member, damage)
            if self._size >= self.job.chunk_bytes:
                yield from self._flush()
        if group:
            yield from self._group(group)

    def rest(self) -> Iterator[Pair]:
        """What waits, and the remark about the members that are no documents."""
        yield from self._flush()
        if self.others:
            yield no_documents(self.job), [not_documents(self.job, self.others, "member")]

    def _is_no_document(self, member: Member) -> str:
        """What a member is that is not read; "": it is."""
        base = posixpath.basename(member.name)
        if any(part.startswith((".", "_")) for part in member.name.split("/") if part != "."):
            return "hidden"
        if is_description(member.name) or posixpath.splitext(base)[0].upper() in ("README", "LICENSE"):
            return "description"
        form, _ = named(member.name)
        if FORMATS[form].holds_files if form else True:
            ending = posixpath.splitext(base)[1].lower()[:20]
            return ending or "without an ending"
        return ""

    def _lost(self, member: Member, error: Exception) -> None:
        """A member cannot be read, or not to its end."""
        damage = _as_damage(error)
        one = self.job.bad(self.row, damage.reason, f"member {member.name[:120]}: {damage.detail}", damage.raw)
        if not FORMATS[named(member.name)[0]].one_document:
            one = one._replace(records=None, n_bytes=member.n_bytes)  # who knows how many were in it
        self._bad.append(one)
        self.row += 1

    def _content(self, member: Member, form: str, compression: str) -> bytes | Member:
        """The bytes of a small member, a few more than a text may have at most; JSON that is longer as a member to be read on."""
        limit = max(self.job.limits.max_text_bytes, 0 if form != "jsonl" else self.job.limits.max_line_bytes) + 4
        raw = member.open()
        packed = raw.read(limit)
        if form == "jsonl" and (more := raw.read(1)):
            return member._replace(open=lambda: _ReadOn(packed + more, raw), is_once=True)  # type: ignore[arg-type, return-value]
        raw.close()
        if not compression:
            return packed.removeprefix(b"\xef\xbb\xbf")
        inside = self._inside(member, form, compression, lambda: io.BytesIO(packed))
        content = bytearray()
        for chunk in chunks(inside, self.job.chunk_bytes):
            content += chunk
            if len(content) > limit:
                if form == "jsonl":
                    return member._replace(open=lambda: io.BytesIO(packed), is_once=False)
                break
        return bytes(content[:limit])

    def _inside(self, member: Member, form: str, compression: str, opened: Callable[[], BinaryIO]) -> Inside:
        piece = self.job.piece
        return Inside(
            piece.path, form, compression, member.n_bytes, piece.fingerprint, opened=opened, member=member.name
        )

    def _file(self, member: Member, form: str, compression: str) -> Iterator[Pair]:
        """A member that is data, as a file of its own; its rows are behind those before it."""
        first = self.row
        with contextlib.ExitStack() as stack:
            broken: Exception | None = None
            opened = member.open
            if member.is_once:
                spool = stack.enter_context(tempfile.SpooledTemporaryFile(SPOOLED_BYTES))
                try:
                    with member.open() as raw:
                        while block := raw.read(1 << 20):
                            spool.write(block)
                            if spool.tell() > self.job.limits.max_unpacked_bytes:
                                self._lost(member, DamageError(*self.job.limits.file_too_large()))
                                return
                except _BROKEN as error:
                    broken = error
                opened = functools.partial(_from_start, spool)

            inside = self._inside(member, form, compression, opened)
            last = first - 1
            try:
                seen, _ = look(inside)
                for batch, bad in self._read(dataclasses.replace(self.job, seen=seen)):
                    last = max([last, *(first + one.row for one in bad if one.row >= 0)])
                    if batch.num_rows:
                        last = max(last, first + int(batch["row"][-1].as_py()))
                    yield _moved(batch, first), [_named(one, member, first) for one in bad]
            except Exception as error:
                if not isinstance(error, DamageError) and not is_decoders(error):
                    raise
                whole = dataclasses.replace(self.job, seen=inside).lost(_as_damage(error))
                yield no_documents(self.job), [_named(whole, member, first)]
        self.row = last + 1
        if broken is not None:
            self._lost(member, broken)
            if isinstance(broken, tarfile.TarError):
                raise broken

    def _group(self, group: list[tuple[Member, bytes]]) -> Iterator[Pair]:
        """Members of one name: texts and their columns, or only JSON, which then is the documents."""
        columns: list[tuple[Member, bytes]] = []
        texts: list[tuple[Member, bytes]] = []
        for one in group:
            (columns if named(one[0].name)[0] == "jsonl" else texts).append(one)
        record, line = (_object(columns[0][1]) if columns else None) or ({}, b"{}")
        for member, content in texts:
            self._add(member, content, record, line)
        if texts:
            for member, content in columns:
                if _object(content) is None:
                    self._bad.append(
                        self.job.bad(
                            self.row - 1, "not_documents", f"member {member.name[:120]} is no JSON object", content
                        )._replace(records=0)
                    )
            return
        for member, content in columns:
            found = _object(content)
            if found is not None and self._own_text(*found) is not None:
                self._samples.append(_Sample(self.row, member.name, None, False, *found))
                self.row += 1
                self._size += len(content)
            else:
                yield from self._flush()
                opened = functools.partial(io.BytesIO, content)
                yield from self._file(Member(member.name, member.n_bytes, opened), "jsonl", "")

    def _own_text(self, record: dict[str, Any], line: bytes) -> str | None:
        columns = documents.JsonColumns([record], [line])
        found = (columns.get(name) for name in documents.names(self.job.source.fields, "text"))
        return next((values[0] for values in found if values is not None and type(values[0]) is str), None)

    def _add(self, member: Member, content: bytes, record: dict[str, Any], line: bytes) -> None:
        is_page = named(member.name)[0] == "html"
        self._samples.append(_Sample(self.row, member.name, content, is_page, record, line))
        self.row += 1
        self._size += len(content)

    def _flush(self) -> Iterator[Pair]:
        """What waits, as a batch."""
        samples, bad = self._samples, self._bad
        self._samples, self._bad, self._size = [], [], 0
        if not samples:
            if bad:
                yield no_documents(self.job), sorted(bad, key=lambda one: one.row)
            return
        ids = documents.names(self.job.source.fields, "id")
        records = []
        for sample in samples:
            record = dict(sample.record)
            if ids and all(record.get(name) is None for name in ids):
                record[ids[0]] = sample.name
            records.append(record)
        columns = documents.JsonColumns(records, [sample.line for sample in samples])
        limit = self.job.limits.max_text_bytes
        texts = [self._text(sample, limit) for sample in samples]

        def explain(i: int) -> tuple[str, str, bytes]:
            sample, where = samples[i], f"member {samples[i].name[:120]}"
            if sample.text is None:
                return "missing_text", f"{where}: {missing_text(self.job.source, list(sample.record))}", sample.line
            if sample.is_page:
                return "missing_text", f"{where}: the page shows no text", sample.text
            return "invalid_utf8", f"{where}: the text is not valid UTF-8", sample.text

        text = pa.array(texts, pa.large_string())
        row = np.array([sample.row for sample in samples], np.int64)
        yield finish(self.job, row, text, columns, bad, explain)

    def _text(self, sample: _Sample, limit: int) -> str | None:
        if sample.text is None:
            return self._own_text(sample.record, sample.line)
        if sample.is_page:
            return html.page_text(sample.text)
        try:
            return sample.text.decode(errors="ignore" if len(sample.text) > limit else "strict")
        except UnicodeDecodeError:
            return None


def _from_start(spool: Any) -> BinaryIO:
    spool.seek(0)
    return _Shared(spool)  # type: ignore[return-value]


class _Shared(io.RawIOBase):
    """A file that several readers open one after the other: closing it leaves it open."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._file.seek(offset, whence)
        return int(self._file.tell())

    def tell(self) -> int:
        return int(self._file.tell())

    def read(self, size: int | None = -1) -> bytes:
        return bytes(self._file.read(-1 if size is None else size))

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _ReadOn(io.RawIOBase):
    """A stream of which the first bytes were taken, from its beginning."""

    def __init__(self, taken: bytes, rest: BinaryIO) -> None:
        self._taken, self._rest = io.BytesIO(taken), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._taken.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._rest.close()
        super().close()


def _as_damage(error: Exception) -> DamageError:
    if isinstance(error, DamageError):
        return error
    return DamageError("corrupt_file", f"it cannot be read: {type(error).__name__}: {message(error)}")


def _key(name: str) -> str:
    """What members of one sample share: the name up to its first dot."""
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.partition('.')[0]}"


def _object(content: bytes) -> tuple[dict[str, Any], bytes] | None:
    try:
        record = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return (record, content) if type(record) is dict else None


def _moved(batch: pa.RecordBatch, by: int) -> pa.RecordBatch:
    """Documents with their rows behind those of other members."""
    at = batch.schema.get_field_index("row")
    row = pa.array(batch["row"].to_numpy() + by, pa.int64())
    return batch.set_column(at, batch.schema.field(at), row)


def _named(bad: Bad, member: Member, by: int) -> Bad:
    row = bad.row + by if bad.row != WHOLE_FILE else WHOLE_FILE
    return bad._replace(row=row, detail=f"member {member.name[:120]}: {bad.detail}")
