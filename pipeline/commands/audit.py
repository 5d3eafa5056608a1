"""`audit sample | certify | export`: people's labels of a release, from the draw to the certificate."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations import contracts, parquet
from expectations.paths import open_for_reading
from expectations.wording import amount, number, plural
from pipeline.reading.outputs import check_output, written
from transforms.audit.certificate import Certificate, Terms, hashes_of, make_certificate
from transforms.audit.draw import METADATA, AuditError, Design, design_of, draw
from transforms.audit.gold import read_gold
from transforms.kernels.statistics.certify import NO_VOTE, labels_needed, most_votes
from transforms.kernels.statistics.two_strata import draws_of
from transforms.origin.label_file import read_labels
from transforms.release.read_release import by_id

CERTIFICATE = b'"format": "lowbackground.certificate/'
WHAT = {"undeclared": "kept documents of undeclared origin", "all": "kept documents"}


def sample_release(release: str, output: str, design: Design, gold: str | None, force: bool = False) -> str:
    """Draw a sample, write it, and say what it holds.

    Raises:
      RecipeError: the file must not be written (`outputs.check_output`).
      AuditError, ReleaseError, GoldError: there is nothing to draw from.
    """
    check_output(output, [release, *([gold] if gold else [])], force)
    table = draw(release, design, read_gold(gold) if gold else None)
    about = design_of(table)
    with written(output) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=64)
    streams = table["stream"].to_pylist()
    count = {name: streams.count(name) for name in contracts.STREAMS}
    of = f"{about['documents']:,} {WHAT[about['population']]}{_of_source(about['source'])}"
    lines = [f"population   {of}, {amount(about['tokens'], about['unit'])}"]
    by = about["unit"] if about["by"] == "tokens" else about["by"]
    how = f"by {by}" if about["by"] == "tokens" else "uniformly" if about["top"] is None else "by documents"
    lines.append(
        f"audit        {plural(count['audit'], 'document')}, {plural(about['n'], 'draw')} {how}: certifies a share of {by}"
    )
    if about["top"] is not None:
        part = about["top"]["weight"] / about["whole"]["audited"]
        lines.append(
            f"             {draws_of(about['n'])[0]:,} of the draws are from the {part:.1%} with the highest scores"
        )
    elif design.by_score:
        lines.append("             uniform, for scores do not tell these documents apart")
    if about["n"] < design.n:
        lines.append(f"             that is all there are: {design.n:,} were asked for")
    if about["first_look"]:
        lines.append(
            f"             looks after {about['first_look']:,} and {plural(about['n'], 'draw')}, each at half the risk"
        )
    lines.append(
        f"active       {plural(count['active'], 'document')} from which a label tells most; they certify nothing"
    )
    if gold:
        lines.append(f"gold         {plural(count['gold'], 'item')} of known origin, which measure the reviewers")
    else:
        lines.append("gold         none: the certificate will take the reviewers to be right (--gold FILE)")
    lines += ["", f"wrote {output}. It holds what reviewers must not see; show it to them with", ""]
    lines.append(f"  lowbackground review serve {output} --labels labels.jsonl")
    return "\n".join(lines)


def _of_source(source: str | None) -> str:
    return "" if source is None else f" of source {source}"


def read_sample(path: str) -> pa.Table:
    """A sample's table.

    Raises:
      AuditError: it is missing, or no sample.
    """
    try:
        table = by_id(parquet.read(path))
        design_of(table)
    except FileNotFoundError:
        raise AuditError(f"{path}: no such file; `lowbackground audit sample` draws one") from None
    except (OSError, pa.ArrowException) as error:
        raise AuditError(f"{path}: cannot be read ({str(error).splitlines()[0][:120]})") from None
    except AuditError as error:
        raise AuditError(f"{path}: {error}") from None
    return table.combine_chunks()


def certify_sample(
    sample: str, labels: Sequence[str], output: str, terms: Terms, force: bool = False
) -> tuple[str, bool]:
    """Write the certificate; say what it says, and whether the limit is certified.

    Raises:
      RecipeError: the file must not be written (`outputs.check_output`).
      AuditError, LabelError: the sample or the labels cannot be used.
    """
    table, known = read_sample(sample), read_labels(labels)
    with open_for_reading(sample) as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    # Labels go on, and the certificate of the same sample is made again; one of another sample is not replaced.
    mine = f'"sample_sha256": "{digest}"'.encode()
    check_output(output, [sample, *labels], force, lambda found: CERTIFICATE in found and mine in found)
    certificate = make_certificate(table, digest, known, terms)
    with written(output) as made:
        made.write(certificate.to_json())
    warnings = [f"warning: {line}" for line in known.warnings]
    return "\n".join([*warnings, *_said(certificate), f"wrote {output}"]), certificate.certified


def _said(one: Certificate) -> Iterator[str]:
    yield f"release      {one.release}, manifest {one.manifest_sha256[:12]}"
    yield f"population   {one.documents:,} {WHAT[one.population]}{_of_source(one.source)}; share of {one.of}"
    if one.top is not None:
        yield f"strata       {draws_of(one.n)[0]:,} of the draws are from the {one.top:.1%} with the highest scores"
    look = f", look {one.look} of 2" if one.look else ""
    yield (
        f"labelled     {one.n:,} of {plural(one.planned, 'draw')}{look}: {one.human:,} human, {one.synthetic:,} synthetic, "
        f"{one.undetermined:,} undetermined"
    )
    for who in one.reviewers:
        rates = "" if who.sensitivity is None else f", sensitivity {who.sensitivity:.3f}"
        rates += "" if who.specificity is None else f", specificity {who.specificity:.3f}"
        yield f"reviewer     {who.name}: {plural(who.labels, 'label')}{rates}"
    if one.gold:
        sensitivity, specificity = (
            "-" if r is None else f"{r:.3f}" for r in (one.gold.sensitivity, one.gold.specificity)
        )
        yield (
            f"gold         {one.gold.synthetic} synthetic, {one.gold.human} human: sensitivity {sensitivity} (at least "
            + (
                f"{one.gold.sensitivity_lower:.3f}), specificity {specificity} (at most {1 - one.gold.false_alarms_lower:.3f})"
            )
        )
    if one.agreement is not None:
        yield f"agreement    Krippendorff's alpha {one.agreement:.3f}"
    point = "not told apart" if one.share.value is None else f"{one.share.value:.2%}"
    yield f"synthetic    {point}, at most {one.share.upper:.2%} (risk {one.level:g}; undetermined counted as synthetic)"
    yield f"             at most {one.undetermined_as_human.upper:.2%} if every undetermined one were human"
    for warning in one.warnings:
        yield f"warning      {warning}"
    for assumption in one.assumptions:
        yield f"assuming     {assumption}"
    for reason in one.void:
        yield f"VOID         {reason}"
    limit = number(one.limit, "share")
    if one.certified:
        yield f"certified: at most {limit} of these {one.of} are synthetic"
        return
    yield f"not certified: at most {limit} of these {one.of} are synthetic"
    found = one.synthetic + one.undetermined
    if one.top is None and not one.void and one.look is None and one.gold is None and one.limit > 0:
        needed = labels_needed(found, one.limit, one.level)
        if one.n < needed <= one.documents:
            yield f"             with {found} found, {plural(needed, 'label')} would be needed"


def export_labels(sample: str, labels: Sequence[str], output: str, active: bool, force: bool = False) -> str:
    """Join a sample with its labels into labelled text, as `detector` commands read it.

    Of the audit stream, which is like the release; with `active` also the informative ones, which are not. Gold items
    are left out, and so is what most reviewers could not tell.

    Raises:
      RecipeError: the file must not be written (`outputs.check_output`).
      AuditError, LabelError: the sample or the labels cannot be used, or nothing is labelled.
    """
    check_output(output, [sample, *labels], force)
    table, known = read_sample(sample), read_labels(labels)
    called = most_votes(known.of(hashes_of(table), known.total))
    streams = ["audit", "active"] if active else ["audit"]
    wanted = pc.is_in(table["stream"], pa.array(streams)).to_numpy()
    decided = wanted & (called > contracts.UNKNOWN)
    rows = np.flatnonzero(decided)
    if not len(rows):
        raise AuditError(f"{sample}: no document of it has a label; label some with `lowbackground review serve`")
    chosen = table.take(pa.array(rows))
    words = pa.array([contracts.ORIGINS[code] for code in called[rows].tolist()], pa.string())
    labelled = pa.table(
        {
            "text": chosen["text"],
            "label": words,
            "source_dataset": chosen["source"],
            "language": chosen["language"],
        },
        metadata={METADATA: table.schema.metadata[METADATA]},
    )
    with written(output) as file:
        pq.write_table(labelled, file, compression="zstd")
    left = int((wanted & (called == contracts.UNKNOWN)).sum())
    none = int((wanted & (called == NO_VOTE)).sum())
    counts = {word: words.to_pylist().count(word) for word in ("human", "synthetic")}
    return (
        f"wrote {output}: {counts['human']:,} human and {plural(counts['synthetic'], 'synthetic document')}; left out "
        f"{left:,} undetermined and {none:,} without a label"
    )
