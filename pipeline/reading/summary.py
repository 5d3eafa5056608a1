"""What commands print about a recipe, a run and a verdict, as plain text."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from expectations import wording
from expectations.judge.formats import as_text
from expectations.wording import estimate, one_line, plural
from pipeline.reading import ways
from pipeline.reading.guesses import guessed
from pipeline.reading.input_sample import refuse_hopeless, tried, try_source
from pipeline.reading.remedy import remedy
from pipeline.recipe import Recipe
from pipeline.redaction import HIDDEN, redact_options
from transforms.ingest.listing import UNREAD
from transforms.ingest.sources import Source, Split, splits_of
from transforms.measures.metrics import OF_NOTHING
from transforms.measures.unread_input import NotRead, printable
from transforms.release.read_release import read_metrics

if TYPE_CHECKING:
    from pipeline.graph import Job
    from pipeline.runner import Result

WORDS = {
    "dropped.empty_text": "empty text",
    "dropped.exact_duplicate": "exact duplicate",
    "dropped.near_duplicate": "near duplicate",
    "dropped.same_url": "same address",
    "dropped.in_earlier_release": "in an earlier release",
    "dropped.over_synthetic_share": "over the synthetic share",
    "dropped.over_limit": "over a limit of the mixture",
    "dropped.contaminated": "holds items of an evaluation set",
    "dropped.withdrawn": "withdrawn, or like what is",
    "dropped.licence": "licence that is not allowed",
}
SHOWN_ENDINGS = 8
SHOWN_FILES = 20


def ran(result: "Result", recipe: Recipe, splits: Sequence[Split] = (), path: str = "recipe.yaml") -> str:
    """The end of a run: what came in, what became of it, the share, the verdict, where to look."""
    remarks = [
        *_flow(result),
        *_not_understood(result),
        *_mixed(recipe, splits),
        *_lost(result),
        *_not_read(result),
        *_contaminated(result),
        *guessed(recipe, splits, only_origin=True),
        *_undecided(result),
        *_shares(result),
        *_idle_after(result, recipe),
    ]
    last = remedy(result.verdict, result.folder, recipe)
    return "\n".join(
        [
            *remarks,
            "",
            as_text(result.verdict),
            *_hint(result, recipe, path),
            *_where(result),
            *([last] if last else []),
        ]
    )


def ran_json(result: "Result", recipe: Recipe) -> str:
    """The same for programs: counts, the verdict as `verdict.json` has it, and what would mend a failure."""
    answer = {
        "format": "lowbackground.run/1",
        "release": recipe.release,
        "folder": result.folder,
        "report": f"{result.folder}/report/index.html",
        "exit_code": result.exit_code,
        "counts": result.counts,
        "remedy": remedy(result.verdict, result.folder, recipe) or None,
        "verdict": json.loads(result.verdict.to_json()),
    }
    return json.dumps(answer, indent=2, allow_nan=False) + "\n"


def _not_understood(result: "Result") -> Iterator[str]:
    for row in read_metrics(result.folder).to_pylist():
        if row["metric"] == "input.not_understood" and row["slice_kind"] == "source_field":
            source, _, field = row["slice"].rpartition("/")
            yield f"source {source}: {plural(row['value'], 'value')} of {field} not understood, {row['note']}; they count as"
            yield f"  not declared. Set fields.{field} of the source to another column, or correct them."


def idle(recipe: Recipe) -> Iterator[str]:
    """One line for each setting that changes nothing, as far as the recipe alone says so."""
    dedup = recipe.dedup
    if dedup.on_match != "drop" and not dedup.against:
        yield f"warning: dedup.on_match: {dedup.on_match} has no effect without dedup.against; name the earlier releases"
    said = dedup.paragraphs.model_fields_set  # a recipe with all defaults written out says both, and means both
    if "max_documents" in said and "remove" not in said:
        yield "warning: dedup.paragraphs.max_documents has no effect without remove: true"


def _idle_after(result: "Result", recipe: Recipe) -> Iterator[str]:
    yield from idle(recipe)
    for row in read_metrics(result.folder).to_pylist():
        if row["metric"] == "ratio.limit" and row["note"] == OF_NOTHING:
            yield f"warning: ratio: “{one_line(row['slice'])}”: {OF_NOTHING}; is it spelled as in the data?"
    if recipe.dedup.url and _overall(result, "documents.with_address")["value"] == 0:
        yield "warning: dedup.url has no effect, for no document has an address; name its column (fields: {url: ...})"


def _mixed(recipe: Recipe, splits: Sequence[Split]) -> Iterator[str]:
    for number, source in enumerate(recipe.sources):
        paths = {piece.path for split in splits if split.source == number for piece in split.pieces}
        yield from (f"{source.name}: {words}" for words in splits_found(source, splits_of(source, paths)))


def _not_read(result: "Result") -> Iterator[str]:
    rows = [row for row in read_metrics(result.folder).to_pylist() if row["metric"] == "input.unread_files"]
    counts = {row["slice"]: row for row in rows if row["slice_kind"] == "reason" and row["value"]}
    for reason, row in counts.items():
        example = next((r["slice"] for r in rows if r["slice_kind"] == "file" and r["note"] == row["note"]), "")
        such = f" (such as {example})" if example else ""
        yield f"not read      {row['value']:,.0f} {UNREAD.get(reason, reason)}{such}"


def _contaminated(result: "Result") -> Iterator[str]:
    """A line for each evaluation set: how much of it was found in what was read, and in the release."""
    rows = [row for row in read_metrics(result.folder).to_pylist() if row["metric"].startswith("contamination.")]
    of_set = {
        (row["metric"].removeprefix("contamination."), row["stage"], row["slice"]): row
        for row in rows
        if row["slice_kind"] == "evaluation_set"
    }
    for name in sorted({name for _, _, name in of_set}):
        found, left = of_set["items", "before", name], of_set["items", "after", name]
        short, documents = of_set["too_short", "before", name]["value"], of_set["documents", "before", name]["value"]
        unseen = f"; too short to be looked for: {short:,.0f}" if short else ""
        items = f"{round((found['value'] or 0) * found['n']):,} of {plural(found['n'], 'item')}"
        after = f"{round((left['value'] or 0) * left['n']):,} left in the release"
        yield f"{name:13} {items} in {plural(documents, 'document')}, {after}{unseen}"


def _secrets(recipe: Recipe) -> Iterator[str]:
    hidden = [shown for shown in redact_options(recipe.runner.options) if HIDDEN in shown]
    if hidden:
        yield f"note: runner.options: {hidden[0].split('=')[0]} is a secret by its name, and is left out of all that is written."
        yield "  Write it as --name=${VARIABLE}, and it is taken from the environment and is not in the recipe either."


def _undecided(result: "Result") -> Iterator[str]:
    row = _overall(result, "duplicates.undecided")
    if row["value"]:
        yield f"{row['value']:,.0f} of {row['n']:,} near duplicates have a {row['note']};"
        yield "  these are estimates, and by their texts some may be less alike. `dedup.verify: exact` compares texts."


def _overall(result: "Result", metric: str, stage: str = "") -> dict[str, Any]:
    rows = read_metrics(result.folder).to_pylist()
    overall = (row for row in rows if row["metric"] == metric and row["slice_kind"] == "overall")
    return next(row for row in overall if stage in ("", row["stage"]))


def _flow(result: "Result") -> Iterator[str]:
    counts = result.counts
    width = len(f"{counts['documents_in']:,}")
    yield f"documents in  {counts['documents_in']:>{width},}"
    for key, words in WORDS.items():
        if counts.get(key):
            yield f"  dropped     {counts[key]:>{width},}  {words}"
    rows = read_metrics(result.folder).to_pylist()
    kept = wording.amount(_overall(result, "tokens", "after")["value"], wording.unit_of(rows))
    model = wording.of_a_model(rows)
    yield f"  kept        {counts['kept']:>{width},}  of {kept}" + (f", {model}" if model else "")
    if counts.get("quarantined"):
        yield f"quarantined   {counts['quarantined']:>{width},}  records that could not be read"


def _shares(result: "Result") -> Iterator[str]:
    rows = read_metrics(result.folder).to_pylist()
    title = wording.title("synthetic_share.tokens", wording.unit_of(rows)).lower()
    for stage in ("before", "after"):
        for row in rows:
            if (row["metric"], row["stage"], row["slice_kind"]) == ("synthetic_share.tokens", stage, "overall"):
                said = estimate(row["value"], row["upper"])
                yield f"{title}, {stage}: {said}" + (" (95 % bound)" if row["upper"] is not None else "")


def _hint(result: "Result", recipe: Recipe, path: str) -> Iterator[str]:
    """What would help: which limits are in conflict; or where the bound failed, and much text says nothing of itself."""
    rows = read_metrics(result.folder).to_pylist()
    conflict = next((row["note"] for row in rows if row["metric"] == "ratio.conflicts" and row["note"]), None)
    found = ways.of_metrics(rows)
    if conflict or found:
        said = [row["note"] for row in found]
        yield from ways.refused(conflict, said) if conflict else ways.left_out(said)
        audits = [row for row in found if row["slice"].startswith("audit/")]
        for row in audits:
            yield from ways.audit(recipe, path, row)
        yield ""
        return
    failed = [
        o for o in result.verdict.expectations if o.severity == "critical" and o.status != "pass" and not o.waived
    ]
    if not any(o.metric.startswith("synthetic_share.") and o.bound == "upper" for o in failed):
        return
    tokens = {r["slice"]: r["value"] for r in rows if r["metric"] == "tokens" and r["stage"] == "after"}
    undeclared = sum(n for name, n in tokens.items() if name.endswith(("/detector", "/none")))
    if undeclared and tokens[""]:
        unit = wording.unit_of(rows)
        yield f"{undeclared / tokens['']:.0%} of the release's {unit} are of undeclared origin, and the bound counts what they"
        yield "may hide. Say `origin:` of the sources that you know, or gate on the estimate (bound: value) in your own suite."
        yield ""


def _where(result: "Result") -> Iterator[str]:
    yield f"report   {result.folder}/report/index.html"
    yield f"ledger   {result.folder}/ledger/   (why a document was dropped: lowbackground explain {result.folder} DOC_ID)"
    if result.verdict.passed:
        yield f"release  {result.folder}/data/"


def checked(recipe: Recipe, job: "Job") -> str:
    """What `check` says: the input, the S-curve, the suite, and every setting."""
    from pipeline.runner import resolved
    from transforms.kernels.similarity.lsh import s_curve

    lines = ["input"]
    for number, source in enumerate(recipe.sources):
        pieces = {piece.path: piece.size for split in job.splits if split.source == number for piece in split.pieces}
        declared = source.origin or "not declared"
        lines.append(
            f"  {source.name}: {plural(len(pieces), 'file')}, {plural(sum(pieces.values()), 'byte')}, origin {declared}"
        )
        lines += [f"    {words}" for words in splits_found(source, splits_of(source, pieces))]
        lines += [f"    {words}" for words in unread(one for one in job.unread if one.source == source.name)]
        lines += [f"    {words}" for words in tried(source, job.splits, number, recipe.ingest.limits)]
    lines += guessed(recipe, job.splits)
    dedup = recipe.dedup
    lines += ["", f"near duplicates: {dedup.bands} bands x {dedup.rows} rows of {dedup.ngram}-word shingles"]
    lines.append("  Jaccard similarity   chance to be compared")
    judge = "text" if dedup.verify == "exact" else "estimate"
    for percent in range(50, 101, 5):
        chance = s_curve(percent / 100, dedup.bands, dedup.rows)
        joined = "joined" if percent / 100 >= dedup.min_similarity else "not joined"
        lines.append(
            f"  {percent / 100:18.2f}   {chance:21.3f}   then {joined} ({judge} against {dedup.min_similarity})"
        )
    lines += [
        "",
        f"suite {job.suite.suite}: {plural(len(job.suite.expectations), 'expectation')}",
        *(
            f"  system {s.id}: {plural(len(s.structures), 'structure')}, {plural(len(s.expectations), 'rule')}"
            for s in job.survey.systems.systems
        ),
        "",
        *([*found, ""] if (found := [*idle(recipe), *_secrets(recipe)]) else []),
        "recipe, defaults written out",
    ]
    return "\n".join([*lines, *("  " + line for line in resolved(recipe).splitlines()), "", "The recipe is good."])


def checked_json(recipe: Recipe, job: "Job") -> str:
    """The same for programs.

    Raises:
      InputError: of a source, not one record that was tried is a document.
    """
    from pipeline.runner import resolved

    sources = []
    for number, source in enumerate(recipe.sources):
        pieces = {piece.path: piece.size for split in job.splits if split.source == number for piece in split.pieces}
        found = try_source(source, job.splits, number, recipe.ingest.limits)
        refuse_hopeless(source, found)
        sources.append(
            {
                "source": source.name,
                "files": len(pieces),
                "bytes": sum(pieces.values()),
                "origin": source.origin,
                "splits": splits_of(source, pieces),
                "columns": found.columns,
                "tried_documents": found.documents,
                "tried_bad_records": found.bad,
                "bad": found.reasons,
                "not_read": [*unread(one for one in job.unread if one.source == source.name)],
            }
        )
    answer = {
        "format": "lowbackground.check/1",
        "release": recipe.release,
        "sources": sources,
        "guessed": [*guessed(recipe, job.splits)],
        "warnings": [*idle(recipe), *_secrets(recipe)],
        "suite": job.suite.suite,
        "expectations": len(job.suite.expectations),
        "recipe": yaml.safe_load(resolved(recipe)),
    }
    return json.dumps(answer, indent=2, allow_nan=False, default=str) + "\n"


def unread(rows: Iterable[NotRead]) -> Iterator[str]:
    """What lies in the folders of a source and is not read: a line for each reason, with counts by ending and an example."""
    for reason, some in itertools.groupby(rows, lambda one: one.reason):
        found = list(some)
        endings = [f"{one.entries:,} {one.ending or 'without ending'}" for one in found]
        more = f" and {len(found) - SHOWN_ENDINGS} endings more" if len(found) > SHOWN_ENDINGS else ""
        hint = "; to read it, give it a source of its own with `format: text`" if reason == "text_beside_data" else ""
        yield f"not read: {', '.join(endings[:SHOWN_ENDINGS])}{more}: {UNREAD[reason]} ({found[0].examples[0]}{hint})"


def splits_found(source: Source, splits: Mapping[str, int]) -> Iterator[str]:
    """That a source holds several splits of a data set and all are read, in a line; or nothing."""
    if not source.splits and len([split for split in splits if split]) > 1:
        there = ", ".join(f"{split or 'no split'} ({plural(n, 'file')})" for split, n in splits.items())
        yield f"splits of a data set, all of them read: {there}; to read one only, set `splits: [train]`"


def _lost(result: "Result") -> Iterator[str]:
    """Which files are missing from what was read, and why; which are not what their names say; what was not looked at."""
    rows = read_metrics(result.folder).to_pylist()
    for metric, one, many in (
        (
            "input.unreadable_files",
            "that could not be read, or not to its end",
            "that could not be read, or not to their end",
        ),
        ("input.misnamed_files", "that is not what its name says", "that are not what their names say"),
        ("input.not_documents", "that holds other things beside documents", "that hold other things beside documents"),
    ):
        total = next((row["value"] for row in rows if row["metric"] == metric and row["slice_kind"] == "overall"), 0)
        files = [row for row in rows if row["metric"] == metric and row["slice_kind"] == "file"]
        if total:
            yield f"{plural(total, 'file')} {one if total == 1 else many}:"
            for row in sorted(files, key=lambda row: (-row["value"], row["slice"]))[:SHOWN_FILES]:
                yield f"  {row['slice']}: {printable(row['note'])}"
            if total > SHOWN_FILES:
                yield f"  and {total - SHOWN_FILES:,.0f} more: see quarantine/"
