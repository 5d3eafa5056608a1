"""Labels that people gave: an append-only JSONL file, one line an answer, keyed by what was read.

A line has `content_hash` (of the text in canonical form, hexadecimal), `item`, `label` (human, synthetic, undetermined, or
null: taken back), `reviewer`, `seconds`, `at` and `note`. The last line of a reviewer about a content counts. A last line
that a crash tore is left out with a warning; any other line that is not a label is an error, because a label that is
silently lost could be the one that decides.
"""

import dataclasses
import errno
import hashlib
import math
import os
import re
import stat
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from expectations.contracts import HUMAN, SYNTHETIC, UNKNOWN
from expectations.errors import UserError
from expectations.loading import LoadError, parse_json
from expectations.paths import open_for_reading
from expectations.wording import plural
from transforms.engine import files

WORDS = {"undetermined": UNKNOWN, "human": HUMAN, "synthetic": SYNTHETIC}
_HEX = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]{1,64}")
MAX_NOTE, MAX_SECONDS = 2000, 86_400


class LabelError(UserError):
    """Labels cannot be used: which file, which line, what is wrong, what to do. One line."""


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """The labels that count.

    Attributes:
      content_hash: of each content that has one, sorted, 16 bytes each, S16[contents].
      votes: by reviewer, sorted by name, int64[contents, 3]: 1 in the column of their answer (`contracts.ORIGINS`).
      files: name and SHA-256 of each file.
      warnings: what was left out.
    """

    content_hash: npt.NDArray[np.bytes_]
    votes: dict[str, npt.NDArray[np.int64]]
    files: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    @property
    def total(self) -> npt.NDArray[np.int64]:
        """The votes of all reviewers, int64[contents, 3]."""
        return sum(self.votes.values(), np.zeros((len(self.content_hash), len(WORDS)), np.int64))

    def of(self, hashes: npt.NDArray[np.bytes_], votes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Some `votes`, looked up for each of some contents: int64[hashes, 3], zeros where there is none."""
        at, found = look_up(self.content_hash, hashes)
        return np.where(found[:, None], votes[at] if len(votes) else 0, 0)


def look_up(
    known: npt.NDArray[np.bytes_], hashes: npt.NDArray[np.bytes_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where each hash is among some sorted ones, and whether it is there at all."""
    if not len(known):
        return np.zeros(len(hashes), np.int64), np.zeros(len(hashes), bool)
    at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return at, known[at] == hashes


def read_labels(paths: Sequence[str]) -> Labels:
    """Read labels; of two files, the later one's lines come later.

    Raises:
      LabelError: a file is missing, or a line of it is not a label.
    """
    last: dict[tuple[str, bytes], int | None] = {}
    read: list[tuple[str, str]] = []
    warnings: list[str] = []
    for path in paths:
        try:
            with open_for_reading(path) as file:
                data = file.read()
        except OSError as error:
            raise LabelError(f"{path}: {error.strerror}; `lowbackground review serve` writes labels") from None
        read.append((os.path.basename(path), hashlib.sha256(data).hexdigest()))
        lines = data.split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = parse_label(line)
            except LabelError as error:
                if number == len(lines) and _is_torn(line):
                    warnings.append(f"{path}, line {number}: torn, left out ({plural(len(line), 'byte')})")
                    continue
                raise LabelError(f"{path}, line {number}: {error}") from None
            label = None if row["label"] is None else WORDS[row["label"]]
            last[row["reviewer"], bytes.fromhex(row["content_hash"])] = label
    return _labels({key: label for key, label in last.items() if label is not None}, tuple(read), tuple(warnings))


def parse_label(line: bytes) -> dict[str, Any]:
    """One line as a label.

    Raises:
      LabelError: it is none; the message says which key is wrong.
    """
    try:
        row = parse_json(line, "label")
    except LoadError as error:
        raise LabelError(re.sub(r"^label: (not JSON \().*?: ", r"\1", str(error)).removeprefix("label: ")) from None
    if not isinstance(row, dict):
        raise LabelError("not an object")
    row = {"content_hash": "", "item": None, "seconds": None, "note": "", "at": None} | row
    content = row["content_hash"]
    if not isinstance(content, str) or not _HEX.fullmatch(content):
        raise LabelError("content_hash must be 32 hexadecimal digits")
    if "label" not in row or not (row["label"] is None or row["label"] in [*WORDS]):
        raise LabelError(f"label must be {', '.join(WORDS)} or null")
    if not is_name(row.get("reviewer")):
        raise LabelError("reviewer must be a name of 1 to 64 printable characters")
    seconds = row["seconds"]
    if seconds is not None and not (
        isinstance(seconds, int | float) and math.isfinite(seconds) and 0 <= seconds <= MAX_SECONDS
    ):
        raise LabelError(f"seconds must be a number from 0 to {MAX_SECONDS}")
    if not isinstance(row["note"], str) or len(row["note"]) > MAX_NOTE:
        raise LabelError(f"note must be text of at most {MAX_NOTE} characters")
    return row


def _is_torn(line: bytes) -> bool:
    """Whether a line without a line break is the beginning of a label: it was being written when the machine stopped."""
    if not line.startswith(b"{"):
        return False
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return True
    return False  # a whole object that is no label is of another file


def is_name(name: object) -> bool:
    """Whether something may stand as a reviewer's name."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name)) and name == name.strip()


def _labels(
    last: dict[tuple[str, bytes], int], files: tuple[tuple[str, str], ...], warnings: tuple[str, ...]
) -> Labels:
    ordered = sorted({content for _, content in last})
    contents = np.array(ordered, "S16")
    place = {content: at for at, content in enumerate(ordered)}
    votes = {
        name: np.zeros((len(contents), len(WORDS)), np.int64) for name in sorted({reviewer for reviewer, _ in last})
    }
    for (reviewer, content), label in last.items():
        votes[reviewer][place[content], label] = 1
    return Labels(contents, votes, files, warnings)


class LabelFile:
    """A labels file that is written to, one answer at a time, each on disk before it is acknowledged.

    One writer at a time: the file is locked while it is open. What a failed write left behind is cut off at once, so that it
    is never glued to the next answer.
    """

    def __init__(self, path: str) -> None:
        """Open it to append; a last line that a crash tore goes (nobody was told that it was kept), and `cut` says so.

        Raises:
          LabelError: it is there and is no labels file, another process writes to it, or it cannot be written.
        """
        self.path, self.broken = path, False
        self.cut = ""
        try:
            self.file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise LabelError(f"{path}: {error.strerror}") from None
        try:
            if not stat.S_ISREG(os.fstat(self.file).st_mode):
                raise LabelError(f"{path}: is no plain file")
            _lock(self.file, path)
            read_labels([path])
            self.size = self._mended()
            files.sync_folder(os.path.dirname(path) or ".")  # the name of a new file must survive as well
        except BaseException as error:
            os.close(self.file)
            if isinstance(error, OSError):
                raise LabelError(f"{path}: {error.strerror}") from None
            raise

    def _mended(self) -> int:
        """Cut off a torn last line, or end one that is whole. Returns the size."""
        size = os.fstat(self.file).st_size
        tail = _tail(self.file, size)
        if not tail:
            return size
        try:
            parse_label(tail)
        except LabelError:
            size -= len(tail)
            os.ftruncate(self.file, size)
            cut = plural(len(tail), "byte")
            self.cut = f"{self.path}: its last line was torn, and nobody was told that it was kept; {cut} cut off"
        else:
            size += os.write(self.file, b"\n")
        os.fsync(self.file)
        return size

    def append(self, row: dict[str, Any]) -> None:
        """Add a line and wait until it is on disk.

        Raises:
          LabelError: the row is no label.
          OSError: it could not be written, and nothing of it is in the file; or the file is not what it was.
        """
        line = orjson.dumps(row) + b"\n"
        parse_label(line)
        self._is_ours()
        try:
            written = os.write(self.file, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, f"only {written} of {plural(len(line), 'byte')} could be written")
            os.fsync(self.file)
        except BaseException:
            self._take_back()
            raise
        self.size += len(line)

    def _is_ours(self) -> None:
        """Refuse to write behind what somebody else wrote, or to a file that the name does not lead to any more."""
        if self.broken:
            self._take_back()  # a full disk may have room by now
        try:
            same = os.path.samestat(os.stat(self.path), os.fstat(self.file))
        except OSError:
            same = False
        if not same or os.fstat(self.file).st_size != self.size:
            raise OSError(errno.ESTALE, f"{self.path} was moved, replaced or written by somebody else; start again")

    def _take_back(self) -> None:
        """Cut the file where the last acknowledged answer ends; until that is done, nothing is written."""
        self.broken = True
        os.ftruncate(self.file, self.size)
        os.fsync(self.file)
        self.broken = False

    def close(self) -> None:
        """Let go of the file, and of its lock."""
        os.close(self.file)


def _lock(file: int, path: str) -> None:
    """Keep others from writing to an open file. The system lets go of it when this process ends, however it ends."""
    try:
        import fcntl  # not on Windows, which has no such lock
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LabelError(
            f"{path}: another `review serve` writes to it; stop that one, or give another --labels"
        ) from None
    except OSError:
        return  # a file system without locks; `append` still sees that somebody else wrote


def _tail(file: int, size: int) -> bytes:
    """What is behind the last line break."""
    tail, at = b"", size
    while at and b"\n" not in tail:
        start = max(0, at - (1 << 16))
        tail, at = os.pread(file, at - start, start) + tail, start
    return tail[tail.rfind(b"\n") + 1 :]
