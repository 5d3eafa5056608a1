"""How synthetic the sites are that documents come from: counts of their scores, in bounded memory -> METRICS.

A site is the host of an address, without port and `www.`. Studies of the web aggregate by site, because one that is generated
may have more pages than a thousand others. Each site counts once in a mean of sites; the ones with the largest estimate
are shown with a bound of their own.

In bounded memory (`bounded.py`): where there are very many sites they are a sample by hash, and the largest of the sample stand
for the largest.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.metrics.row import Row
from transforms.kernels.statistics import share_bound
from transforms.kernels.text.columns import halves, hash_texts
from transforms.measures.bounded import Bounded, BoundedPart

if TYPE_CHECKING:
    from transforms.detector.share_estimate import Composition

MOST_ROWS = 1 << 18
SHOWN = 10  # sites of which there is a row
LEAST = 50  # documents of a site that has one
UNITS = ("documents", "tokens")
_KEY = ("site", "settled", "synthetic", "band", "bin")
_SCHEMA = pa.schema(
    [
        ("site", pa.large_string()),
        ("settled", pa.bool_()),  # its origin rests on no guess
        ("synthetic", pa.bool_()),
        ("band", pa.int8()),  # of the detector; -1: no score
        ("bin", pa.int16()),
        ("documents", pa.int64()),
        ("tokens", pa.int64()),
    ]
)


def site_hashes(table: pa.Table) -> npt.NDArray[np.uint64]:
    """Of each row's `site`, below `bounded.ALL`. uint64[rows]."""
    sites = table["site"].cast(pa.large_string()).combine_chunks()
    return halves(hash_texts(sites))[0] >> np.uint64(32) if len(sites) else np.zeros(0, np.uint64)


SITES = Bounded(_SCHEMA, _KEY, dict.fromkeys(UNITS, "sum"), site_hashes, MOST_ROWS)


def count_split(decisions: pa.RecordBatch, hosts: pa.Array, scores: pa.Array) -> BoundedPart:
    """The sites of one split, of all that was read and has a text.

    Args:
      decisions: DECISION for every document of the split, by ordinal.
      hosts, scores: of the same documents: `host` and `detector_score` of their signals.
    """
    if hosts.null_count == len(hosts):
        return SITES.none()
    basis = decisions["origin_basis"].to_numpy()
    scored = basis == contracts.BASIS_DETECTOR
    bins = share_bound.bin_of(scores.to_numpy(zero_copy_only=False).astype(np.float32))
    table = pa.table(
        {
            "site": hosts.cast(pa.large_string()),
            "settled": ~np.isin(basis, contracts.GUESSED),
            "synthetic": decisions["origin"].to_numpy() == contracts.SYNTHETIC,
            "band": np.where(scored, decisions["detector_band"].to_numpy(), -1).astype(np.int8),
            "bin": np.where(scored, bins, -1).astype(np.int16),
            "documents": np.ones(len(basis), np.int64),
            "tokens": decisions["n_tokens"].cast(pa.int64()),
        },
        schema=_SCHEMA,
    )
    empty = decisions["reason"].to_numpy() == contracts.REASONS.index("empty_text")
    return SITES.count(table.filter(pc.and_(hosts.is_valid(), pa.array(~empty))))


class Known(NamedTuple):
    """What the corpus says of a document by its score.

    Attributes:
      posterior: the chance of machine origin by band and bin, float64[bands, share_bound.BINS].
      rate: of a document without a score.
      composition: that bounds a share.
      own: known human documents of the corpus by band and bin, int64[bands, share_bound.BINS].
    """

    posterior: npt.NDArray[np.float64]
    rate: float
    composition: "Composition"
    own: npt.NDArray[np.int64]


def site_rows(parts: list[BoundedPart], known: Known | None) -> Iterator[Row]:
    """The number of sites, the mean of their shares, and the sites with the largest.

    Args:
      parts: of all that was read.
      known: None: there is no calibration, and nothing is said of text whose origin is not settled.
    """
    whole = SITES.merge(parts)
    table, one_in = whole.rows, round(whole.one_in)
    names, site = np.unique(table["site"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    if not len(names) or known is None:
        return
    columns = {name: table[name].to_numpy() for name in _SCHEMA.names[1:]}
    settled, scored = columns["settled"], columns["band"] >= 0
    guessed = np.where(
        scored, known.posterior[np.maximum(columns["band"], 0), np.maximum(columns["bin"], 0)], known.rate
    )
    chance = np.where(settled, columns["synthetic"], guessed)
    shares, totals = {}, {}
    for unit in UNITS:
        totals[unit] = np.bincount(site, columns[unit], len(names))
        found = np.bincount(site, columns[unit] * chance, len(names))
        shares[unit] = found / np.maximum(totals[unit], 1)
    sampled = f"; of one site in {one_in}, by a hash of its name" if one_in > 1 else ""
    row: Row = {"stage": "before", "n": len(names)}
    yield row | {"metric": "sites", "value": len(names) * one_in, "note": f"hosts of addresses{sampled}"}
    for unit in UNITS:
        has = totals[unit] > 0
        value = float(shares[unit][has].mean()) if has.any() else None
        note = f"estimate; each site counts once, however many documents it has{sampled}"
        yield row | {"metric": f"site.mean_share.{unit}", "value": value, "n": int(has.sum()), "note": note}
    enough = np.flatnonzero(totals["documents"] >= LEAST)
    worst = enough[np.lexsort((enough, -np.round(shares["tokens"][enough], 12)))][:SHOWN]
    for number in worst.tolist():
        mine = {name: column[site == number] for name, column in columns.items()}
        n = int(totals["documents"][number])
        for unit, upper in zip(UNITS, _bounds(mine, known), strict=True):
            yield {
                "metric": f"site.synthetic_share.{unit}",
                "stage": "before",
                "slice_kind": "site",
                "slice": names[number],
                "n": n,
                "value": float(shares[unit][number]),
                "upper": upper,
                "note": f"of the {SHOWN} sites with the largest estimate, of those with {LEAST} documents or more"
                f"{sampled}; the bound is of its own scores, one at a time: of ten, some may be too low",
            }


def _bounds(site: dict[str, npt.NDArray[np.generic]], known: Known) -> tuple[float, float]:
    """The upper bounds of one site's share, of documents and of tokens: as of a source (`synthetic_share.py`)."""
    band, bin_ = site["band"].astype(np.int64), site["bin"].astype(np.int64)
    scored, settled = band >= 0, site["settled"].astype(bool)
    scores = np.zeros_like(known.own)
    np.add.at(scores, (band[scored], bin_[scored]), site["documents"][scored])
    by_band = np.bincount(band[scored], site["documents"][scored].astype(float), len(scores)).astype(np.int64)
    called = scored & site["synthetic"].astype(bool)
    flagged = np.bincount(band[called], site["documents"][called].astype(float), len(scores)).astype(np.int64)
    composition = known.composition
    documents = composition.by_language(by_band)
    bound = composition.bound(composition.by_language(flagged), scores, known.own)
    found = []
    for unit in UNITS:
        weight = site[unit].astype(np.int64)
        of_band = np.bincount(band[scored], weight[scored].astype(float), len(scores)).astype(np.int64)
        hidden = float(bound.share @ composition.by_language(of_band))
        hidden += bound.of_mix(documents) * int(weight[~scored & ~settled].sum())
        certain = int(weight[settled & site["synthetic"].astype(bool)].sum())
        found.append(min(1.0, (certain + hidden) / max(1, int(weight.sum()))))
    return found[0], found[1]
