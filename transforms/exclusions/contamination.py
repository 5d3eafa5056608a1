"""Evaluation sets that a corpus is held against: their items, read as any source is, and the n-grams to be looked for.

An item is one record of a set. One that has fewer words than an n-gram takes is not looked for, and is counted. A record that
cannot be read is an error and no quarantine: what is not read is not looked for, and nobody would miss it.
"""

import collections
import dataclasses
import hashlib
import json
import posixpath
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from expectations.loading import Strict
from transforms.engine.staged import Staged
from transforms.ingest.formats import COMPRESSIONS
from transforms.ingest.listing import UNREAD
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Fields, FormatName, Found, InputError, Source, find_files, plan_splits
from transforms.kernels.similarity import minhash, overlap
from transforms.kernels.text import text
from transforms.kernels.text.columns import halves, hash_texts, numbers


class EvaluationSet(Strict):
    """One set to look for, where its files do not say enough: its name, its files, which column is which."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    path: str | Annotated[tuple[str, ...], Field(min_length=1)]
    format: FormatName = "auto"
    fields: Fields = Fields()


class ContaminationConfig(Strict):
    """Which evaluation sets must not be in a release, and what is done where one is."""

    against: tuple[str | EvaluationSet, ...] = Field(
        (), description="files, folders or globs, each file a set; or {name, path, format, fields} for one set"
    )
    ngram: int = Field(
        13, ge=2, le=50, description="words in a row; items of fewer are not looked for, and are counted"
    )
    min_overlap: float = Field(
        0.5, gt=0, le=1, description="a document that has so much of an item, by weight of its n-grams, holds it"
    )
    on_match: Literal["drop", "tag", "fail"] = Field(
        "drop",
        description="of documents that hold an item: drop them, keep and mark them, or let no release pass with them",
    )

    @field_validator("against")
    @classmethod
    def _names_differ(cls, against: tuple[str | EvaluationSet, ...]) -> tuple[str | EvaluationSet, ...]:
        names = [one.name for one in against if isinstance(one, EvaluationSet)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sets are called {twice[0]!r}; give each its own name")
        return against

    @property
    def sources(self) -> tuple[Source, ...]:
        """One for each set; of a path without a name, one for each of its files, called as the file is.

        Raises:
          InputError: a path matches no file of a known format, or two sets have one name.
        """
        found = [source for one in self.against for source in _sources(one)]
        paths = collections.defaultdict(list)
        for source in found:
            paths[source.name].append(source.path)
        for name, where in paths.items():
            if len(where) > 1:
                raise InputError(
                    f"contamination.against: {where[0]} and {where[1]} are both called {name!r}; name them, as in "
                    f"{{name: {name}-2, path: {where[1]}}}"
                )
        return tuple(found)


def _sources(one: str | EvaluationSet) -> Iterator[Source]:
    if isinstance(one, EvaluationSet):
        source = Source(name=one.name, path=one.path, format=one.format, fields=one.fields)
        _all_read(source)
        yield source
        return
    for piece in _all_read(Source(name="contamination.against", path=one)).pieces:
        stem = posixpath.basename(piece.path)
        if posixpath.splitext(stem)[1].lower() in COMPRESSIONS:
            stem = posixpath.splitext(stem)[0]
        stem = posixpath.splitext(stem)[0]
        name = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in stem)
        yield Source(name=name, path=piece.path)


NO_ITEMS = ("other_format", "dangling_link", "empty_file", "not_a_file")  # why a file would be left out without a word


def _all_read(source: Source) -> Found:
    found = find_files(source)
    for one in found.unread:
        if one.reason in NO_ITEMS:
            raise InputError(
                f"contamination.against: {one.path}: {UNREAD.get(one.reason, one.reason)}, so its items would not be looked "
                "for; move it, or name the files that are meant"
            )
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class Items(Staged):
    """The items of all sets, by number.

    Attributes:
      sets: names.
      set_of: of each item, the number of its set, int32[items].
      names: of each item, "<set>/<its own id, or its row>".
      too_short: of each item, whether it has fewer words than an n-gram, so that it is not looked for, bool[items].
      grams: what is looked for.
      min_overlap: from which on an item is said to be in a document.
      sha256: of all that what is found depends on: the items, the length of n-grams, the least overlap.
    """

    sets: tuple[str, ...]
    set_of: npt.NDArray[np.int32]
    names: pa.StringArray
    too_short: npt.NDArray[np.bool_]
    grams: overlap.Grams
    min_overlap: float
    sha256: str

    def count(self) -> list[dict[str, object]]:
        """How many items each set has, and how many of them are looked for; for the manifest."""
        return [
            {"set": name, "items": int(own.sum()), "looked_for": int((own & ~self.too_short).sum())}
            for name, own in ((name, self.set_of == number) for number, name in enumerate(self.sets))
        ]


def load_items(config: ContaminationConfig) -> Items:
    """Read the sets of a recipe.

    Raises:
      InputError: one cannot be read, or holds a record that cannot; or none has an item to look for.
    """
    sources = config.sources
    names: list[str] = []
    set_of: list[npt.NDArray[np.int32]] = []
    offsets, words, digest = [np.zeros(1, np.int64)], [], hashlib.sha256()
    digest.update(json.dumps([config.ngram, config.min_overlap, minhash.FORM]).encode())
    for number, source in enumerate(sources):
        for documents in _records(source):
            canonical, tokens = text.canonicalise(documents["text"])
            own_offsets, own = minhash.words(tokens)
            offsets.append(own_offsets[1:] + offsets[-1][-1])
            words.append(own)
            set_of.append(np.full(documents.num_rows, number, np.int32))
            ids = zip(documents["id"].to_pylist(), documents["row"].to_pylist(), strict=True)
            named = [f"{source.name}/{row if own_id is None else own_id}" for own_id, row in ids]
            names += named
            digest.update(json.dumps(named).encode())
            digest.update(np.stack(halves(hash_texts(canonical))).tobytes())
    grams = overlap.build(np.concatenate(offsets), np.concatenate([*words, np.zeros(0, np.uint64)]), config.ngram)
    if not len(grams.hashes):
        raise InputError(
            f"contamination: no item has {config.ngram} words, so none is looked for; give contamination.ngram a smaller number"
        )
    return Items(
        tuple(source.name for source in sources),
        np.concatenate(set_of),
        pa.array(names, pa.string()),
        grams.total == 0,
        grams,
        config.min_overlap,
        digest.hexdigest(),
    )


def _records(source: Source) -> Iterator[pa.RecordBatch]:
    for split in plan_splits((source,)):
        for documents, bad in read_split(split, source, ReadLimits()):
            lost = bad.filter(pc.not_equal(pc.fill_null(bad["records"], 1), 0))
            if lost.num_rows:
                first = lost.slice(0, 1).to_pylist()[0]
                row = f", row {first['row']}" if first["row"] >= 0 else ""
                hint = "; name its columns, as in {name: mmlu, path: ..., fields: {text: question}}"
                raise InputError(
                    f"contamination.against: set {source.name}: {first['path']}{row}: {first['detail']}"
                    + (hint if first["reason"] == "missing_text" else "; correct or remove it")
                )
            yield documents


def unpack_items(packed: pa.BinaryArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """`contaminated_by` of SIGNALS as numbers.

    Returns:
      `(offsets, pairs)`: document d holds the items `pairs[offsets[d] : offsets[d + 1], 0]`, with the overlaps beside them, in
      parts of `overlap.PARTS`. int64[documents + 1], uint32[pairs, 2].
    """
    offsets, found = numbers(packed)
    return offsets // 2, found.reshape(-1, 2)
