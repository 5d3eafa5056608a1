"""What a file is, by its first bytes: names lie, and a record should not be blamed for its file.

One table: the bytes, what they begin, how it is read if it can be, and what to do if it cannot.
"""

import re
from typing import NamedTuple

LOOK_BYTES = 512  # a tar file says what it is at byte 257


class Kind(NamedTuple):
    """What begins with some bytes.

    Attributes:
      what: it, with its article.
      advice: what to do where it is not read.
      compression: how it is decompressed: gzip, zstd, bz2, xz or lz4.
      format: how it is read.
    """

    what: str
    advice: str = ""
    compression: str = ""
    format: str = ""


def _convert(how: str) -> str:
    return f"write its documents as JSON Lines or Parquet ({how})"


_SQLITE = "sqlite3 -json FILE 'select * from ...' | jq -c '.[]'"
_PANDAS = "in Python: pandas.read_{0}(...).to_parquet(...)"
LFS = Kind("a Git LFS pointer", "fetch the file itself: git lfs pull")
# (offset, bytes, kind, whether text may begin so: then only a file that also holds a NUL is meant)
_TABLE: tuple[tuple[int, bytes, Kind, bool], ...] = (
    (0, b"\x1f\x8b", Kind("gzip", compression="gzip"), False),
    (0, b"\x28\xb5\x2f\xfd", Kind("zstd", compression="zstd"), False),
    (0, b"\xfd7zXZ\0", Kind("xz", compression="xz"), False),
    (0, b"\x04\x22\x4d\x18", Kind("lz4", compression="lz4"), False),
    (0, b"\xff\x06\0\0sNaPpY", Kind("a snappy file", "unpack it: snzip -d"), False),
    (0, b"\x1f\x9d", Kind("a file of `compress`", "unpack it: uncompress"), False),
    (0, b"PK\3\4", Kind("a zip file", "unpack it: unzip", format="zip"), False),
    (0, b"PK\5\6", Kind("an empty zip file", "remove it"), False),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7z file", "unpack it: 7z x"), False),
    (0, b"Rar!\x1a\x07", Kind("a rar file", "unpack it: unrar x"), False),
    (257, b"ustar", Kind("a tar file", "unpack it: tar -xf", format="tar"), True),
    (0, b"PAR1", Kind("Parquet", "name it .parquet", format="parquet"), True),
    (0, b"PARE", Kind("an encrypted Parquet file", "decrypt it"), True),
    (0, b"ARROW1\0\0", Kind("an Arrow or Feather file", "name it .arrow", format="arrow"), False),
    (0, b"FEA1", Kind("a Feather file", _convert(_PANDAS.format("feather"))), True),
    (0, b"\xff\xff\xff\xff", Kind("an Arrow stream", "name it .arrow", format="arrow"), False),
    (0, b"ORC", Kind("an ORC file", "name it .orc", format="orc"), True),
    (0, b"Obj\1", Kind("an Avro file", _convert("avro-tools tojson")), False),
    (0, b"\x89HDF\r\n\x1a\n", Kind("an HDF5 file", _convert(_PANDAS.format("hdf"))), False),
    (0, b"\x93NUMPY", Kind("a NumPy file", "it holds numbers, not documents; remove it"), False),
    (0, b"SQLite format 3\0", Kind("an SQLite database", _convert(_SQLITE)), False),
    (0, b"%PDF-", Kind("a PDF file", "take its text out: pdftotext"), False),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("an old Office file", "save it as text"), False),
    (0, b"\x89PNG\r\n\x1a\n", Kind("a PNG image", "remove it"), False),
    (0, b"\xff\xd8\xff", Kind("a JPEG image", "remove it"), False),
    (0, b"\x7fELF", Kind("a program", "remove it"), False),
    (0, b"WARC/1.", Kind("a WARC file", "name it .warc", format="warc"), False),
    (0, b"version https://git-lfs.github.com/spec/", LFS, False),
    (0, b"\xff\xfe\0\0", Kind("UTF-32 text", "write it as UTF-8: iconv -f UTF-32 -t UTF-8"), False),
    (0, b"\0\0\xfe\xff", Kind("UTF-32 text", "write it as UTF-8: iconv -f UTF-32 -t UTF-8"), False),
    (0, b"\xff\xfe", Kind("UTF-16 text", "write it as UTF-8: iconv -f UTF-16 -t UTF-8"), False),
    (0, b"\xfe\xff", Kind("UTF-16 text", "write it as UTF-8: iconv -f UTF-16 -t UTF-8"), False),
)
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # a frame that a zstd file may begin with (RFC 8878, 3.1.2)
_WIDE = re.compile(rb"\{\0[\"\s]\0|\0\{\0[\"\s]")
_LINK = re.compile(rb"(\.\.?/)+[^\s{}\"]+\s*")
_HTML = re.compile(rb"\s*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<(\?xml\b|Error>)")
UTF_16 = Kind("UTF-16 text", "write it as UTF-8: iconv -f UTF-16LE -t UTF-8")
HTML = Kind("an HTML page", "most often it is a server's error page; fetch the file again")
LINK = Kind(
    "a link that was copied as text", "copy the files that links stand for: cp -L, or git config core.symlinks true"
)
XML = Kind("an XML file", "it may be a server's error message; fetch the file again")


def kind_of(head: bytes, format: str) -> Kind | None:
    """What a file is whose first `LOOK_BYTES` bytes these are; None: nothing that is known, which may well be right.

    Args:
      head: the first bytes, decompressed if they were compressed.
      format: what the file is to be read as. What is wrong as JSON Lines may be right as text.
    """
    for offset, magic, kind, in_text in _TABLE:
        if head.startswith(magic, offset) and not (in_text and format != "parquet" and b"\0" not in head):
            return kind
    if _BZIP2.match(head):
        return Kind("bzip2", compression="bz2")
    if _SKIPPABLE.match(head):
        return Kind("zstd", compression="zstd")
    if format in ("jsonl", "json") and (found := _json(head)):
        return found
    if format not in ("text", "lines", "html"):
        if _WIDE.match(head):
            return UTF_16
        if _LINK.fullmatch(head):
            return LINK
        if _HTML.match(head):
            return HTML
        if _XML.match(head):
            return XML
    return None


_ARRAY = re.compile(rb"\s*\[\s*(\{|\]|$)")
_OVER_LINES = re.compile(
    rb"\s*\{[ \t]*\r?\n\s*[\"}]|\s*\{[^\n]*[,\[{][ \t]*\r?\n\s*[\"\[\]}]|\s*\{[^\n]*\[[ \t]*\r?\n\s*\{"
)
_LIST_OF_OBJECTS = re.compile(rb"\s*\{[^{\n]*?\"[^\"\n]*\"\s*:\s*\[\s*\{")
JSON = Kind("JSON that is not one object a line", format="json")
MAYBE_JSON = Kind(
    "JSON that may be one object around its documents", format="json"
)  # or JSON Lines, as its reader finds out


def _json(head: bytes) -> Kind | None:
    """Whether JSON begins like an array, an object over several lines, or one that may be around its documents."""
    head = head.removeprefix(b"\xef\xbb\xbf")
    if _ARRAY.match(head) or _OVER_LINES.match(head):
        return JSON
    return MAYBE_JSON if _LIST_OF_OBJECTS.match(head) else None


def told_format(head: bytes) -> str:
    """How a file is best read that begins so, and whose name says nothing; "": it cannot be."""
    kind = kind_of(head, "jsonl")
    if kind is not None:
        return "html" if kind is HTML else kind.format
    return "jsonl" if is_plain(head, "jsonl") else "text" if is_plain(head, "text") else ""


def stood_for(kind: Kind, head: bytes) -> int | None:
    """Bytes of the file that stood here, where this is but something in its place; 0: it does not say; None: this is it."""
    if kind is LFS:
        size = re.search(rb"\nsize (\d{1,15})\s", head)
        return int(size[1]) if size else 0
    return 0 if kind in (HTML, XML, LINK) else None


def is_plain(head: bytes, format: str) -> bool:
    """Whether a file begins like text of this format, and not like something compressed or damaged."""
    head = head.removeprefix(b"\xef\xbb\xbf")
    if format == "jsonl":
        return head.lstrip()[:1] == b"{"
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False  # not just a character that is cut off
    return not re.search(rb"[\0-\x08\x0e-\x1f]", head)
