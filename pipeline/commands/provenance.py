"""`provenance`: one document's life through releases, as their ledgers tell it."""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

from pipeline.reading.answer import for_programs
from pipeline.reading.document_fate import fate, named
from pipeline.reading.ledger_lookup import find_documents
from pipeline.recipe import RecipeError
from transforms.release.read_release import read_verdict

# What is told of a document in the first release that has it, and again where another release says something else.
KNOWN = ("source", "path", "row", "created", "language", "url", "licence", "generator", "stratum")
BELIEVED = (
    "origin",
    "origin_basis",
    "evidence",
    "p_synthetic",
    "n_tokens",
    "cluster_size",
    "survivor_id",
    "earlier_id",
)


@dataclasses.dataclass(frozen=True)
class Chapter:
    """What one release says of the document.

    Attributes:
      release: its folder.
      published: whether it is one; else a rejection.
      rows: of its ledger with the document's id; none: it was not in what was read.
    """

    release: str
    published: bool
    rows: list[dict[str, Any]]


def life_of(asked: str, releases: Sequence[str]) -> list[Chapter]:
    """What each release says of a document.

    Args:
      asked: its `id`, the beginning of one, or the input's own id.
      releases: folders of releases or rejections, the oldest first.

    Raises:
      ReleaseError: one of them is none, or its ledger is damaged.
      RecipeError: none of them has the document, or the beginning of an id names several.
    """
    published = {release: read_verdict(release).passed for release in releases}
    missing: list[RecipeError] = []
    for release in releases:
        try:
            asked = find_documents(release, None, 1, asked)[0]["id"]
            break
        except RecipeError as error:
            missing.append(error)
    else:
        raise missing[0]
    life = []
    for release in published:
        rows: list[dict[str, Any]] = []
        with contextlib.suppress(RecipeError):  # it is not in this one
            rows = find_documents(release, None, 1 << 20, asked)
        life.append(Chapter(release, published[release], rows))
    return life


def life_json(life: Sequence[Chapter]) -> str:
    """For programs."""
    answer = {"format": "lowbackground.provenance/1", "releases": [dataclasses.asdict(one) for one in life]}
    return for_programs(answer)


def life_text(life: Sequence[Chapter]) -> str:
    """For a person: a paragraph for each release, which says what is new in it."""
    first = next(row for chapter in life for row in chapter.rows)
    lines = [f"document {named(first)}"]
    told: dict[str, Any] = {}
    for chapter in life:
        lines += ["", chapter.release + ("" if chapter.published else " (rejected)")]
        if not chapter.rows:
            lines.append("  not in what it was made from")
        for row in chapter.rows:
            lines.append(f"  {fate(row)}")
            new = {name: row.get(name) for name in (*KNOWN, *BELIEVED)}
            if row["survivor_id"] == row["id"]:
                new["survivor_id"] = None
            lines += [f"    {name:13} {_said(value)}" for name, value in new.items() if value != told.get(name)]
            told = new
    return "\n".join(lines)


def _said(value: object) -> str:
    if value is None:
        return "no more"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
