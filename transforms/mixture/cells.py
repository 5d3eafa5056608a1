"""OFFER -> which documents are taken, and how often: the arithmetic of the mixture, without an engine.

Four passes over what dedup left, each a fold that merges in any order:

1. `count_scores`: the detector's scores, from which follows what undeclared text counts as, and what has each structure
   that is favoured, from which follows what it weighs (`Opinion`);
2. `weigh`: by cell, what lies along the order in which documents would be taken (`kernels/choosing/order.py`);
3. `edges`: the documents around the cuts that `aim` found on those profiles;
4. `take`: each document before its cell's cut.

A cell is all documents that no floor or cap tells apart; where there is none, all documents. Between passes 2 and 3
`transforms/mixture/targets.py` says how much each cell gives. After that, whole bins are taken that surely keep every row, and
`settle` adds the documents of the next bins as long as every row holds, in exact arithmetic.
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.loading import nearest
from expectations.structures.rules import Avoid
from expectations.structures.system import StructuresError, System
from expectations.wording import WORDS
from transforms.detector.calibration import Calibration
from transforms.detector.share_estimate import Composition
from transforms.engine.staged import Staged
from transforms.ingest.sources import Source
from transforms.kernels.choosing import order
from transforms.kernels.statistics import sampling, share_bound
from transforms.kernels.statistics.structures import IN_SLICE
from transforms.kernels.text.columns import halves
from transforms.mixture.config import DIMENSIONS, Favour, RatioConfig
from transforms.structures.find import unpack

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
NO_STRUCTURE = "(none)"  # a cell of documents that have none of the favoured structures
SUREST = 0.99  # how sure thinning and resampling take a settled label to be: else all labelled text would go first
UNDECLARED, UNSPECIFIED = "undeclared", "unspecified"  # kinds of synthetic text
# Ranks of `select: cut`, in the order in which text is taken; what goes first is the last. Undeclared text that takes much
# room for what it may hide goes before text that is declared synthetic, by score from the top.
REAL, SPARED, DECLARED, DOUBTFUL, FLAGGED = range(5)
MOST_FOR_ONE = 10  # a token of declared synthetic text is worth at most so many tokens of undeclared text


@dataclasses.dataclass(frozen=True)
class Favoured:
    """The structures that `ratio.favour` lifts, of one of a recipe's systems.

    Attributes:
      system: which column of the patterns is the system's, of `systems` columns.
      bits: of its structures in the pattern, and `names` ("system/structure") in the same order.
    """

    system: int
    systems: int
    bits: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, favour: Favour | None, systems: tuple[System, ...]) -> "Favoured | None":
        """None if no structure is favoured.

        Raises:
          StructuresError: the recipe has no such system, or the system no such structure.
        """
        if favour is None or favour.by != "structure":
            return None
        known = [system.id for system in systems]
        if favour.system not in known:
            hint = nearest(str(favour.system), known) if known else "name its file under `structures`"
            raise StructuresError(f"ratio.favour.system: {favour.system!r} is no system of this recipe; {hint}")
        number = known.index(favour.system)
        system = systems[number]
        for name in favour.structures or ():
            if name not in system.names:
                hint = nearest(name, system.names)
                raise StructuresError(f"ratio.favour.structures: {name!r} is no structure of {system.id}; {hint}")
        unwanted = {rule.structure for rule in system.expectations if isinstance(rule, Avoid)} | {*system.classifiers}
        chosen = favour.structures or [name for name in system.names if name not in unwanted]
        if not chosen:
            names = ", ".join(system.names)
            raise StructuresError(
                f"ratio.favour.structures: nothing of {system.id} is lifted unless it is named; it has {names}"
            )
        bits = tuple(bit for bit, name in enumerate(system.names) if name in chosen)
        return cls(number, len(systems), bits, tuple(f"{system.id}/{system.names[bit]}" for bit in bits))


@dataclasses.dataclass(frozen=True)
class Rule(Staged):
    """What the choice depends on beside the documents."""

    config: RatioConfig
    sources: tuple[str, ...]
    protected: tuple[bool, ...]
    salt: str
    calibration: Calibration | None
    earlier_human: int = 0  # weight of the human text of the earlier releases, for `retain_human`
    favoured: Favoured | None = None
    tokens: str = WORDS  # what a token is called

    @classmethod
    def of(
        cls,
        config: RatioConfig,
        sources: tuple[Source, ...],
        salt: str,
        calibration: Calibration | None,
        earlier: int = 0,
        systems: tuple[System, ...] = (),
        tokens: str = WORDS,
    ) -> "Rule":
        """Of a recipe's parts.

        Raises:
          StructuresError: `favour` names what is not there.
        """
        names, protected = tuple(s.name for s in sources), tuple(s.protected for s in sources)
        return cls(config, names, protected, salt, calibration, earlier, Favoured.of(config.favour, systems), tokens)

    @property
    def unit(self) -> str:
        """What shares are shares of, in words."""
        return self.tokens if self.config.unit == "tokens" else self.config.unit

    @property
    def bands(self) -> int:
        """Of the detector's calibration; scores of different bands cannot be compared."""
        return len(self.calibration.bands) if self.calibration else 1


@dataclasses.dataclass(frozen=True)
class ScoreCounts:
    """What is known of the whole before anything is chosen.

    Attributes:
      flagged: of the documents whose origin rests on the detector, by band, how many are flagged. int64[bands].
      bins: of the same, [documents, weight] by score. int64[2, bands, BINS].
      own: documents that are known to be human, by score. int64[bands, BINS].
      structures: the weight in the slice of the favoured system, then of it what has each favoured structure.
        int64[1 + structures], of nothing if none is favoured.
    """

    flagged: I64
    bins: I64
    own: I64
    structures: I64

    @classmethod
    def none(cls, rule: Rule) -> "ScoreCounts":
        """No document."""
        structures = 1 + len(rule.favoured.names) if rule.favoured else 0
        return cls(
            np.zeros(rule.bands, np.int64),
            np.zeros((2, rule.bands, share_bound.BINS), np.int64),
            np.zeros((rule.bands, share_bound.BINS), np.int64),
            np.zeros(structures, np.int64),
        )

    @classmethod
    def merge(cls, parts: Iterable["ScoreCounts"]) -> "ScoreCounts":
        """Sums, of one part or more."""
        parts = list(parts)
        sums: dict[str, Any] = {one.name: sum(getattr(p, one.name) for p in parts) for one in dataclasses.fields(cls)}
        return cls(**sums)


@dataclasses.dataclass(frozen=True)
class Opinion:
    """What undeclared text counts as, and what favoured structures weigh.

    Attributes:
      residual: the most that documents hide that are not flagged, a share by band. float64[bands].
      unscored: likewise of documents without a score.
      posterior: the chance that a document in each band and bin is a machine's, at the estimated share. float64[bands, BINS].
      rate: the mean of it: the chance of a document without a score.
      bins: the weight of what has a score, by its bin. int64[BINS].
      lifts: how much more documents weigh that have each favoured structure. float64[structures].
    """

    residual: F64
    unscored: float
    posterior: F64
    rate: float
    bins: I64
    lifts: F64

    @functools.cached_property
    def rising(self) -> F64:
        """The posterior, made to rise with the score in every band."""
        return np.maximum.accumulate(self.posterior, axis=1)


def opinion(scores: ScoreCounts, rule: Rule) -> Opinion:
    """From scores to chances and bounds; without a calibration nothing is known of undeclared text but its score.

    The bound and the posterior are those of `shares.py`, so that what is cut to a limit is within it there.
    """
    calibration, lifts = rule.calibration, _lifts(scores.structures, rule.config.favour)
    documents, weight = scores.bins
    bins = weight.sum(axis=0)
    if calibration is None:
        middles = (
            share_bound.LOWEST
            + (np.arange(share_bound.BINS) + 0.5) * (share_bound.HIGHEST - share_bound.LOWEST) / share_bound.BINS
        )
        posterior = np.tile(1 / (1 + np.exp(-middles)), (len(documents), 1))
        return Opinion(np.ones(len(documents)), 1.0, posterior, _mean(posterior, weight, 0.5), bins, lifts)
    composition = Composition(calibration)
    of_language = composition.by_language(documents.sum(axis=1))
    bound = composition.bound(composition.by_language(scores.flagged), documents, scores.own)
    residual = bound.residual[composition.language_of_band]
    posterior = composition.posterior(documents, scores.own)
    return Opinion(residual, bound.of_mix(of_language), posterior, _mean(posterior, weight, 1.0), bins, lifts)


def _lifts(weight: I64, favour: Favour | None) -> F64:
    """(A / A_i)^(1 - power), capped; 1 for a structure that nothing has."""
    if favour is None or not len(weight):
        return np.zeros(0)
    there = weight[1:] > 0
    rarity = np.where(there, weight[0] / np.maximum(weight[1:], 1), 1.0)
    return np.minimum(favour.max_weight, rarity ** (1 - favour.power))


def _mean(posterior: F64, weight: I64, otherwise: float) -> float:
    return float((weight * posterior).sum() / weight.sum()) if weight.sum() else otherwise


class View:
    """An OFFER batch as the mixture sees it. Every attribute is an array with one value per document."""

    def __init__(self, offer: pa.RecordBatch, rule: Rule) -> None:
        self.offer, self.rule = offer, rule
        self.source = offer["source"].to_numpy()
        basis, origin = offer["origin_basis"].to_numpy(), offer["origin"].to_numpy()
        tokens = offer["n_tokens"].to_numpy().astype(np.int64)
        self.weight: I64 = tokens if rule.config.unit == "tokens" else np.ones(len(tokens), np.int64)
        self.labelled: Mask = origin == contracts.SYNTHETIC
        self.human: Mask = origin == contracts.HUMAN
        self.declared: Mask = np.isin(basis, [contracts.BASES.index(name) for name in contracts.DECLARED_BASES])
        self.settled: Mask = ~np.isin(basis, contracts.GUESSED)
        self.scored: Mask = basis == contracts.BASIS_DETECTOR
        self.known_human: Mask = self.human & (basis != contracts.BASIS_DETECTOR)
        self.prior: F64 = offer["machine_prior"].to_numpy() / contracts.PRIOR_UNIT  # of what is human by its date
        score = offer["detector_score"].to_numpy(zero_copy_only=False).astype(np.float32)
        bins = share_bound.bin_of(score)
        self.scored &= bins >= 0
        self.known_human &= bins >= 0
        self.bin: I64 = np.maximum(bins, 0)
        self.band: I64 = np.maximum(offer["detector_band"].to_numpy().astype(np.int64), 0)
        self.protected: Mask = np.array(rule.protected, bool)[self.source]

    @functools.cached_property
    def in_slice(self) -> Mask:
        """Whether the favoured system speaks of each document."""
        return self._pattern >= IN_SLICE

    @functools.cached_property
    def has(self) -> Mask:
        """Which favoured structures each document has. bool[documents, structures]."""
        assert self.rule.favoured, "nothing is favoured by structure"
        bits = np.array(self.rule.favoured.bits, np.uint16)
        return ((self._pattern[:, None] >> bits) & 1).astype(bool) & self.in_slice[:, None]

    @functools.cached_property
    def _pattern(self) -> npt.NDArray[np.uint16]:
        favoured = self.rule.favoured
        assert favoured, "nothing is favoured by structure"
        return unpack(self.offer["structures"], favoured.systems)[:, favoured.system]

    def chance(self, opinion: Opinion) -> F64:
        """How likely each document is synthetic, for the order in which documents go."""
        p = np.where(self.scored, opinion.rising[self.band, self.bin], opinion.rate)
        return np.where(self.settled, np.where(self.labelled, 1.0, self.prior), p)

    def counted(self, opinion: Opinion) -> I64:
        """What each document counts against the limit, in `order.UNITS` of its weight, rounded up."""
        if self.rule.config.count == "estimate":
            hidden = np.where(self.scored, opinion.posterior[self.band, self.bin], opinion.rate)
            parts = np.where(self.settled, np.where(self.labelled, 1.0, self.prior), hidden)
        elif self.rule.config.count == "upper_bound":
            hidden = np.where(self.scored, opinion.residual[self.band], opinion.unscored)
            parts = np.where(self.labelled, 1.0, np.where(self.settled, self.prior, hidden))
        else:
            parts = self.labelled.astype(np.float64)
        return np.ceil(parts * order.UNITS).astype(np.int64)

    def rank(self, opinion: Opinion) -> I64:
        """With `select: cut`, how soon each document goes, the last rank first.

        Leaving out a token that counts as a part c of a synthetic one makes c - L of room under a limit L, one that is
        declared makes 1 - L. So undeclared text goes before the latter if `MOST_FOR_ONE` tokens of it make as much.
        """
        limit = float(self.rule.config.max_share)
        room = self.counted(opinion) / order.UNITS - limit
        doubtful = (room > 0) & (room * MOST_FOR_ONE >= 1 - limit)
        rank = np.where(doubtful, DOUBTFUL, SPARED)
        rank = np.where(self.settled, np.where(self.labelled, DECLARED, REAL), np.where(self.labelled, FLAGGED, rank))
        return np.where(self.protected, REAL, rank)

    def keys(self, opinion: Opinion) -> list[npt.NDArray[np.uint64]]:
        """The order in which documents are taken: keys of each document, one for each of its copies."""
        rule = self.rule
        u = sampling.places(halves(self.offer["doc_id"]), rule.salt, "balance").u
        if rule.config.select == "cut":
            rank = self.rank(opinion)
            undeclared = (rank != REAL) & (rank != DECLARED)
            level = order.level_of(np.clip(self.chance(opinion), 1e-12, 1 - 1e-12))
            return [order.by_rank(rank, np.where(undeclared, level, 0), u)]
        p = self.chance(opinion)
        never = self.protected | (self.settled & ~self.labelled)
        if rule.config.select == "threshold":
            return [order.by_level(np.where(never, 0, order.level_of(p)), u)]
        p = np.minimum(p, SUREST)
        if rule.config.select == "thin":
            return [order.thinned(p, u, never)]
        weight = (1 - p) ** rule.config.resample.bias
        copies = [
            order.sampled(weight, sampling.places(halves(self.offer["doc_id"]), rule.salt, f"copy {number}").u)
            for number in range(rule.config.resample.max_copies)
        ]
        return [np.where(self.protected, u >> np.uint64(12), copies[0]), *copies[1:]]


# The bins below these are never dropped for the synthetic share.
FORCED = {"cut": 1 << 19, "thin": 1 << 19, "threshold": 1 << 12, "resample": 1 << 8}


class Cell(NamedTuple):
    """Documents that no floor or cap tells apart; None where none asks."""

    labelled: bool | None = None
    rank: int | None = None  # with `select: cut`
    protected: bool | None = None
    human: str | None = None  # "fresh", "again" (an earlier release has it), "" for other text
    source: str | None = None
    language: str | None = None
    generator: str | None = None
    kind: str | None = None
    stratum: str | None = None
    structure: str | None = None  # the rarest favoured one that it has, or `NO_STRUCTURE`


def cells_of(view: View, opinion: Opinion) -> tuple[list[Cell], I64]:
    """The cells of a batch, and which one each document is in."""
    config, n = view.rule.config, view.offer.num_rows
    if config.is_budget_only:
        if config.select != "cut":
            return [Cell()], np.zeros(n, np.int64)
        ranks, number = np.unique(view.rank(opinion), return_inverse=True)
        return [Cell(rank=rank) for rank in ranks.tolist()], number.astype(np.int64)
    columns: dict[str, pa.Array] = {"protected": pa.array(view.protected)}
    if config.select == "cut" or config.may_copy:  # what is labelled is never copied
        columns["labelled"] = pa.array(view.labelled)
    if config.select == "cut":
        columns["rank"] = pa.array(view.rank(opinion))
    if config.fresh_human is not None or config.retain_human is not None:
        again = view.offer["again"].to_numpy(zero_copy_only=False)
        columns["human"] = pa.array(np.where(view.human, np.where(again, "again", "fresh"), ""))
    for name in DIMENSIONS:
        values = _told_apart(config, name)
        if values is None or values:
            column = words(view, name)
            if values is not None:
                column = pc.if_else(pc.is_in(column, pa.array(sorted(values))), column, pa.scalar(None, pa.string()))
            columns[name] = column
    if view.rule.favoured:
        columns["structure"] = rarest(view, opinion)
    table = pa.table({**columns, "row": pa.array(np.arange(n))})
    names = [name for name in Cell._fields if name in columns]
    grouped = table.group_by(names, use_threads=False).aggregate([("row", "list")])
    number = np.empty(n, np.int64)
    lists = grouped["row_list"].combine_chunks() if grouped.num_rows else pa.array([], pa.list_(pa.int64()))
    number[lists.flatten().to_numpy()] = np.repeat(np.arange(len(lists)), np.diff(lists.offsets.to_numpy()))
    return [Cell(**row) for row in grouped.select(names).to_pylist()], number


def _told_apart(config: RatioConfig, dimension: str) -> set[str] | None:
    """The values of a dimension that a floor or cap names; None if all of them count on their own."""
    if any(limit.each == dimension for limit in config.limits) or (config.favour and config.favour.by == dimension):
        return None
    named = {limit.values[name] for limit in config.limits for name in DIMENSIONS if name == dimension in limit.values}
    return named | (set(config.kinds) if dimension == "kind" else set())


def rarest(view: View, opinion: Opinion) -> pa.StringArray:
    """Of the favoured structures that each document has, the one that weighs most; of equals the first. string[documents]."""
    assert view.rule.favoured, "nothing is favoured by structure"
    number = np.full(view.offer.num_rows, -1, np.int32)
    for at in np.argsort(-opinion.lifts, kind="stable")[::-1].tolist():
        number[view.has[:, at]] = at
    names = pa.array([NO_STRUCTURE, *view.rule.favoured.names], pa.string())
    return names.take(pa.array(number + 1))


def words(view: View, dimension: str) -> pa.StringArray:
    """A dimension of each document in words, "" where it does not apply. string[documents]."""
    if dimension == "source":
        return pa.array(view.rule.sources, pa.string()).take(pa.array(view.source, pa.int32()))
    column = view.offer[dimension].fill_null("")
    if dimension in ("language", "stratum"):
        return pc.if_else(pc.equal(column, ""), "unknown", column)
    if dimension == "kind":
        column = pc.if_else(pc.equal(column, ""), UNSPECIFIED, column)
        column = pc.if_else(pa.array(view.settled), column, UNDECLARED)
        return pc.if_else(pa.array(view.labelled | ~view.settled), column, "")
    return pc.if_else(pa.array(view.labelled), pc.if_else(pc.equal(column, ""), "unknown", column), "")


class Undeclared(NamedTuple):
    """What rests on the detector or on nothing, of one source.

    Attributes:
      weight, counted: of what is not flagged; `counted` in `order.UNITS`.
      flagged: the weight of the rest.
      audited: the weight of all that an audit of undeclared text is drawn from (also what dates or watermarks settle).
      found: of that, what is called synthetic.
    """

    weight: int
    counted: int
    flagged: int
    audited: int
    found: int


@dataclasses.dataclass(frozen=True)
class Weighed:
    """What there is to choose from.

    Attributes:
      cells: by cell, what lies along its order; with `resample`, every copy of a document.
      documents, weight: of all; `real` of it is not labelled.
      fixed: labelled, in protected sources.
      hidden: the counted weight of what is not labelled, in `order.UNITS`.
      undeclared: of each source.
    """

    cells: dict[Cell, list[order.Profile]]
    documents: int = 0
    weight: int = 0
    real: int = 0
    fixed: int = 0
    hidden: int = 0
    undeclared: tuple[Undeclared, ...] = ()

    @classmethod
    def merge(cls, parts: Iterable["Weighed"]) -> "Weighed":
        """Everything of all parts; profiles are pooled now and then."""
        parts = list(parts)
        cells: dict[Cell, list[order.Profile]] = {}
        for part in parts:
            for cell, profiles in part.cells.items():
                cells.setdefault(cell, []).extend(profiles)
        for profiles in cells.values():
            if len(profiles) > 64 or sum(len(p.bins) for p in profiles[1:]) > 2 * len(profiles[0].bins):
                profiles[:] = [order.merge(profiles)]
        sums: dict[str, int] = {
            name: sum(getattr(part, name) for part in parts)
            for name in ("documents", "weight", "real", "fixed", "hidden")
        }
        by_source = [part.undeclared for part in parts if part.undeclared]
        undeclared = tuple(Undeclared(*map(sum, zip(*of, strict=True))) for of in zip(*by_source, strict=True))
        return cls(cells, **sums, undeclared=undeclared)


def count_scores(offer: pa.RecordBatch, rule: Rule) -> ScoreCounts:
    """The first pass over a batch."""
    view = View(offer, rule)
    found, at = ScoreCounts.none(rule), (view.band[view.scored], view.bin[view.scored])
    np.add.at(found.bins[0], at, 1)
    np.add.at(found.bins[1], at, view.weight[view.scored])
    np.add.at(found.own, (view.band[view.known_human], view.bin[view.known_human]), 1)
    np.add.at(found.flagged, view.band[view.scored & view.labelled], 1)
    if rule.favoured:
        found.structures[0] = view.weight[view.in_slice].sum()
        found.structures[1:] = view.weight @ view.has
    return found


def weigh(offer: pa.RecordBatch, rule: Rule, opinion: Opinion) -> Weighed:
    """The second pass over a batch."""
    view = View(offer, rule)
    if not offer.num_rows:
        return Weighed({})
    cells, number = cells_of(view, opinion)
    sums = sums_of(view, opinion)
    keys = np.concatenate(view.keys(opinion))
    copies = len(keys) // len(number)
    number, along = np.tile(number, copies), np.tile(sums, (copies, 1))
    bins = order.bin_of(keys)
    by_cell = np.lexsort((bins, number))
    bounds = np.searchsorted(number[by_cell], np.arange(len(cells) + 1))
    profiles = {
        cell: [order.profile(bins[rows], along[rows], int(along[rows, order.WEIGHT].max()))]
        for cell, start, end in zip(cells, bounds[:-1], bounds[1:], strict=True)
        if len(rows := by_cell[start:end])
    }
    labelled, counted = view.labelled, sums[:, order.COUNTED]
    return Weighed(
        profiles,
        len(labelled),
        int(view.weight.sum()),
        int(view.weight[~labelled].sum()),
        int(view.weight[labelled & view.protected].sum()),
        int(counted[~labelled].sum()),
        _undeclared(view, counted),
    )


def _undeclared(view: View, counted: I64) -> tuple[Undeclared, ...]:
    rest, audited = ~view.settled & ~view.labelled, ~view.declared
    of = {
        "weight": (rest, view.weight),
        "counted": (rest, counted),
        "flagged": (~view.settled & view.labelled, view.weight),
        "audited": (audited, view.weight),
        "found": (audited & view.labelled, view.weight),
    }
    sums = {name: np.zeros(len(view.rule.sources), np.int64) for name in of}
    for name, (there, values) in of.items():
        np.add.at(sums[name], view.source[there], values[there])
    return tuple(Undeclared(*row) for row in np.stack([sums[name] for name in Undeclared._fields], axis=1).tolist())


def sums_of(view: View, opinion: Opinion) -> I64:
    """`order.COLUMNS` of each document. int64[documents, 4]."""
    weight = view.weight
    return np.stack([weight, weight * view.counted(opinion), weight * view.labelled, np.ones_like(weight)], axis=1)
