"""The formats that are read: what each is called, which endings its files have, and how they must be opened.

One table. What reads a format stands beside it in `readers.READERS`, what its files begin with in `first_bytes`.
"""

from typing import NamedTuple


class Format(NamedTuple):
    """A way to read a file.

    Attributes:
      name: as a recipe says it (`format`).
      what: it, for people.
      endings: of files that are taken to be so.
      one_document: a file is one document, whose id is its path.
      seeks: it is read from any place: a file that was compressed as a whole is unpacked to a temporary one first.
      holds_files: it is an archive: its members are read each as what they are.
    """

    name: str
    what: str
    endings: tuple[str, ...] = ()
    one_document: bool = False
    seeks: bool = False
    holds_files: bool = False


FORMATS = {
    one.name: one
    for one in (
        # An array or one object is told by its first bytes.
        Format("jsonl", "JSON Lines", (".jsonl", ".ndjson", ".json")),
        Format("json", "JSON"),
        Format("csv", "CSV or TSV", (".csv", ".tsv", ".tab")),
        Format("parquet", "Parquet", (".parquet",), seeks=True),
        Format("arrow", "Arrow or Feather", (".arrow", ".feather", ".ipc", ".arrows"), seeks=True),
        Format("orc", "ORC", (".orc",), seeks=True),
        Format("text", "text, a file a document", (".txt", ".md", ".text"), one_document=True),
        Format("lines", "text, a line a document"),
        Format("html", "HTML, a file a document", (".html", ".htm", ".xhtml"), one_document=True),
        Format("warc", "WARC or WET", (".warc", ".wet")),
        Format("tar", "a tar file or WebDataset", (".tar",), holds_files=True),
        Format("zip", "a zip file", (".zip",), seeks=True, holds_files=True),
    )
}
ENDINGS = {ending: one.name for one in FORMATS.values() for ending in one.endings}
COMPRESSIONS = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".bz2": "bz2",
    ".xz": "xz",
    ".lz4": "lz4",
}
SHORT = {".tgz": ("tar", "gzip"), ".tbz2": ("tar", "bz2"), ".txz": ("tar", "xz"), ".tzst": ("tar", "zstd")}
# They describe a data set and are never part of it.
DESCRIPTIONS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "croissant.json"}
NAMES_OF_DESCRIPTIONS = {"LICENSE", "LICENCE", "COPYING", "NOTICE", "README", "CITATION.CFF", "SHA256SUMS", "MD5SUMS"}


def named(path: str) -> tuple[str, str]:
    """Format and compression by the ending of a name: ("jsonl", "gzip"), or ("", ...) where the ending says nothing."""
    stem, ending = stem_and_ending(path)
    if ending in ENDINGS:
        return ENDINGS[ending], ""
    if ending in COMPRESSIONS:
        return ENDINGS.get(stem_and_ending(stem)[1], ""), COMPRESSIONS[ending]
    return SHORT.get(ending, ("", ""))


def stem_and_ending(path: str) -> tuple[str, str]:
    """The name of a file in lower case, and its ending, as `posixpath.splitext` sees it, in a third of its time."""
    name = path[path.rfind("/") + 1 :].lower()
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if stem.strip(".") else (name, "")


def ending_of(path: str) -> str:
    """`.txt`, `.txt.gz`, or nothing."""
    stem, ending = stem_and_ending(path)
    return stem_and_ending(stem)[1] + ending if ending in COMPRESSIONS else ending


def has_ending(path: str) -> bool:
    """Whether a name has an ending: not `README`, `12345` or Enron's `1.`; that of a compression is none."""
    stem, ending = stem_and_ending(path)
    if ending in COMPRESSIONS:
        ending = stem_and_ending(stem)[1]
    return len(ending) > 1 and not ending[1:].isdecimal()


def is_description(path: str) -> bool:
    """Whether a file of this name describes a data set."""
    name = path[path.rfind("/") + 1 :]
    return name in DESCRIPTIONS or name.upper() in NAMES_OF_DESCRIPTIONS
