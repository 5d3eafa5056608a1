"""`plan`: the mixture that a recipe gives, without a release. From what dedup left in the signal store, if it is there."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from expectations.wording import number, one_line
from pipeline.advice.ways import left_out, refused
from pipeline.execution import execute
from pipeline.graph import Job, decide
from pipeline.reading.answer import for_programs, refuse_unknown
from pipeline.recipe import Recipe, RecipeError
from pipeline.swap import planning
from transforms.mixture.balance import OfferReader, mix
from transforms.mixture.cells import View, rarest, words
from transforms.mixture.config import DIMENSIONS
from transforms.mixture.left_by_dedup import was_decided
from transforms.mixture.selection import ConstraintOutcome, Mixture, take

COLUMNS = ("documents", "available", "kept", "taken", "lost")
FORMATS = ("text", "json")
WIDEST = 60  # characters of a value in the table


@dataclasses.dataclass(frozen=True)
class PlanAnswer:
    """What `plan` prints, and whether there is no such mixture, or none that keeps what was asked."""

    text: str
    refused: bool


def plan_mixture(recipe: Recipe, job: Job, console: Console, by: Sequence[str], form: str) -> PlanAnswer:
    """The mixture, stratum by stratum.

    Args:
      recipe: to plan for.
      job: from `runner.prepare`.
      console: where progress goes, if text has to be read first.
      by: dimensions of the table.
      form: one of `FORMATS`.

    Raises:
      RecipeError: there is no such dimension or format.
      RunError: the survey broke.
    """
    known = (*DIMENSIONS, "structure") if job.rule.favoured else DIMENSIONS
    for name in by:
        if name not in known:
            also = "" if "structure" in known else "; and structure, with ratio.favour: {by: structure, system: ID}"
            raise RecipeError(f"--by {name}: there is {', '.join(known)}{also}")
    refuse_unknown(form, FORMATS)
    if not all(was_decided(job.decisions, split) for split in job.splits):
        with planning(recipe.output.path) as attempt:
            execute(recipe, job, console, decide, attempt)
    offers = OfferReader(job.decisions, job.splits)
    mixture = mix(offers, job.rule)
    strata = _strata([_counted(offer, job, mixture, by) for offer in offers], by)
    refusal = _refusal(mixture, recipe.ratio.on_shortage == "fail")
    found = {
        "release": recipe.release,
        "unit": mixture.unit,
        **{name: sum(row[name] for row in strata) for name in COLUMNS},
        "copied": mixture.copied,
        "strata": strata,
        "limits": [_limit(row) for row in mixture.rows],
        "weights": mixture.lifts,
        "conflict": list(mixture.conflict),
        "change": list(mixture.change),
        "refusal": refusal,
        "ways": [dataclasses.asdict(way) for way in mixture.ways],
    }
    text = for_programs(found) if form == "json" else _text(found, mixture, by, job.rule.favoured is not None)
    return PlanAnswer(text, refusal is not None)


def _refusal(mixture: Mixture, all_synthetic: bool) -> str | None:
    """Why there is no such mixture, in a sentence; None if there is one."""
    broken = [row for row in mixture.rows if _mark(row) == "broken"]
    if mixture.conflict:
        return f"The mixture is not what was asked: {mixture.refusal()}"
    if broken:
        said = "; ".join(f"“{one_line(row.name)}” comes to {_got(row, mixture.unit)}" for row in broken)
        return f"The mixture is not what was asked: {said}."
    if all_synthetic and mixture.taken < mixture.available:
        more = "no amount would do" if mixture.missing is None else f"{mixture.missing:,} {mixture.unit} more would do"
        return f"There is too little real text for all synthetic text ({more}), and ratio.on_shortage is 'fail'."
    return None


def _short(value: str) -> str:
    """A value of the data as it may stand in a table."""
    value = one_line(value)
    return value if len(value) <= WIDEST else value[: WIDEST - 1] + "…"


def _got(row: ConstraintOutcome, unit: str) -> str:
    return f"{row.attained:,.0f} {unit}" if row.is_weight else number(row.attained, "share", 4)


def _limit(row: ConstraintOutcome) -> dict[str, Any]:
    return {
        "limit": row.name,
        "asked": row.asked,
        "sense": row.sense,
        "attained": row.attained,
        "binds": row.binds,
        "is_weight": row.is_weight,
    }


def _mark(row: ConstraintOutcome) -> str:
    over = row.attained > row.asked if row.sense == "max" else row.attained < row.asked
    return "broken" if over else "binds" if row.binds else ""


def _counted(offer: pa.RecordBatch, job: Job, mixture: Mixture, by: Sequence[str]) -> pa.Table:
    """One batch by stratum: documents and weight that are there, and that are taken."""
    view = View(offer, job.rule)
    copies = take(offer, job.rule, mixture)[0].astype(np.int64)
    columns: dict[str, Any] = {
        name: rarest(view, mixture.opinion) if name == "structure" else words(view, name) for name in by
    }
    columns["text"] = pa.array(np.where(view.labelled, "synthetic", np.where(view.human, "human", "unknown")))
    columns["documents"] = np.ones(offer.num_rows, np.int64)
    columns["available"] = view.weight
    columns["kept"] = (copies > 0).astype(np.int64)
    columns["taken"] = view.weight * copies
    columns["lost"] = view.weight * (copies == 0)
    return _summed(pa.table(columns), by)


def _summed(table: pa.Table, by: Sequence[str]) -> pa.Table:
    names = [*dict.fromkeys(by), "text"]
    summed = table.group_by(names, use_threads=False).aggregate([(name, "sum") for name in COLUMNS])
    return summed.rename_columns([name.removesuffix("_sum") for name in summed.schema.names])


def _strata(parts: list[pa.Table], by: Sequence[str]) -> list[dict[str, Any]]:
    rows = _summed(pa.concat_tables(parts), by).to_pylist()
    return sorted(rows, key=lambda row: [str(row[name]) for name in (*by, "text")])


def _text(found: dict[str, Any], mixture: Mixture, by: Sequence[str], favoured: bool) -> str:
    unit = found["unit"]
    lines = [f"plan of {found['release']}, in {unit}, after dedup", ""]
    names = [" ".join(_short(str(row[name])) for name in (*dict.fromkeys(by), "text")) for row in found["strata"]]
    table = [
        [" ".join((*dict.fromkeys(by), "text")), *COLUMNS],
        *(
            [name, *(f"{row[column]:,}" for column in COLUMNS)]
            for name, row in zip(names, found["strata"], strict=True)
        ),
        ["all", *(f"{found[column]:,}" for column in COLUMNS)],
    ]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    if found["copied"]:
        lines.append(f"{found['copied']:,} of the {unit} taken are copies")
    lines += ["", "limits"]
    for limit in mixture.rows:
        nothing = "; no document is of what it names" if limit.of_nothing else ""
        lines.append(f"  {_mark(limit):6}  {one_line(limit.name)}: {_got(limit, unit)}{nothing}")
    if mixture.lifts:
        weights = ", ".join(f"{one_line(name)} {weight:.3g}" for name, weight in mixture.lifts.items())
        lines += ["", f"weights of {'structures' if favoured else 'strata'}: {weights}"]
    ways = [way.words() for way in mixture.ways]
    if found["refusal"]:
        lines += ["", *(refused(mixture.refusal(), ways) if mixture.conflict else [found["refusal"]])]
    elif mixture.ways:
        lines += ["", *left_out(ways)]
    return "\n".join(lines)
