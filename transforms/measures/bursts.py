"""Sites whose documents came all at once, in a few weeks of which the rest of the corpus has little -> METRICS.

A few hundred documents can teach a model of any size something that nobody wants (Souly et al. 2025 found about 250, from 0.6 to
13 billion parameters), and no share shows so few. What is counted is absolute. A corpus whose dates are those of one crawl has
no weeks of its own, and so no burst: a burst is told by dates, and a site without any is not looked at.
"""

import collections
import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.metrics.row import Row
from transforms.measures.bounded import Bounded, BoundedPart
from transforms.measures.sites import site_hashes

LEAST = 100  # documents of a burst
DAYS = 31  # from its first to its last
MOST_OF_ALL = 0.1  # of the dated documents of the release may be of those days, and months around them
MOST_ROWS = 1 << 18
SHOWN = 20
_SCHEMA = pa.schema([("site", pa.string()), ("documents", pa.int64()), ("first", pa.int64()), ("last", pa.int64())])
_DAY = 86_400_000_000  # microseconds


BURSTS = Bounded(_SCHEMA, ("site",), {"documents": "sum", "first": "min", "last": "max"}, site_hashes, MOST_ROWS)


@dataclasses.dataclass
class Dated:
    """Documents of the release with a date and a site; mergeable.

    Attributes:
      sites: parts of documents, and days of the first and the last since 1970, by site.
      days: documents of all sites by day, divided by `DAYS`.
    """

    sites: list[BoundedPart] = dataclasses.field(default_factory=list)
    days: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)


def count_split(kept: pa.BooleanArray, hosts: pa.StringArray, created: pa.TimestampArray) -> Dated:
    """Count one split: whether documents are kept, their `host` and `created`."""
    chosen = pc.and_(kept, pc.and_(hosts.is_valid(), created.is_valid()))
    if not pc.any(chosen).as_py():
        return Dated()
    day = pa.array(created.filter(chosen).cast(pa.int64()).to_numpy() // _DAY)
    table = pa.table([hosts.filter(chosen), pa.array(np.ones(len(day), np.int64)), day, day], schema=_SCHEMA)
    periods, counts = np.unique(day.to_numpy() // DAYS, return_counts=True)
    return Dated([BURSTS.count(table)], collections.Counter(dict(zip(periods.tolist(), counts.tolist(), strict=True))))


def merge(parts: Iterable[Dated]) -> Dated:
    """What was counted in all documents of the parts. Commutative and associative."""
    total = Dated()
    for part in parts:
        total.sites.extend(part.sites)
        total.days.update(part.days)
    total.sites = BURSTS.compact(total.sites)
    return total


def burst_rows(found: Dated) -> Iterator[Row]:
    """The rows of METRICS."""
    sites = BURSTS.merge(found.sites)
    first, last = (sites.rows[name].to_numpy() for name in ("first", "last"))
    large = (sites.rows["documents"].to_numpy() >= LEAST) & (last - first < DAYS)
    dated = sum(found.days.values())
    rows = []
    for row in sites.rows.filter(pa.array(large)).to_pylist():
        around = range(row["first"] // DAYS, row["last"] // DAYS + 1)
        if sum(found.days[period] for period in around) <= MOST_OF_ALL * dated:
            rows.append(row)
    sample = "" if sites.one_in == 1 else f"; of a sample of 1 site in {sites.one_in:g}"
    note = f"sites of {LEAST} documents or more, all of {DAYS} days of which all dated documents have a tenth or less{sample}"
    yield Row(metric="burst.sites", value=len(rows), n=dated, note=note)
    yield Row(metric="burst.documents", value=max((row["documents"] for row in rows), default=0), n=dated, note=note)
    for row in sorted(rows, key=lambda one: (-one["documents"], one["site"]))[:SHOWN]:
        days = [str(np.datetime64(row[end], "D")) for end in ("first", "last")]
        yield Row(
            metric="burst.documents",
            slice_kind="site",
            slice=row["site"],
            value=row["documents"],
            n=row["documents"],
            note=f"from {days[0]} to {days[1]}",
        )
