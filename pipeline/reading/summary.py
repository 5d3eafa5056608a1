"""What commands print about a recipe, a run and a verdict, as plain text."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import yaml

from expectations import wording
from expectations.judge.formats import as_text
from expectations.wording import REASONS, estimate, plural
from pipeline.advice.guesses import guessed
from pipeline.advice.remarks import Rows, hint, idle, read_twice, remarks, splits_found
from pipeline.advice.remedy import remedy
from pipeline.places import PAPERS
from pipeline.reading.input_sample import refuse_hopeless, tried, try_source
from pipeline.recipe import Recipe
from pipeline.redaction import HIDDEN, redact_options
from transforms.ingest.data_set_splits import splits_of
from transforms.ingest.listing import UNREAD
from transforms.ingest.sources import Piece, Split, files_by_source
from transforms.measures.unread_input import NotRead
from transforms.release.read_release import read_metrics

if TYPE_CHECKING:
    from pipeline.graph import Job
    from pipeline.runner import Result

SHOWN_ENDINGS = 8


def ran(result: "Result", recipe: Recipe, splits: Sequence[Split] = (), path: str = "recipe.yaml") -> str:
    """The end of a run: what came in, what became of it, the share, the verdict, where to look."""
    rows = read_metrics(result.folder).to_pylist()
    helps = [*hint(rows, result.verdict, recipe, path)]
    last = remedy(result.verdict, result.folder, recipe)
    return "\n".join(
        [
            *_flow(result),
            *remarks(rows, recipe, splits),
            *_shares(rows),
            "",
            as_text(result.verdict),
            *([*helps, ""] if helps else []),
            *_where(result, recipe),
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


def _warnings(recipe: Recipe, files: Sequence[Sequence[Piece]]) -> Iterator[str]:
    yield from read_twice(recipe.sources, files)
    yield from idle(recipe)
    yield from _secrets(recipe)


def _secrets(recipe: Recipe) -> Iterator[str]:
    hidden = [shown for shown in redact_options(recipe.runner.options) if HIDDEN in shown]
    if hidden:
        yield f"note: runner.options: {hidden[0].split('=')[0]} is a secret by its name, and is left out of all that is written."
        yield "  Write it as --name=${VARIABLE}, and it is taken from the environment and is not in the recipe either."


def _flow(result: "Result") -> Iterator[str]:
    counts = result.counts
    width = len(f"{counts['documents_in']:,}")
    yield f"documents in  {counts['documents_in']:>{width},}"
    for reason, words in REASONS.items():
        if n := counts.get(f"dropped.{reason}"):
            yield f"  dropped     {n:>{width},}  {words[0].lower()}{words[1:]}"
    rows = read_metrics(result.folder).to_pylist()
    found = (row for row in rows if (row["metric"], row["stage"], row["slice_kind"]) == ("tokens", "after", "overall"))
    kept = wording.amount(next(found)["value"], wording.unit_of(rows))
    model = wording.of_a_model(rows)
    yield f"  kept        {counts['kept']:>{width},}  of {kept}" + (f", {model}" if model else "")
    if counts.get("quarantined"):
        yield f"quarantined   {counts['quarantined']:>{width},}  records that could not be read"


def _shares(rows: Rows) -> Iterator[str]:
    title = wording.title("synthetic_share.tokens", wording.unit_of(rows)).lower()
    for stage in ("before", "after"):
        for row in rows:
            if (row["metric"], row["stage"], row["slice_kind"]) == ("synthetic_share.tokens", stage, "overall"):
                said = estimate(row["value"], row["upper"])
                yield f"{title}, {stage}: {said}" + (" (95 % bound)" if row["upper"] is not None else "")


def _where(result: "Result", recipe: Recipe) -> Iterator[str]:
    yield f"report   {result.folder}/report/index.html"
    yield f"ledger   {result.folder}/ledger/   (why a document was dropped: lowbackground explain {result.folder} DOC_ID)"
    if result.verdict.passed:
        yield f"release  {result.folder}/data/"
        if recipe.papers:
            yield f"papers   {result.folder}{PAPERS}/"


def checked(recipe: Recipe, job: "Job") -> str:
    """What `check` says: the input, the S-curve, the suite, and every setting."""
    from pipeline.runner import resolved
    from transforms.kernels.similarity.lsh import s_curve

    lines = ["input"]
    files = files_by_source(job.splits, recipe.sources)
    for number, source in enumerate(recipe.sources):
        n_bytes = sum(piece.size for piece in files[number])
        declared = source.origin or "not declared"
        lines.append(
            f"  {source.name}: {plural(len(files[number]), 'file')}, {plural(n_bytes, 'byte')}, origin {declared}"
        )
        parts = splits_of((piece.path for piece in files[number]), source.paths)
        lines += [f"    {words}" for words in splits_found(source, parts)]
        lines += [f"    {words}" for words in unread(one for one in job.unread if one.source == source.name)]
        lines += [f"    {words}" for words in tried(source, files[number], number, recipe.ingest.limits)]
    lines += guessed(recipe, files)
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
        *([*found, ""] if (found := [*_warnings(recipe, files)]) else []),
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
    files = files_by_source(job.splits, recipe.sources)
    for number, source in enumerate(recipe.sources):
        found = try_source(source, files[number], number, recipe.ingest.limits)
        refuse_hopeless(source, found)
        sources.append(
            {
                "source": source.name,
                "files": len(files[number]),
                "bytes": sum(piece.size for piece in files[number]),
                "origin": source.origin,
                "splits": splits_of((piece.path for piece in files[number]), source.paths),
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
        "guessed": [*guessed(recipe, files)],
        "warnings": [*_warnings(recipe, files)],
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
