"""A certificate beside the metrics of its release: what people found against what the detector makes of it.

Where it covers, its bound replaces the detector's: the synthetic share of the release, by what the certificate is by, is then
what is declared and the certified bound of the rest. A certificate of one source covers that source, and the release if no
other has undeclared text. What it covers is in time: people know writers that no detector knows. What it does not cover stays
as it was: other units, and other slices.

The rule: the audit's two-sided interval of the synthetic share and the estimate's must meet, both among the documents that
were audited. The estimate's goes from the lower limit of its interval, where the metrics have one, else from 0, to its upper
bound. If they do not meet, the detector's calibration does not fit this corpus, and no number that rests on it can be
trusted: the gate fails, unless what it is judged by is what people found, and then it warns.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from expectations import contracts
from expectations.metrics.row import CERTIFIED
from expectations.suite.suite import Expectation, Suite
from expectations.wording import at_most, plural
from transforms.audit.certificate import Certificate, Weights
from transforms.kernels.statistics.certify import gap

Row = dict[str, Any]


def with_audit(metrics: pa.Table, certificate: Certificate) -> pa.Table:
    """METRICS with the rows `audit.share` and `audit.disagreement`, and the certified bound where the certificate covers.

    What cannot be compared has no value and a note that says why, so that its expectation fails.
    """
    found = metrics.to_pylist()
    rows = list(_rows(found, certificate))
    template: Row = dict.fromkeys(contracts.METRICS.schema.names)
    template |= {"stage": "after", "slice_kind": "overall", "slice": "", "unit": "fraction"}
    rows = [*(row | _certified(row, found, certificate) for row in found), *(template | row for row in rows)]
    batch = contracts.METRICS.batch({name: [row[name] for row in rows] for name in template})
    return pa.Table.from_batches([batch])


def with_audit_rules(suite: Suite, metrics: pa.Table) -> Suite:
    """The suite with the rules that hold wherever there is an audit; `metrics` from `with_audit`."""
    rows = [row for row in metrics.to_pylist() if row["metric"].startswith("synthetic_share.")]
    by_people = {(row["metric"], row["stage"], row["slice_kind"]): True for row in rows}
    for row in rows:
        covered = (row["note"] or "").startswith(f"{CERTIFIED}:")
        by_people[row["metric"], row["stage"], row["slice_kind"]] &= covered or (
            row["metric"].startswith("synthetic_share.out_of_time.") and not row["value"]
        )
    judged = {
        (item.metric, item.stage, item.slice_kind)
        for item in suite.expectations
        if item.metric.startswith("synthetic_share.") and item.severity == "critical"
    }
    rules = [
        Expectation(
            expect="metric_to_be_between",
            metric="audit.share",
            bound="upper",
            max=1.0,
            notes="Rule of every audit. A void one has no bound, and does not pass.",
        ),
        Expectation(
            expect="metric_to_be_between",
            metric="audit.disagreement",
            max=0.0,
            severity="warning" if judged and all(map(by_people.get, judged)) else "critical",
            notes="Rule of every audit. If what people found and the estimate do not meet, the detector does not fit.",
        ),
    ]
    return suite.model_copy(update={"expectations": (*suite.expectations, *rules)})


def _certified(row: Row, metrics: list[Row], certificate: Certificate) -> Row:
    """What changes in a row that the certificate covers: its source, or where nothing else is undeclared the release."""
    unit, kind = certificate.by, row["slice_kind"]
    shares, late = f"synthetic_share.{unit}", f"synthetic_share.out_of_time.{unit}"
    if row["metric"] not in (shares, late) or row["stage"] != "after" or certificate.void:
        return {}
    if not (kind == "overall" or (kind, row["slice"]) == ("source", certificate.source)):
        return {}
    after, whole, others = _after(metrics), certificate.whole, certificate.others
    of_all = Weights(*(a + b for a, b in zip(dataclasses.astuple(whole), dataclasses.astuple(others), strict=True)))
    if _mismatch(after, certificate) or not whole.all or not of_all.all:
        return {}
    alone = kind == "source" or others.all == others.declared  # nothing that was not audited is undeclared
    about = whole if kind == "source" else of_all
    note = f"{CERTIFIED}: people labelled {plural(certificate.n, 'draw')}, and the rest is declared"
    if row["metric"] == late:
        of_source = after.get((late, "source", certificate.source)) if certificate.source is not None else row
        if not row["value"] or of_source is None:
            return {}
        left = row["value"] * about.all - of_source["value"] * (about if of_source is row else whole).all
        left = 0.0 if alone else max(0.0, left / about.all)
        return {
            "value": left,
            "note": f"{CERTIFIED}: people labelled {plural(certificate.n, 'draw')} of what it covers",
        }
    if not alone:
        return {}
    found = certificate.share
    value = found.upper if found.value is None else found.value
    estimate = "none" if row["upper"] is None else at_most(row["upper"])

    def share(part: float) -> float:
        return min(1.0, (about.synthetic + part * whole.audited) / about.all)

    return {"value": share(value), "upper": share(found.upper), "note": f"{note}; the detector's bound was {estimate}"}


def _rows(metrics: list[Row], certificate: Certificate) -> Iterator[Row]:
    what = "kept documents" if certificate.population == "all" else "kept documents of undeclared origin"
    what += "" if certificate.source is None else f" of source {certificate.source}"
    note = f"{certificate.n} draws by {certificate.by} from {certificate.documents:,} {what}"
    row: Row = {"n": certificate.n, "note": note, "value": None}
    if certificate.void:
        reason = "the audit is void: " + "; ".join(certificate.void)
        yield row | {"metric": "audit.share", "note": reason}
        yield row | {"metric": "audit.disagreement", "note": reason}
        return
    audit = certificate.two_sided
    # A point that cannot be told is said as its bound, which is what is gated on.
    value = audit.upper if audit.value is None else audit.value
    yield row | {"metric": "audit.share", "value": value, "lower": audit.lower, "upper": audit.upper}
    estimate, why = estimated(metrics, certificate)
    if estimate is None:
        yield row | {"metric": "audit.disagreement", "note": why}
        return
    note = f"audit {audit.lower:.4f} to {audit.upper:.4f}, estimate {estimate[0]:.4f} to {estimate[1]:.4f}"
    yield row | {"metric": "audit.disagreement", "value": gap((audit.lower, audit.upper), estimate), "note": note}


def estimated(metrics: list[Row], certificate: Certificate) -> tuple[tuple[float, float] | None, str]:
    """The estimate's interval of the synthetic share among the audited documents; else None, and why."""
    after = _after(metrics)
    slice_ = ("overall", "") if certificate.source is None else ("source", certificate.source)
    share = after.get((f"synthetic_share.{certificate.by}", *slice_))
    if share is None or share["upper"] is None:
        return None, "the release has no estimate of its synthetic share to compare with"
    if mismatch := _mismatch(after, certificate):
        return None, mismatch
    total, synthetic, audited = certificate.whole.all, certificate.whole.synthetic, certificate.whole.audited
    if not audited:
        return None, "the release has no document of the audited kind"
    interval = after.get((f"synthetic_share.interval.{certificate.by}", *slice_), share)
    low = share["lower"] if interval["lower"] is None else interval["lower"]
    low = 0.0 if low is None else low  # without a limit there is no telling from where
    low, high = ((end * total - synthetic) / audited for end in (low, share["upper"]))
    return (min(1.0, max(0.0, low)), min(1.0, max(0.0, high))), ""


def _after(metrics: list[Row]) -> dict[tuple[str, str, str], Row]:
    return {(row["metric"], row["slice_kind"], row["slice"]): row for row in metrics if row["stage"] == "after"}


def _mismatch(after: dict[tuple[str, str, str], Row], certificate: Certificate) -> str:
    """Why the certificate does not speak of this release's documents; "" if it does."""
    slice_ = ("overall", "") if certificate.source is None else ("source", certificate.source)
    row = after.get((certificate.by, *slice_)) if certificate.by == "tokens" else None
    whole, found = None if row is None else row["value"], certificate.whole.all
    if certificate.source is None:
        declared = _declared(after) if certificate.population == "undeclared" else 0
        whole, found = after["documents", "overall", ""]["value"] - declared, certificate.documents
    if whole is None or whole == found:
        return ""
    return f"{plural(whole, 'document')} of the audited kind, and the certificate speaks of {found:,}"


def _declared(after: dict[tuple[str, str, str], Row]) -> float:
    """How many documents are of declared origin."""
    names = [f"{origin}/{basis}" for origin in contracts.ORIGINS for basis in contracts.DECLARED_BASES]
    rows = [after.get(("documents", "origin_basis", name)) for name in names]
    return float(sum(row["value"] for row in rows if row is not None))
