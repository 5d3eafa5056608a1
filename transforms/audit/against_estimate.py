"""A certificate beside the metrics of its release: what people found against what the detector makes of it.

Where it covers, its bound replaces the detector's: the synthetic share of the release, by what the certificate is by, is then
what is declared and the certified bound of the rest. What it does not cover stays as it was: other units, and slices.

The rule: the audit's two-sided interval of the synthetic share and the estimate's must meet, both among the documents that
were audited. The estimate's goes from the lower limit of its interval, where the metrics have one, else from 0, to its upper
bound. If they do not meet, the detector's calibration does not fit this corpus, and no number that rests on it can be
trusted: the gate fails, unless what it is judged by is what people found, and then it warns.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from expectations import contracts
from expectations.metrics import CERTIFIED
from expectations.suite.suite import Expectation, Suite
from expectations.wording import number
from transforms.audit.certificate import Certificate
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
    rows = [row for row in metrics.to_pylist() if (row["note"] or "").startswith(f"{CERTIFIED}:")]
    covered = {(row["metric"], row["stage"], row["slice_kind"]) for row in rows}
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
            severity="warning" if judged and judged <= covered else "critical",
            notes="Rule of every audit. If what people found and the estimate do not meet, the detector does not fit.",
        ),
    ]
    return suite.model_copy(update={"expectations": (*suite.expectations, *rules)})


def _certified(row: Row, metrics: list[Row], certificate: Certificate) -> Row:
    """What changes in a row that the certificate covers."""
    about = row["metric"], row["stage"], row["slice_kind"]
    if about != (f"synthetic_share.{certificate.by}", "after", "overall") or certificate.void:
        return {}
    after = _after(metrics)
    declared, synthetic = _declared(after, certificate.by, certificate)
    total = after[certificate.by, "overall", ""]["value"]
    if _mismatch(after, certificate) or not total:
        return {}

    def whole(part: float) -> float:
        return min(1.0, (synthetic + part * (total - declared)) / total)

    found = certificate.share
    value = found.upper if found.value is None else found.value
    estimate = "none" if row["upper"] is None else f"at most {number(row['upper'], 'share')}"
    note = f"{CERTIFIED}: people labelled {certificate.n:,} draws, and the rest is declared; the detector's bound was {estimate}"
    return {"value": whole(value), "upper": whole(found.upper), "note": note}


def _rows(metrics: list[Row], certificate: Certificate) -> Iterator[Row]:
    what = "kept documents" if certificate.population == "all" else "kept documents of undeclared origin"
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
    share = after.get((f"synthetic_share.{certificate.by}", "overall", ""))
    if share is None or share["upper"] is None:
        return None, "the release has no estimate of its synthetic share to compare with"
    declared, synthetic = _declared(after, certificate.by, certificate)
    if mismatch := _mismatch(after, certificate):
        return None, mismatch
    total = after[certificate.by, "overall", ""]["value"]
    if total <= declared:
        return None, "the release has no document of the audited kind"
    interval = after.get((f"synthetic_share.interval.{certificate.by}", "overall", ""), share)
    low = share["lower"] if interval["lower"] is None else interval["lower"]
    low = 0.0 if low is None else low  # without a limit there is no telling from where
    low, high = ((end * total - synthetic) / (total - declared) for end in (low, share["upper"]))
    return (min(1.0, max(0.0, low)), min(1.0, max(0.0, high))), ""


def _after(metrics: list[Row]) -> dict[tuple[str, str, str], Row]:
    return {(row["metric"], row["slice_kind"], row["slice"]): row for row in metrics if row["stage"] == "after"}


def _mismatch(after: dict[tuple[str, str, str], Row], certificate: Certificate) -> str:
    """Why the certificate does not speak of this release's documents; "" if it does."""
    documents, _ = _declared(after, "documents", certificate)
    whole = after["documents", "overall", ""]["value"] - documents
    if whole == certificate.documents:
        return ""
    return f"{whole:,.0f} documents are of the audited kind, the certificate speaks of {certificate.documents:,}"


def _declared(after: dict[tuple[str, str, str], Row], unit: str, certificate: Certificate) -> tuple[float, float]:
    """How much is of declared origin, and how much of that is synthetic; nothing where all documents were audited."""
    if certificate.population == "all":
        return 0.0, 0.0
    found = {
        origin: sum(
            after[unit, "origin_basis", f"{origin}/{basis}"]["value"]
            for basis in contracts.DECLARED_BASES
            if (unit, "origin_basis", f"{origin}/{basis}") in after
        )
        for origin in contracts.ORIGINS
    }
    return sum(found.values()), found["synthetic"]
