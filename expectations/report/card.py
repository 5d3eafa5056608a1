"""The dataset card of a release: README.md what it is, how synthetic, under which licences."""

from collections.abc import Iterator

import pyarrow as pa

from expectations import wording
from expectations.escaping import markdown, markdown_code
from expectations.judge.verdict import Verdict
from expectations.report.hub_header import hub_header
from expectations.wording import estimate, plural


def card(release: str, metrics: pa.RecordBatch, verdict: Verdict, schema: pa.Schema | None, n_bytes: int) -> str:
    """README.md of a release.

    Args:
      release: its name.
      metrics: METRICS.
      verdict: of its gate.
      schema: of its shards; None: there are none.
      n_bytes: of all shards.
    """
    header = hub_header(release, metrics.to_pylist(), schema, n_bytes)
    return "\n".join([header, *_body(release, metrics, verdict)]) + "\n"


def _body(release: str, metrics: pa.RecordBatch, verdict: Verdict) -> Iterator[str]:
    overall = {(row["metric"], row["stage"]): row for row in metrics.to_pylist() if row["slice_kind"] == "overall"}
    kept, read = overall["documents", "after"], overall["documents", "before"]
    share, unit = overall["synthetic_share.tokens", "after"], wording.unit_of(overall.values())
    yield f"\n# {markdown(release)}\n"
    amount = wording.amount(overall["tokens", "after"]["value"], unit)
    model = f" ({about})" if (about := wording.of_a_model(overall.values())) else ""
    yield f"{plural(kept['value'], 'document')} of {read['value']:,.0f} read, {amount}{model}.\n"
    note = f" ({markdown(share['note'])})" if share["note"] else ""
    yield f"Synthetic share of {unit}: {estimate(share['value'], share['upper'])}{note}.\n"
    licences = [(row["slice"], row["value"]) for row in metrics.to_pylist() if row["slice_kind"] == "licence"]
    if licences:
        yield f"| licence | {unit} |\n|---|--:|"
        for name, tokens in sorted(licences, key=lambda one: (-one[1], one[0])):
            yield f"| {markdown(name)} | {tokens:,.0f} |"
        yield ""
    masked = [
        row for row in metrics.to_pylist() if (row["metric"], row["slice_kind"]) == ("personal.masked", "personal")
    ]
    if masked:
        said = ", ".join(f"{row['value']:,.0f} {row['slice']}" for row in masked)
        yield f"Masked in the text, by pattern (`masked`; names and `keep` are as they were): {said}.\n"
    asked = plural(len(verdict.expectations), "expectation")
    yield f"Judged by the suite {markdown_code(verdict.suite)}: {asked}, {verdict.status}."
    if verdict.waived:
        yield f"{len(verdict.waived)} of them do not hold and are waived; `verdict.json` says by whom, why and until when."
    yield "`report/index.html` shows them, `ledger/` says what became of every input document, `MANIFEST.json` has checksums.\n"
    yield "An origin that rests on a detector is evidence, not proof; `origin_basis` says which rows those are."
