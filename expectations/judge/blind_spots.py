"""Which documents a suite does not look at, in sentences: what would be in a release whatever the suite says of it.

A suite speaks of the release as a whole, or of slices that have a number of their own. The rest hides in the average.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from expectations.wording import number, one_line, plural

Row = Mapping[str, Any]  # a row of contracts.METRICS
SHOWN = 3  # names in a sentence
SHARES = ("synthetic_share.tokens", "synthetic_share.documents")
KINDS = {"source": "source", "language": "language"}  # kinds of slices that have a share of their own


class AskedRule(Protocol):
    """What is asked of the metrics, as an expectation of a suite or what became of it."""

    @property
    def metric(self) -> str: ...  # noqa: D102
    @property
    def stage(self) -> str: ...  # noqa: D102
    @property
    def slice_kind(self) -> str: ...  # noqa: D102
    @property
    def slice(self) -> str | None: ...  # noqa: D102


def blind_spots(asked: Sequence[AskedRule], rows: Sequence[Row]) -> tuple[str, ...]:
    """A sentence for each kind of document that nothing of what is asked looks at.

    Args:
      asked: all that is asked of a release.
      rows: its metrics.
    """
    of_share = [one for one in asked if one.metric in SHARES and one.stage == "after"]
    return (*_by_slice(of_share, rows), *_without_score(rows), *_later(asked, rows))


def _by_slice(asked: Sequence[AskedRule], rows: Sequence[Row]) -> Iterator[str]:
    if not asked:
        yield "No rule looks at the synthetic share of what is released."
    for kind, word in KINDS.items():
        documents = _released("documents", kind, rows)
        told = {
            row["slice"]
            for row in rows
            if row["metric"] in SHARES and row["slice_kind"] == kind and row["value"] is not None
        }
        ours = [one.slice for one in asked if one.slice_kind == kind]
        left = {name: n for name, n in documents.items() if name not in told or not _covers(ours, name)}
        if left:
            names = sorted(left, key=lambda name: (-left[name], name))
            such = ", ".join(one_line(name) for name in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
            part = number(sum(left.values()) / sum(documents.values()), "share", 2)
            why = "has no number of its own" if ours and not told & left.keys() else "is in no rule"
            yield (
                f"The synthetic share of {plural(len(left), word)} {why}, but only in that of the whole: {such} "
                f"({plural(sum(left.values()), 'document')}, {part} of the release)."
            )


def _covers(slices: Sequence[str | None], name: str) -> bool:
    """Whether one of some expectations of a kind of slice speaks of one of them."""
    return any(one in (None, name) or (one.endswith("/*") and name.startswith(one[:-1])) for one in slices)


def _released(metric: str, kind: str, rows: Sequence[Row]) -> dict[str, float]:
    return {
        row["slice"]: row["value"]
        for row in rows
        if (row["metric"], row["stage"], row["slice_kind"]) == (metric, "after", kind) and row["value"]
    }


def _without_score(rows: Sequence[Row]) -> Iterator[str]:
    """Documents whose origin nobody says and that the detector could not score."""
    unknown = sum(n for name, n in _released("documents", "origin_basis", rows).items() if name.endswith("/none"))
    if unknown:
        yield (
            f"{plural(unknown, 'document')} of the release {'has' if unknown == 1 else 'have'} neither a declared origin nor "
            "a score; the share takes them to be like the scored ones."
        )


def _later(asked: Sequence[AskedRule], rows: Sequence[Row]) -> Iterator[str]:
    """Text that the detector's bound does not vouch for, if no rule asks how much of it there is."""
    metric = "synthetic_share.out_of_time.documents"
    late = next(
        (r["value"] for r in rows if (r["metric"], r["stage"], r["slice_kind"]) == (metric, "after", "overall")), 0
    )
    if late and not any(one.metric.startswith("synthetic_share.out_of_time") for one in asked):
        part = number(late, "share")
        yield f"{part} of the documents are later than the machines that the detector knows; no rule asks for them."
