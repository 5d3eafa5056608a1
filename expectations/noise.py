"""The noise of a number of a release: how far another release of the same making may differ from it, and on what that rests.

From the limits that the rows have; else from a bound that is written down here; else it is unknown, and then nothing is claimed
(docs/decisions/0022).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from expectations import intervals, wording
from expectations.metrics import declared
from expectations.metrics.metric import DOCUMENTS, SPLITS, TOKENS

Row = Mapping[str, Any]
Key = tuple[str, str, str, str]  # metric, stage, slice kind, slice
SIGMAS = 3.0  # a difference counts from three standard errors on: one false alarm in 370 comparisons, half of them bad
Z95 = 1.6449  # limits are taken as one-sided 95 %: if they are two-sided, they are used a little too wide
DOCUMENTED = (
    0.5  # relative standard deviation of Hill numbers of words x sqrt(documents): splits of English text, at most 0.47
)
ALIKE = 0.1  # relative difference of sizes up to which measures that grow with the corpus may be compared
UNEVEN = 0.25  # effective documents in one at most, where a release does not say: log-normal lengths of sigma 1.2
TEMPLATE = 5  # documents that a phrase takes to be a template: they are in it together, or none of them is


def key_of(row: Row) -> Key:
    """What names a row among those of a release."""
    return row["metric"], row["stage"], row["slice_kind"], row["slice"]


def noise_of(
    key: Key, first: Row, second: Row, tables: Sequence[Mapping[Key, Row]], same_detector: bool, same_unit: bool = True
) -> tuple[tuple[float, float] | None, str]:
    """How far below and above the change of a number its limits lie, and on what that rests.

    Args:
      key: of both rows.
      first, second: the rows; both have a value.
      tables: all rows of both releases, by key.
      same_detector: whether both were scored alike.
      same_unit: whether both were counted by the same tokenizer, or both in words.

    Returns:
      None where nothing is known; then the basis says why, and is empty for a plain count.
    """
    metric, about = key[0], declared.find(key[0])
    if metric.startswith("synthetic_share.") and not same_detector:
        return None, "not scored by the same detector"
    if about.of_tokens and not same_unit:
        return None, "not counted by the same tokenizer"
    if metric.startswith("synthetic_share.") and "cross_check" not in metric:
        return _of_share(key, (first, second), tables)
    of_reference = metric.startswith("reference.") or (
        metric.startswith("structure.") and metric.endswith(("ratio", "retention"))
    )
    if of_reference and first.get("note") != second.get("note"):
        return None, "not against the same reference"
    if len({_yardstick(row) for row in (first, second)}) > 1:
        return None, "not by the same yardstick"
    n = [int(row["n"] or 0) for row in (first, second)]
    if about.grows and (min(n) == 0 or max(n) > (1 + ALIKE) * min(n)):
        return None, "grows with the corpus, and the sizes differ"
    if metric.startswith("duplicates.") and about.grows and len({_sources(table) for table in tables}) > 1:
        return None, "depends on the sources, and they differ"
    limits, basis = own_limits(first, second)
    if limits is not None:
        return limits, basis
    pairs = list(zip((first, second), tables, strict=True))
    if about.noise == DOCUMENTS and min(n) > 0:
        worth = [m / _together(metric, table) for m, table in zip(n, tables, strict=True)]
        low, high = _mover(*(_wilson(row["value"], m) for (row, _), m in zip(pairs, worth, strict=True)))
        # A share that grows does so at most as fast as the corpus.
        growth = max(first["value"], second["value"]) * (max(n) / min(n) - 1) if about.grows else 0.0
        return (low + growth, high + growth), _as_drawn(worth, n)
    if about.noise == TOKENS and min(n) > 0:
        worth = [_worth(metric, row, table) for row, table in pairs]
        return _mover(*(_wilson(row["value"], m) for (row, _), m in zip(pairs, worth, strict=True))), (
            "documents as drawn, for their lengths fewer"
        )
    if about.noise == SPLITS:
        logs = metric.startswith("lexical.entropy")
        scale = [1 / math.log(2) if logs else row["value"] for row in (first, second)]
        spread = SIGMAS * DOCUMENTED * math.hypot(*(s / math.sqrt(m) for s, m in zip(scale, n, strict=True)))
        return (spread, spread), "documented: splits of English text"
    return None, "" if about.form == "count" else basis


def _as_drawn(worth: Sequence[float], n: Sequence[int]) -> str:
    return "documents as drawn" + (", in clusters" if any(w < m for w, m in zip(worth, n, strict=True)) else "")


def _of_share(
    key: Key, rows: Sequence[Row], tables: Sequence[Mapping[Key, Row]]
) -> tuple[tuple[float, float] | None, str]:
    """Noise of a synthetic share: that of its estimate, and that of which documents were drawn, which declared text has too.

    Undeclared documents are in both, so that the limits are a little too wide.
    """
    unit = key[0].rpartition(".")[2]
    estimates = [table.get((f"synthetic_share.interval.{unit}", *key[1:])) for table in tables]
    arms, estimated = [], False
    for row, estimate, table in zip(rows, estimates, tables, strict=True):
        share = table.get((f"synthetic_share.{unit}", *key[1:]), row)
        settled = share["upper"] is not None and wording.stable(share["upper"]) == wording.stable(share["value"])
        arm = (0.0, 0.0) if estimate is None and settled else _arm(estimate)
        n = _number(table, ("documents", *key[1:])) or float(row["n"] or 0)
        if arm is None:
            return None, "no interval of the estimate"
        if n <= 0:
            return None, "no documents"
        estimated |= max(arm) > 0
        if unit == "tokens":
            of_documents = _number(table, ("synthetic_share.documents", *key[1:]))
            n = _even(row["value"], of_documents, n, n * _kish(table))
        drawn = _wilson(row["value"], n)
        arms.append((math.hypot(arm[0], drawn[0]), math.hypot(arm[1], drawn[1])))
    drawn_as = "documents as drawn" + (", for their lengths fewer" if unit == "tokens" else "")
    return _mover(arms[0], arms[1]), ("bootstrap of the estimate, and " if estimated else "") + drawn_as


def _number(table: Mapping[Key, Row], key: Key) -> float | None:
    return wording.stable(table[key]["value"]) if key in table else None


def _kish(table: Mapping[Key, Row]) -> float:
    """How many documents of equal length one is worth, (sum w)^2 / (n sum w^2) by Kish (1965), in the whole release.

    Where a release does not say, as if lengths were log-normal: exp(-sigma^2), by their quantiles and by mean over median,
    and never more than `UNEVEN`.
    """
    names = ("length.effective_documents", "length.q50", "length.q95", "tokens", "documents")
    known, middle, long, tokens, documents = (_number(table, (name, "after", "overall", "")) for name in names)
    n = int(table[names[0], "after", "overall", ""]["n"] or 0) if known else 0
    if known and n:
        return min(1.0, known / n)
    by_quantiles = math.exp(-((math.log(long / middle) / Z95) ** 2)) if middle and long and long >= middle > 0 else 1.0
    by_mean = (middle * documents / tokens) ** 2 if middle and tokens and documents else 1.0
    return max(1e-6, min(UNEVEN, by_quantiles, by_mean))


def _even(share: float, of_documents: float | None, n: float, kish: float) -> float:
    """How many documents of equal length a share of tokens rests on: fewer if those in it have other lengths than the rest.

    Args:
      share: of the tokens.
      of_documents: the same of the documents; None: not known.
      n: documents.
      kish: what they are worth, by Kish.

    Returns:
      p(1 - p) over the linearised variance of the ratio, if lengths vary as much on both sides; never more than `kish`.
    """
    if of_documents is None or not (0 < share < 1 and 0 < of_documents < 1):
        return kish
    inside, outside = n * of_documents, n * (1 - of_documents)
    varies = (1 / kish) / (share**2 / inside + (1 - share) ** 2 / outside)
    return min(kish, 1 / (max(1.0, varies) * share * (1 - share) * (1 / inside + 1 / outside)))


def _worth(metric: str, row: Row, table: Mapping[Key, Row]) -> float:
    """How many documents of equal length a share of a release's tokens rests on."""
    kind = metric.partition(".")[0]
    slices = {
        at: {
            key[3]: float(one["value"])
            for key, one in table.items()
            if key[:3] == (at, "after", kind) and key[3] and one["value"]
        }
        for at in ("tokens", "documents")
    }
    n = sum(slices["documents"].values())
    if not metric.endswith(".max_share") or not slices["tokens"] or not n:
        return float(row["n"]) * _kish(table)
    largest = max(sorted(slices["tokens"]), key=lambda name: slices["tokens"][name])
    return _even(row["value"], slices["documents"].get(largest, 0.0) / n, n, n * _kish(table))


def _together(metric: str, table: Mapping[Key, Row]) -> float:
    """How many documents are in a fraction together: its variance over that of independent ones."""
    if metric == "repetition.template_rate":
        return TEMPLATE
    if not metric.startswith("duplicates."):
        return 1.0
    # If clusters are drawn and not documents: of one of s documents s - 1 are dropped.
    sizes = [
        (int(key[3]) - 1, float(row["value"] or 0))
        for key, row in table.items()
        if key[0] == "duplicates.clusters" and key[2] == "cluster_size" and key[3].isdigit()
    ]
    dropped = sum(size * n for size, n in sizes)
    return max(1.0, sum(size * size * n for size, n in sizes) / dropped) if dropped else 1.0


def _sources(table: Mapping[Key, Row]) -> frozenset[str]:
    return frozenset(key[3] for key in table if key[:3] == ("documents", "before", "source"))


def _yardstick(row: Row) -> str | None:
    """The yardstick that a number was taken by, if its note names one."""
    found = re.search(r"yardstick (\w+)", row.get("note") or "")
    return found[1] if found else None


def own_limits(first: Row | None, second: Row) -> tuple[tuple[float, float] | None, str]:
    """As `noise_of`, from the limits of both rows; of the second alone if the first number is known exactly, and no row."""
    arms = []
    for row in (first, second):
        arm = (0.0, 0.0) if row is None else _arm(row)
        if arm is None:
            return None, "no limits, and no bound is known"
        if row is not None and arm == (0.0, 0.0):
            return None, "its limits are the number itself, which is no noise"
        arms.append(arm)
    return _mover(arms[0], arms[1]), "limits of the numbers"


def _arm(row: Row | None) -> tuple[float, float] | None:
    """How far below and above a number its own limits lie, of SIGMAS standard errors."""
    numbers = [wording.stable(row[name]) if row else None for name in ("value", "lower", "upper")]
    if None in numbers:
        return None
    value, lower, upper = (float(one) for one in numbers if one is not None)
    return SIGMAS / Z95 * max(0.0, value - lower), SIGMAS / Z95 * max(0.0, upper - value)


def _mover(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Limits of a difference from those of its parts: MOVER (Zou & Donner 2008), for limits that need not be symmetric."""
    return math.hypot(second[0], first[1]), math.hypot(second[1], first[0])


def _wilson(share: float, n: float) -> tuple[float, float]:
    """How far below and above a share its limits lie, of SIGMAS standard errors (Wilson 1927)."""
    lower, upper = intervals.wilson(min(1.0, max(0.0, share)), n, SIGMAS)
    return max(0.0, share - lower), max(0.0, upper - share)
