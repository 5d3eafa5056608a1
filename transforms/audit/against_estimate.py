"""A certificate beside the metrics of its release: what people found against what the detector makes of it.

The rule: the audit's two-sided interval of the synthetic share and the estimate's must meet, both among the documents that
were audited. The estimate's goes from the lower limit of its interval, where the metrics have one, else from 0, to its upper
bound. If they do not meet, the detector's calibration does not fit this corpus, and no number that rests on it can be
trusted: the gate fails.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from expectations import contracts
from expectations.suite.suite import Expectation, Suite
from transforms.audit.certificate import Certificate
from transforms.kernels.statistics.certify import gap

Row = dict[str, Any]


def with_audit(metrics: pa.Table, certificate: Certificate) -> pa.Table:
    """METRICS with the rows `audit.share` and `audit.disagreement`.

    What cannot be compared has no value and a note that says why, so that its expectation fails.
    """
    rows = list(_rows(metrics.to_pylist(), certificate))
    template: Row = dict.fromkeys(contracts.METRICS.schema.names)
    template |= {"stage": "after", "slice_kind": "overall", "slice": "", "unit": "fraction"}
    batch = contracts.METRICS.batch({name: [(template | row)[name] for row in rows] for name in template})
    return pa.concat_tables([metrics, pa.Table.from_batches([batch])]).combine_chunks()


def with_audit_rules(suite: Suite) -> Suite:
    """The suite with the rules that hold wherever there is an audit."""
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
            notes="Rule of every audit. If what people found and the estimate do not meet, the detector does not fit.",
        ),
    ]
    return suite.model_copy(update={"expectations": (*suite.expectations, *rules)})


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
    after = {(row["metric"], row["slice_kind"], row["slice"]): row for row in metrics if row["stage"] == "after"}
    share = after.get((f"synthetic_share.{certificate.by}", "overall", ""))
    if share is None or share["upper"] is None:
        return None, "the release has no estimate of its synthetic share to compare with"
    documents, _ = _declared(after, "documents", certificate)
    declared, synthetic = _declared(after, certificate.by, certificate)
    whole = after["documents", "overall", ""]["value"] - documents
    if whole != certificate.documents:
        return (
            None,
            f"{whole:,.0f} documents are of the audited kind, the certificate speaks of {certificate.documents:,}",
        )
    total = after[certificate.by, "overall", ""]["value"]
    if total <= declared:
        return None, "the release has no document of the audited kind"
    interval = after.get((f"synthetic_share.interval.{certificate.by}", "overall", ""), share)
    low = share["lower"] if interval["lower"] is None else interval["lower"]
    low = 0.0 if low is None else low  # without a limit there is no telling from where
    low, high = ((end * total - synthetic) / (total - declared) for end in (low, share["upper"]))
    return (min(1.0, max(0.0, low)), min(1.0, max(0.0, high))), ""


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
