"""AUDIT + labels -> a certificate: how much of a release is synthetic at most, as people found it.

The bound is that of transforms/kernels/statistics/certify.py on the audit stream. `undetermined` counts as
synthetic in the bound and as human in the sensitivity analysis. A certificate holds no time: the same sample and labels give
the same bytes.
"""

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pydantic

from expectations import contracts
from expectations.loading import LoadError, parse_json
from expectations.wording import EITHER, stable
from transforms.audit.draw import AuditError, design_of
from transforms.kernels.statistics import certify, two_strata
from transforms.kernels.statistics.share_bound import clopper_pearson_lower
from transforms.kernels.text.columns import from_hexadecimal
from transforms.origin.label_file import Labels
from transforms.origin.review_labels import as_bytes

MIN_AGREEMENT = 0.6  # Krippendorff's alpha under which reviewers do not mean the same thing by their labels


@dataclasses.dataclass(frozen=True)
class CertifiedShare:
    """A share with limits; `value` is None where reviewers do not tell the two origins apart."""

    value: float | None
    lower: float
    upper: float


@dataclasses.dataclass(frozen=True)
class Reviewer:
    """What one reviewer did. Rates are on the gold items they labelled, None where there were none; `labels` counts all."""

    name: str
    labels: int
    sensitivity: float | None
    specificity: float | None


@dataclasses.dataclass(frozen=True)
class Reviewing:
    """How good the panel's answers were on gold items, undetermined counted as synthetic.

    The bound uses `sensitivity_lower` and `false_alarms_lower`.
    """

    synthetic: int
    human: int
    sensitivity: float | None
    specificity: float | None
    sensitivity_lower: float
    false_alarms_lower: float


@dataclasses.dataclass(frozen=True)
class Weights:
    """What there is, in documents or tokens, every copy counted: in all, declared, of that synthetic, and audited."""

    all: int
    declared: int
    synthetic: int
    audited: int


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What labels say of a release.

    Attributes:
      release, manifest_sha256: which.
      population, source, by, documents, tokens: what was drawn from, and what the share is a share of.
      whole, others: what there is of that source (or of all) in the unit of the share, and of the other sources.
      top: the part of the audited weight that the documents with the highest scores are, of which three of twenty draws are;
        None: the draw was uniform.
      planned, first_look, look, salt: the design. n: draws that count.
      synthetic, undetermined, human: how they were called.
      alpha: chance that the bound is wrong; `level`, what this look may spend of it.
      share: point, and one-sided limits at `level`; undetermined counts as synthetic above, as human below.
      undetermined_as_human: the same point and upper limit if every undetermined one were human.
      two_sided: limits at `level` together, for comparing with an estimate.
      agreement: Krippendorff's alpha over all items with two votes or more; None: not known.
      void: why nothing is certified, whatever the numbers; empty: it is not void.
      warnings: what a reader should know beside the assumptions.
      unit: what the release calls its tokens.
    """

    __pydantic_config__ = pydantic.ConfigDict(extra="forbid")

    release: str
    manifest_sha256: str
    sample_sha256: str
    labels: tuple[tuple[str, str], ...]
    population: Literal["undeclared", "all"]
    source: str | None
    by: Literal["documents", "tokens"]
    documents: int
    tokens: int
    whole: Weights
    others: Weights
    top: float | None
    planned: int
    first_look: int | None
    look: int | None
    salt: str
    n: int
    synthetic: int
    undetermined: int
    human: int
    alpha: float
    level: float
    share: CertifiedShare
    undetermined_as_human: CertifiedShare
    two_sided: CertifiedShare
    gold: Reviewing | None
    reviewers: tuple[Reviewer, ...]
    agreement: float | None
    limit: float
    certified: bool
    void: tuple[str, ...]
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]
    unit: str = EITHER
    format: Literal["lowbackground.certificate/2"] = "lowbackground.certificate/2"

    @property
    def of(self) -> str:
        """What the share is a share of, as the release calls it."""
        return self.unit if self.by == "tokens" else self.by

    def to_json(self) -> bytes:
        """Sorted keys, no time."""
        return orjson.dumps(dataclasses.asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"

    @classmethod
    def from_json(cls, text: bytes, where: str) -> "Certificate":
        """Read what `to_json` wrote.

        Raises:
          AuditError: it is no certificate.
        """
        try:
            parse_json(text, where)
            return pydantic.TypeAdapter(cls).validate_json(text)
        except LoadError as error:
            raise AuditError(f"{error}; `audit certify` writes certificates") from None
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise AuditError(f"{where}: no certificate ({place}: {first['msg']}); `audit certify` writes one") from None


@dataclasses.dataclass(frozen=True)
class Terms:
    """What is asked of the labels: the limit to certify, at what risk, at which of two looks, with how many votes an item."""

    limit: float = 0.05
    alpha: float = 0.05
    look: int | None = None
    votes: int = 1


def make_certificate(sample: pa.Table, sample_sha256: str, labels: Labels, terms: Terms) -> Certificate:
    """What the labels of a sample certify.

    Raises:
      AuditError: it is no sample, or the labels are not those of a first part of it.
    """
    about = design_of(sample)
    votes = labels.of(hashes_of(sample), labels.total)
    called = certify.most_votes(np.where(votes.sum(axis=1, keepdims=True) >= terms.votes, votes, 0))
    draws, first = _by_draw(sample, called, about["n"])
    n, level = _counted(draws, first, about, terms)
    drawn, strata = _drawn(about, n)
    of = {
        word: tuple(int((draws[:n][stratum] == code).sum()) for stratum in strata)
        for code, word in enumerate(contracts.ORIGINS)
    }
    gold = _gold(sample, called)
    synthetic = of["synthetic"]
    wide = tuple(a + b for a, b in zip(synthetic, of["unknown"], strict=True))
    lower, upper = certify.share_limits(synthetic, wide, drawn, level, gold)
    _, as_human = certify.share_limits(synthetic, synthetic, drawn, level, gold and (gold[0], gold[0]))
    sides = certify.share_limits(synthetic, wide, drawn, level / 2, gold)
    point = certify.share_point(drawn.point(wide), gold and gold[1])
    agreement = certify.agreement(votes)
    void, warnings = _doubts(agreement, gold, sample, votes)
    return Certificate(
        release=about["release"],
        manifest_sha256=about["manifest_sha256"],
        sample_sha256=sample_sha256,
        labels=labels.files,
        population=about["population"],
        source=about["source"],
        by=about["by"],
        documents=about["documents"],
        tokens=about["tokens"],
        unit=about.get("unit", EITHER),
        whole=Weights(**about["whole"]),
        others=Weights(**about["others"]),
        top=drawn.top if isinstance(drawn, certify.TwoStrata) else None,
        planned=about["n"],
        first_look=about["first_look"],
        look=terms.look,
        salt=about["salt"],
        n=n,
        synthetic=sum(synthetic),
        undetermined=sum(of["unknown"]),
        human=sum(of["human"]),
        alpha=terms.alpha,
        level=level,
        share=_share(point, lower, upper),
        undetermined_as_human=_share(certify.share_point(drawn.point(synthetic), gold and gold[0]), lower, as_human),
        two_sided=_share(point, *sides),
        gold=_reviewing(gold, level),
        reviewers=_reviewers(sample, labels),
        agreement=None if math.isnan(agreement) else stable(agreement),
        limit=terms.limit,
        certified=not void and upper <= terms.limit,
        void=void,
        warnings=warnings,
        assumptions=_assumptions(gold, n < about["n"] and terms.look is None, n, about),
    )


def _drawn(about: dict[str, Any], n: int) -> tuple[certify.Uniform | certify.TwoStrata, list[npt.NDArray[np.bool_]]]:
    """How the first n draws were drawn, and which of them are of each stratum."""
    if about["top"] is None:
        once = about["by"] == "documents" and not about["copied"]
        return certify.Uniform(n, about["documents"] if once else None), [np.ones(n, bool)]
    top = two_strata.of_top(n)
    drawn = certify.TwoStrata(two_strata.draws_of(n), about["top"]["weight"] / about["whole"]["audited"])
    return drawn, [top, ~top]


def hashes_of(sample: pa.Table) -> npt.NDArray[np.bytes_]:
    """The content hash of each item, S16[items]."""
    try:
        return as_bytes(from_hexadecimal(sample["content_hash"].combine_chunks()))
    except ValueError as error:
        raise AuditError(f"the sample is damaged: content_hash is {error}; draw it again") from None


def _by_draw(
    sample: pa.Table, called: npt.NDArray[np.int8], n: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    """What each draw's document was called, int8[n], and whether the draw is the document's first, bool[n].

    A document that was drawn twice counts twice.
    """
    hits = sample["draws"].combine_chunks()
    draws = hits.flatten().to_numpy()
    if len(draws) != n or not np.array_equal(np.sort(draws), np.arange(n)):
        raise AuditError("the sample is damaged: not every draw is there once; draw it again")
    found = np.empty(n, np.int8)
    times = np.diff(hits.offsets.to_numpy())
    found[draws] = np.repeat(called, times)
    first = np.zeros(n, bool)
    first[draws[hits.offsets.to_numpy()[:-1][times > 0]]] = True
    return found, first


def _counted(
    draws: npt.NDArray[np.int8], first: npt.NDArray[np.bool_], about: dict[str, Any], terms: Terms
) -> tuple[int, float]:
    """How many draws count, and the risk that this look may take.

    Raises:
      AuditError: the labels are not those of a prefix, or the look was not planned.
    """
    labelled = draws != certify.NO_VOTE
    prefix = int(np.argmin(labelled)) if not labelled.all() else len(draws)
    if (terms.look is None) != (about["first_look"] is None):
        if terms.look is None:
            raise AuditError(
                f"the sample was drawn for two looks, after {about['first_look']} draws and after all of "
                f"{about['n']}; say --look 1 or --look 2"
            )
        raise AuditError(
            "the sample was drawn for one look; draw one with --first-look to look twice. A look that was not "
            "planned makes the bound wrong more often than it says"
        )
    if terms.look is not None:
        n = about["first_look"] if terms.look == 1 else about["n"]
        if prefix < n:
            raise AuditError(f"look {terms.look} is after {n} draws, and the labels end at {prefix}; label the rest")
        return n, terms.alpha / 2
    if not prefix:
        raise AuditError(
            f"the first of {about['n']} audited documents has no label (or too few votes); label them in the "
            "order in which `review serve` shows them"
        )
    beyond = int((labelled & first)[prefix:].sum())  # what is drawn again has its label from before
    if beyond:
        raise AuditError(
            f"draw {prefix + 1} of {about['n']} has no label (or too few votes), and {beyond} after it have. "
            "Labels must be those of a first part of the sample, in hash order: who picks what to label "
            "picks the result. Label the ones in between"
        )
    return prefix, terms.alpha


def _gold(sample: pa.Table, called: npt.NDArray[np.int8]) -> tuple[certify.Gold, certify.Gold] | None:
    known = _known(sample)
    return certify.gold_counts(known, called) if (known != contracts.UNKNOWN).any() else None


def _known(sample: pa.Table) -> npt.NDArray[np.int8]:
    """The true origin of gold items, int8[items]; unknown elsewhere."""
    words = pc.fill_null(sample["gold_label"], "unknown")
    found = pc.index_in(words, pa.array(contracts.ORIGINS, pa.string())).combine_chunks()
    return pc.fill_null(found, contracts.UNKNOWN).to_numpy(zero_copy_only=False).astype(np.int8)


def _doubts(
    agreement: float, gold: tuple[certify.Gold, certify.Gold] | None, sample: pa.Table, votes: npt.NDArray[np.int64]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What makes a certificate void, and what is only a warning.

    Alpha compares disagreement with that of votes paired at random. Where hardly anything is synthetic, one disagreement
    takes it to zero (docs/decisions), so it voids an audit only if it was measured on gold items too, half of which are.
    """
    void, warnings = [], []
    if agreement < MIN_AGREEMENT:
        low = f"Krippendorff's alpha is {agreement:.2f}, under {MIN_AGREEMENT}"
        if (votes[_known(sample) != contracts.UNKNOWN].sum(axis=1) > 1).any():
            void.append(f"reviewers do not agree: {low}; settle what the labels mean, and label again")
        else:
            warnings.append(f"{low}; where hardly anything is synthetic it says little, with gold items it would")
    if gold and not (gold[1].synthetic and gold[1].human):
        void.append("no gold item of one of the two origins is labelled, so the reviewers' errors are not known")
    return tuple(void), tuple(warnings)


def _share(value: float | None, lower: float, upper: float) -> CertifiedShare:
    low, high = stable(lower), stable(upper)
    assert low is not None
    assert high is not None
    return CertifiedShare(stable(value), low, high)


def _rate(part: int, whole: int) -> float | None:
    return stable(part / whole) if whole else None


def _reviewing(gold: tuple[certify.Gold, certify.Gold] | None, level: float) -> Reviewing | None:
    if gold is None:
        return None
    wide = gold[1]
    caught, alarmed = (
        clopper_pearson_lower(h, m, level / 3) for h, m in ((wide.caught, wide.synthetic), (wide.alarmed, wide.human))
    )
    return Reviewing(
        synthetic=wide.synthetic,
        human=wide.human,
        sensitivity=_rate(wide.caught, wide.synthetic),
        specificity=_rate(wide.human - wide.alarmed, wide.human),
        sensitivity_lower=stable(caught) or 0.0,
        false_alarms_lower=stable(alarmed) or 0.0,
    )


def _reviewers(sample: pa.Table, labels: Labels) -> tuple[Reviewer, ...]:
    known, hashes = _known(sample), hashes_of(sample)
    found = []
    for name, votes in labels.votes.items():
        called = certify.most_votes(labels.of(hashes, votes))
        wide = certify.gold_counts(known, called)[1]
        count = int((called != certify.NO_VOTE).sum())
        rates = _rate(wide.caught, wide.synthetic), _rate(wide.human - wide.alarmed, wide.human)
        found.append(Reviewer(name, count, *rates))
    return tuple(one for one in found if one.labels)


def _assumptions(gold: object, early: bool, n: int, about: dict[str, Any]) -> tuple[str, ...]:
    found = ["the sample was drawn once, and no draw or document of it was left out"]
    if gold is None:
        found.append("the reviewers' labels are right: no gold item measured their errors")
    else:
        found.append("reviewers err on the audited documents as they do on the gold items")
    if early:
        found.append(
            f"where to stop ({n} of {about['n']} draws) was decided without a look at the labels; "
            "who may want to stop early draws with --first-look"
        )
    return tuple(found)
