"""What papers say of releases: counts of the documents that they hold, each counted once, and what their recipes declare."""

import dataclasses
import datetime
import re
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.wording import plural

PRODUCER = "urn:lowbackground"
CELL = ("source", "origin", "origin_basis", "generator", "licence", "language")
# What is read of a ledger; an earlier version's may lack any but the first six, and then their values are not known.
NEEDED = ("id", "kept", "source", "origin", "origin_basis", "n_tokens")
COLUMNS = (*NEEDED, "generator", "licence", "language", "created", "host")


@dataclasses.dataclass(frozen=True)
class ReleasedPaper:
    """One release that papers speak of.

    Attributes:
      name: of the release.
      sha256: of its manifest, which has the checksums of all its files.
      manifest: MANIFEST.json.
      recipe: recipe.yaml.
      metrics: rows of metrics.parquet.
    """

    name: str
    sha256: str
    manifest: dict[str, Any]
    recipe: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The sources, as the recipe declares them."""
        return [source for source in self.recipe.get("sources") or [] if isinstance(source, dict)]

    def rows(self, metric: str, stage: str, slice_kind: str) -> dict[str, dict[str, Any]]:
        """Rows of a metric by their slice."""
        asked = (metric, stage, slice_kind)
        return {row["slice"]: row for row in self.metrics if (row["metric"], row["stage"], row["slice_kind"]) == asked}

    def files(self, folder: str) -> list[dict[str, Any]]:
        """Entries of the manifest below a folder."""
        return [file for file in self.manifest["files"] if file["path"].startswith(folder)]


@dataclasses.dataclass
class PaperCounts:
    """Documents and tokens of all releases together; a document that several of them hold counts once.

    Attributes:
      cells: values of CELL -> (documents, tokens); None where a value is not known.
      hosts: host of an address, None for documents without one -> (documents, tokens).
      span: source -> first and last date of its documents that have one.
      not_kept: columns that some ledger does not have.
    """

    cells: dict[tuple[str | None, ...], tuple[int, int]] = dataclasses.field(default_factory=dict)
    hosts: dict[str | None, tuple[int, int]] = dataclasses.field(default_factory=dict)
    span: dict[str, tuple[datetime.datetime, datetime.datetime]] = dataclasses.field(default_factory=dict)
    not_kept: set[str] = dataclasses.field(default_factory=set)

    def add(self, documents: pa.Table) -> None:
        """Count documents that are in a release: COLUMNS but `kept`, each id once, and none that was counted before."""
        for keys, found in ((CELL, self.cells), (("host",), self.hosts)):
            groups = documents.group_by(list(keys)).aggregate([("n_tokens", "count"), ("n_tokens", "sum")])
            for row in groups.to_pylist():
                key: Any = tuple(row[name] for name in keys) if len(keys) > 1 else row[keys[0]]
                had = found.get(key, (0, 0))  # type: ignore[call-overload]
                found[key] = (had[0] + row["n_tokens_count"], had[1] + row["n_tokens_sum"])  # type: ignore[index]
        dated = documents.filter(pc.is_valid(documents["created"]))
        for row in dated.group_by("source").aggregate([("created", "min"), ("created", "max")]).to_pylist():
            first, last = self.span.get(row["source"], (row["created_min"], row["created_max"]))
            self.span[row["source"]] = min(first, row["created_min"]), max(last, row["created_max"])

    @property
    def documents(self) -> int:
        """How many there are."""
        return sum(n for n, _ in self.cells.values())

    @property
    def tokens(self) -> int:
        """Of all documents: words and ideographs."""
        return sum(tokens for _, tokens in self.cells.values())

    def by(self, *names: str, **where: str) -> list[tuple[tuple[str | None, ...], int, int]]:
        """Documents and tokens by some of CELL, the most tokens first."""
        documents: Counter[tuple[str | None, ...]] = Counter()
        tokens: Counter[tuple[str | None, ...]] = Counter()
        for cell, (n, of) in self.cells.items():
            values = dict(zip(CELL, cell, strict=True))
            if all(values[name] == value for name, value in where.items()):
                key = tuple(values[name] for name in names)
                documents[key] += n
                tokens[key] += of
        return sorted(
            ((key, n, tokens[key]) for key, n in documents.items()), key=lambda one: (-one[2], tuple(map(str, one[0])))
        )

    def largest_hosts(self, share: float) -> tuple[list[tuple[str, int, int]], int]:
        """The hosts with the most tokens, this share of all hosts rounded up, and how many hosts there are."""
        named = [(host, n, tokens) for host, (n, tokens) in self.hosts.items() if host is not None]
        named.sort(key=lambda one: (-one[2], one[0]))
        return named[: -int(-len(named) * share // 1)], len(named)


def first_of_each(documents: pa.Table) -> pa.Table:
    """The first row of each id, in the order of the rows."""
    codes = documents["id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return documents.take(
        pa.array(np.unique(codes, return_index=True)[1])
    )  # codes are in the order of first appearance


@dataclasses.dataclass(frozen=True)
class StandardInput:
    """What a paper of one release is made from.

    Attributes:
      release: the release.
      counts: of its documents.
      verdict: verdict.json.
      columns: of its shards, name and Arrow type.
      place: of the release's folder, from the folder of the paper.
      date: of the paper, YYYY-MM-DD. A release does not say when it was made.
    """

    release: ReleasedPaper
    counts: PaperCounts
    verdict: dict[str, Any]
    columns: tuple[tuple[str, str], ...]
    place: str
    date: str

    @property
    def about(self) -> str:
        """One sentence of what it is, one of its licences."""
        stated = [f"{key[0]} ({plural(n, 'document')})" for key, n, _ in self.counts.by("licence") if _is_known(key[0])]
        without = sum(n for key, n, _ in self.counts.by("licence") if not _is_known(key[0]))
        tokens = plural(self.counts.tokens, "token")
        counted = "by its tokenizer" if self.release.manifest.get("tokenizer") else "words and ideographs"
        size = f"{plural(self.counts.documents, 'document')} of text, {tokens} ({counted})."
        stated += [f"not known ({plural(without, 'document')})"] if without else []
        return f"{size} Licences: {', '.join(stated)}."

    @property
    def licences(self) -> list[str]:
        """SPDX expressions that hold for all of it, the most tokens first; none where a document's licence is not known."""
        found = [key[0] for key, _, _ in self.counts.by("licence")]
        return [str(one) for one in found] if all(map(_is_known, found)) else []

    @property
    def urn(self) -> str:
        """What names exactly this release."""
        return f"urn:sha256:{self.release.sha256}"


def dropped(release: ReleasedPaper) -> list[tuple[str, int]]:
    """Documents by the reason that they were dropped for."""
    rows = release.rows("documents.dropped", "after", "reason")
    return sorted((reason, int(row["value"])) for reason, row in rows.items() if row["value"])


def personal(release: ReleasedPaper) -> str | None:
    """What looks personal, in one line; None where it was not counted."""
    found = release.rows("personal.found", "after", "personal")
    told = [f"{int(row['value'])} {kind}" for kind, row in found.items() if row["value"]]
    gone = [f"{int(row['value'])} {kind}" for kind, row in release.rows("personal.masked", "after", "personal").items()]
    masked = f" Masked before: {', '.join(gone)}." if gone else ""
    return (
        f"Personal data found by pattern, names not looked for: {', '.join(told) or 'none'}.{masked}" if found else None
    )


def declared(source: dict[str, Any]) -> str:
    """What the recipe declares of a source, in one line; what it does not is not known."""
    return ", ".join(
        f"{name} {source.get(name) or 'not known'}" for name in ("licence", "origin", "generator", "kind", "collected")
    )


def if_known(key: str, value: Any) -> dict[str, Any]:
    """A value under its key; nothing where it is not known."""
    return {} if value is None else {key: value}


def _is_known(licence: str | None) -> bool:
    return licence not in (None, "unknown")


def token(name: str) -> str:
    """A name as the local part of a qualified name, or as part of the name of a file."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)
