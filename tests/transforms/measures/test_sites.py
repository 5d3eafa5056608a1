"""Sites by how synthetic they are: counted in parts and in any order, in bounded memory, the worst of them with a bound."""

import dataclasses
import random

import numpy as np
import pyarrow as pa
import pytest
from small_sets import hashed

from expectations import contracts
from tests.transforms.measures.test_tally import filled
from transforms.detector.detector import load_detector
from transforms.detector.share_estimate import Composition
from transforms.kernels.statistics import share_bound
from transforms.measures import sites
from transforms.measures.bounded import ALL, BoundedPart
from transforms.measures.sites import Known, count_split, site_rows

Row = tuple[str | None, int, int, float | None, int]  # host, origin, basis, score, tokens


def counted(rows: list[Row]) -> BoundedPart:
    decisions = filled(
        contracts.DECISION,
        len(rows),
        origin=[row[1] for row in rows],
        origin_basis=[row[2] for row in rows],
        n_tokens=[row[4] for row in rows],
        detector_band=[BAND] * len(rows),
    )
    return count_split(
        decisions, pa.array([row[0] for row in rows], pa.string()), pa.array([row[3] for row in rows], pa.float32())
    )


BAND = 1  # short English that the older expert finds far more like a machine's than the other one


def known() -> tuple[Known, np.ndarray, np.ndarray]:
    """Of the bundled detector, in a corpus of which a tenth is a machine's; and the scores of human and of machine text."""
    calibration = load_detector(None).calibration
    composition = Composition(calibration)
    bands = calibration.bands
    human = np.array([sum(f.histogram for f in band.humans) for band in bands])
    machine = np.array(
        [sum((f.histogram for f in band.families), np.zeros(share_bound.BINS, np.int64)) for band in bands]
    )
    posterior = composition.posterior(0.9 * human / human.sum() * 20_000 + 0.1 * machine / machine.sum() * 20_000)
    return (
        Known(posterior, 0.1, composition, np.zeros((len(bands), share_bound.BINS), np.int64)),
        human[BAND],
        machine[BAND],
    )


def drawn(name: str, counts: np.ndarray, n: int, first: int) -> list[Row]:
    """Undeclared documents of a site, whose scores are spread as `counts`."""
    edge = np.cumsum(counts) / counts.sum()
    bins = [int(np.searchsorted(edge, (hashed(first, i) % 10_000 + 0.5) / 10_000)) for i in range(n)]
    return [(name, contracts.UNKNOWN, contracts.BASIS_DETECTOR, share_bound.LOWEST + 0.2 * bin_ + 0.1, 100 + i % 7)
            for i, bin_ in enumerate(bins)]  # fmt: skip


DECLARED = contracts.BASIS_DECLARED


def test_the_worst_sites_are_shown_and_every_site_counts_once_in_the_mean() -> None:
    about, human, machine = known()
    rows = [("farm.example", contracts.SYNTHETIC, DECLARED, None, 50)] * 60
    rows += [("press.example", contracts.HUMAN, DECLARED, None, 100)] * 5000
    rows += [*drawn("mill.example", machine, 300, 1), *drawn("forum.example", human, 300, 2)]
    rows += [("small.example", contracts.SYNTHETIC, DECLARED, None, 10)] * 3
    rows += [(None, contracts.SYNTHETIC, DECLARED, None, 10)] * 9
    found = list(site_rows([counted(rows)], about))
    by = {(row["metric"], row.get("slice", "")): row for row in found}
    assert by["sites", ""]["value"] == 5
    worst = [row["slice"] for row in found if row["metric"] == "site.synthetic_share.documents"]
    assert worst == [
        "farm.example",
        "mill.example",
        "forum.example",
        "press.example",
    ]  # small.example has three documents
    assert by["site.synthetic_share.tokens", "farm.example"]["value"] == 1
    assert by["site.synthetic_share.tokens", "press.example"]["upper"] == 0
    for unit in sites.UNITS:
        mill, forum = (by[f"site.synthetic_share.{unit}", f"{name}.example"] for name in ("mill", "forum"))
        assert mill["value"] > 0.4 > 0.25 > forum["value"]
        assert mill["upper"] > 0.95
        assert 0 < forum["upper"] < 0.5
        mean = by[f"site.mean_share.{unit}", ""]["value"]
        assert mean == pytest.approx((1 + 1 + mill["value"] + forum["value"]) / 5)


def test_parts_in_any_order_are_the_whole() -> None:
    rows = [
        (f"s{i % 40}.example", i % 3, DECLARED if i % 2 else contracts.BASIS_DETECTOR, i % 9 - 4.0, 10 + i % 5)
        for i in range(600)
    ]
    whole = counted(rows)
    for seed, most in ((0, 1 << 18), (1, 60)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sites, "SITES", dataclasses.replace(sites.SITES, most=most))
            bounded = counted(rows)
            shuffled = random.Random(seed).sample(rows, len(rows))
            parts = [counted(shuffled[at : at + 37]) for at in range(0, 600, 37)]
            found = sites.SITES.merge([sites.SITES.merge(parts[5:]), *parts[:5], sites.SITES.merge([])])
            assert found.below == bounded.below
            assert found.rows.equals(bounded.rows)
            (other,) = sites.SITES.compact(parts[::-1], tightly=True)
            assert other.rows.equals(bounded.rows)
            assert bounded.rows.num_rows <= most
            assert bounded.below == ALL or most == 60
    # A site that is left has all of its documents.
    left = set(bounded.rows["site"].to_pylist())
    assert 0 < len(left) < 40
    rest = whole.rows.filter(pa.array([name in left for name in whole.rows["site"].to_pylist()]))
    assert rest.equals(bounded.rows)


def test_without_addresses_or_a_calibration_nothing_is_said() -> None:
    assert list(site_rows([counted([(None, 0, DECLARED, None, 10)] * 100)], known()[0])) == []
    assert list(site_rows([counted([("a.example", 0, DECLARED, None, 10)] * 100)], None)) == []
