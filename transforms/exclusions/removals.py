"""Lists of removals: who asked that what be taken out, and when; and which documents that is.

A list is JSON lines. Each names documents by one of `id` (the input's own, or a `doc_id`), `url`, `domain` (and all below it),
`author` or `content_hash`, of all sources or of one (`source`), with `requested_by`, `requested_on` (a date) and maybe a `note`:

    {"domain": "example.org", "requested_by": "legal", "requested_on": "2027-01-31"}

A line that is not understood is an error, also a torn last one: a request that is lost is a document that stays.
"""

import collections
import dataclasses
import datetime
import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, ValidationError, model_validator

from expectations import contracts
from expectations.loading import LoadError, Strict, first_complaint, in_sentence, parse_json
from expectations.paths import open_for_reading
from transforms.engine.staged import Staged
from transforms.ingest.sources import InputError
from transforms.kernels.text.columns import hexadecimal
from transforms.kernels.text.urls import canonical_urls, hash_urls

KINDS = ("id", "url", "domain", "author", "content_hash")
NEEDED = ("doc_id", "id", "url_hash", "host", "author", "content_hash")
_Word = Annotated[str, Field(min_length=1, max_length=4096)]


class RemovalError(InputError):
    """A list cannot be used: which file, which line, what is wrong. One line."""


class Request(Strict):
    """One line of a list."""

    requested_by: Annotated[str, Field(pattern=r"\S", max_length=256)]
    requested_on: datetime.date
    id: _Word | None = None
    url: _Word | None = None
    domain: _Word | None = None
    author: _Word | None = None
    content_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    source: _Word | None = None
    note: Annotated[str, Field(max_length=4096)] = ""

    @model_validator(mode="after")
    def _names_one_thing(self) -> "Request":
        said = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(said) != 1:
            raise ValueError(f"a request names one of {', '.join(KINDS)}, this one {' and '.join(said) or 'none'}")
        if self.url is not None and canonical_urls(pa.array([self.url])).null_count:
            raise ValueError(f"url: {self.url[:80]!r} is no absolute address, as https://example.org/page")
        if self.domain is not None and not re.fullmatch(r"[^\s/:@?#]+", domain_of(self.domain)):
            raise ValueError(f"domain: {self.domain[:80]!r} is no domain, as example.org; of one page say url")
        return self

    @property
    def kind(self) -> str:
        """By what it names documents: one of `KINDS`."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


def domain_of(name: str) -> str:
    """A domain in comparable form: lower case, without `www.` and the last dot."""
    return name.strip().lower().removeprefix("www.").rstrip(".")


@dataclasses.dataclass(frozen=True)
class RemovalList:
    """A list as the manifest has it: nothing of what it says, but how much.

    Attributes:
      sha256: of the file.
      requests: how many, by kind, sorted.
    """

    sha256: str
    requests: tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Removals(Staged):
    """What lists of removals name.

    Attributes:
      lists: the files, in their order.
      wanted: what is named, by (source, kind), comparable, each an array without repeats; source "" is any.
    """

    lists: tuple[RemovalList, ...]
    wanted: Mapping[tuple[str, str], pa.Array]

    def kinds(self) -> set[str]:
        """By what documents are named."""
        return {kind for _, kind in self.wanted}

    def of(self, columns: Mapping[str, pa.Array], source: str) -> npt.NDArray[np.bool_]:
        """Which documents of a source are named. bool[n].

        Args:
          columns: `NEEDED`, of SIGNALS.
          source: its name.
        """
        named = np.zeros(len(columns["doc_id"]), bool)
        for (of, kind), values in self.wanted.items():
            if of in ("", source):
                named |= _named(kind, values, columns)
        return named


def _named(kind: str, values: pa.Array, columns: Mapping[str, pa.Array]) -> npt.NDArray[np.bool_]:
    if kind == "domain":
        return _below(columns["host"], set(values.to_pylist()))
    if kind == "id":
        return _in(columns["id"], values) | _in(hexadecimal(columns["doc_id"]), values)
    if kind == "author":
        return _in(comparable(columns["author"]), values)
    return _in(columns["url_hash" if kind == "url" else kind], values)


def _in(column: pa.Array, values: pa.Array) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.is_in(column, value_set=values, skip_nulls=True).to_numpy(zero_copy_only=False)
    return found


def _below(hosts: pa.StringArray, domains: set[str]) -> npt.NDArray[np.bool_]:
    """Which hosts are one of some domains or below one."""
    different = hosts.dictionary_encode()
    hit = np.array(
        [any(host[at:] in domains for at in _starts(host)) for host in different.dictionary.to_pylist()] or [False]
    )
    return np.where(
        hosts.is_valid().to_numpy(zero_copy_only=False), hit[different.indices.fill_null(0).to_numpy()], False
    )


def _starts(host: str) -> list[int]:
    """Where the host and each of the domains that it is below begin."""
    return [0, *(found.end() for found in re.finditer(r"\.", host))]


def comparable(authors: pa.StringArray) -> pa.StringArray:
    """Names without what seldom makes a difference: NFKC, lower case, no space around them."""
    return pc.utf8_trim_whitespace(pc.utf8_lower(pc.utf8_normalize(authors, form="NFKC")))


def read_removals(paths: Sequence[str], sources: Iterable[str] | None = None) -> Removals | None:
    """Read lists; None if there are none.

    Args:
      paths: of the files.
      sources: names of all that there are; None: nothing is known of them.

    Raises:
      RemovalError: a list cannot be read, or a line of it is no request or names a source that is not there.
    """
    if not paths:
        return None
    known = None if sources is None else set(sources)
    lists, wanted = [], collections.defaultdict(list)
    for path in paths:
        try:
            with open_for_reading(path) as file:
                data = file.read()
        except OSError as error:
            raise RemovalError(f"removals: {path}: {os.strerror(error.errno) if error.errno else error}") from None
        counts: collections.Counter[str] = collections.Counter()
        for number, line in enumerate(data.split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                request = parse_request(line)
            except RemovalError as error:
                raise RemovalError(f"removals: {path}, line {number}: {error}") from None
            if known is not None and request.source is not None and request.source not in known:
                raise RemovalError(f"removals: {path}, line {number}: there is no source {request.source!r}")
            counts[request.kind] += 1
            wanted[request.source or "", request.kind].append(getattr(request, request.kind))
        lists.append(RemovalList(hashlib.sha256(data).hexdigest(), tuple(sorted(counts.items()))))
    return Removals(tuple(lists), {key: _comparable(key[1], values) for key, values in sorted(wanted.items())})


def parse_request(line: bytes) -> Request:
    """One line as a request.

    Raises:
      RemovalError: it is none; the message says which key is wrong.
    """
    try:
        row = parse_json(line, "request")
    except LoadError as error:
        raise RemovalError(f"not a whole JSON object ({str(error).removeprefix('request: ')})") from None
    if not isinstance(row, dict):
        raise RemovalError("not a JSON object")
    try:
        return Request.model_validate_json(line)
    except ValidationError as error:
        first = first_complaint(error)
        raise RemovalError(in_sentence(first, [*first["loc"]], [*Request.model_fields])) from None


def _comparable(kind: str, values: list[str]) -> pa.Array:
    column = pa.array(values, pa.string())
    if kind == "url":
        return hash_urls(column).unique()
    if kind == "domain":
        return pa.array(sorted(set(map(domain_of, values))))
    if kind == "author":
        return comparable(column).unique()
    if kind == "content_hash":
        return pa.array(sorted({bytes.fromhex(value) for value in values}), contracts.HASH)
    bare = [value.strip().lower().replace("-", "") for value in values]  # a doc_id with its letters as ours are
    return pa.array(sorted({*values, *(one for one in bare if re.fullmatch("[0-9a-f]{32}", one))}))


def for_manifest(removals: Removals | None) -> list[dict[str, object]]:
    """The lists as a manifest names them."""
    return [{"sha256": one.sha256, "requests": dict(one.requests)} for one in (removals.lists if removals else ())]


TOMBSTONES = "tombstones"  # folder of a release: SIGNED of what was withdrawn from it, and no text


def is_tombstones(path: str) -> bool:
    """Whether a file of a release holds tombstones."""
    return posixpath.dirname(path) == TOMBSTONES
