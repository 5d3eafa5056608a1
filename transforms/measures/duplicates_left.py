"""Near duplicates that are left: which documents still have one, by stage and slice -> METRICS."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations.metrics.row import Row
from expectations.wording import plural
from transforms.kernels.similarity import duplicate_rate
from transforms.kernels.similarity.duplicate_rate import Kin, KinByStage, Packed
from transforms.kernels.text.columns import first_half, joined, numbers
from transforms.measures.sample import LEAST
from transforms.signals.populations import EVERYONE, OF_ORIGIN, STAGES, how_far, textless, whose

NEEDED = ["trace"]


def count_split(decisions: pa.RecordBatch, signals: pa.Table) -> list[KinByStage]:
    """The groups of one split, by the stage that their documents came to.

    Args:
      decisions: DECISION for every document of the split, by ordinal.
      signals: the columns `NEEDED` of the split's signals, in the same order.
    """
    seen = Packed.of(*numbers(joined(signals["trace"])))
    rows = np.flatnonzero((seen.size > 0) & ~textless(decisions))
    mark = (decisions["source"].to_numpy().astype(np.int32) * len(EVERYONE) + whose(decisions)).astype(np.int32)
    names, at = first_half(decisions["doc_id"]), how_far(decisions)
    return [duplicate_rate.gather(seen.among(rows), names[rows], mark[rows], at[rows], len(STAGES))]


def compact(parts: list[KinByStage], tightly: bool = False) -> list[KinByStage]:
    """The same groups in fewer parts, when there are many, or always."""
    # The first may be what was merged before.
    many = sum(len(part.of) for part in parts[1:]) > 2 * duplicate_rate.GROUPS
    return [duplicate_rate.merge(parts)] if len(parts) > 1 and (tightly or many) else parts


def residual_rows(parts: list[KinByStage], sources: tuple[str, ...], least: float) -> Iterator[Row]:
    """The share of documents with a near duplicate: of all stages, and of slices of the release.

    Args:
      parts: of all documents.
      sources: names, by number.
      least: similarity of near duplicates.
    """
    together = duplicate_rate.merge(parts)
    for number, stage in enumerate(STAGES):
        whole = together.of_stage(number)
        similarity = duplicate_rate.nearest(whole)
        yield _row(duplicate_rate.rate(whole, similarity, least), least, {"stage": stage})
        for kind, name, chosen in _slices(whole, sources) if stage == "after" else ():
            rate = duplicate_rate.rate(whole, similarity, least, chosen)
            if rate.documents >= LEAST:
                yield _row(rate, least, {"stage": stage, "slice_kind": kind, "slice": name})


def _slices(whole: Kin, sources: tuple[str, ...]) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    for name, who in OF_ORIGIN.items():
        yield "origin", name, np.isin(whole.mark % len(EVERYONE), who)
    for number, name in enumerate(sources):
        yield "source", name, whole.mark // len(EVERYONE) == number


def _row(rate: duplicate_rate.Rate, least: float, row: Row) -> Row:
    note = (
        f"Jaccard {least:g} or more with another document of the stage, counted on their shingles and not on the signatures "
        f"that decided; of {plural(rate.documents, 'document')} long enough for one, drawn by a hash that both of a pair share "
        "with chance J: each that is seen counts 1 / J, so one with several duplicates counts too much"
    )
    if rate.undecided:
        note += f"; {rate.undecided:,} of those seen are long, compared by a part of their shingles, and near the limit"
    if rate.crowded:
        note += (
            f"; {rate.crowded:,} are in groups of more than {duplicate_rate.MEMBERS}, of which so many were compared"
        )
    return row | Row(
        metric="duplicates.residual_rate",
        n=rate.documents,
        value=rate.value,
        lower=rate.lower,
        upper=rate.upper,
        note=note,
    )
