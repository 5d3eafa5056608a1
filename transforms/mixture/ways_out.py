"""What would do where a mixture cannot be, or where undeclared text was left out of it: one change in each knob.

A person has four: to cap the undeclared text of a source, to say the origin of a source, to have people label some
documents, and to move the limit. Each is found alone, and is the smallest of its kind.
"""

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts load where they are used

from expectations.wording import number, one_line, plural
from transforms.kernels.choosing import order
from transforms.kernels.statistics import two_strata
from transforms.kernels.statistics.certify import labels_needed
from transforms.mixture.cells import Opinion, Rule, Weighed

Knob = Literal["cap", "declare", "audit", "limit"]
HUNDREDTHS = 10_000  # shares are said in hundredths of a per cent
ALPHA = 0.05  # the risk of a certificate
LIKELY = 0.9  # an audit that would hardly pass is no way out
BY_SCORE = "by score"  # what an audit is about that draws more where scores are high
MOST_FOUND = 100  # an audit that may find more takes thousands of labels


@dataclasses.dataclass(frozen=True)
class Way:
    """One change that would do.

    Attributes:
      knob: which kind of change.
      about: the source, or the limit that gives way; "": all undeclared text. Of an audit, how it is drawn: `BY_SCORE` or "".
      value: the new limit or cap, how many labels, or the tokens (or documents) whose origin is declared.
      said: in words.
      setting: what the recipe would say, as KEY=VALUE of `--set`; "": it is not one setting.
      limit: of an audit: the share to certify.
    """

    knob: Knob
    about: str
    value: float
    said: str
    setting: str = ""
    limit: float | None = None

    def words(self) -> str:
        """In one line; names come from the data."""
        return one_line(self.said + (f" (--set '{self.setting}')" if self.setting else ""))


class Auditable(NamedTuple):
    """Text whose origin an audit would settle, in the unit of the share.

    Attributes:
      bins: of what has a score, by its bin. int64[share_bound.BINS].
      weight: of all of it.
      sources: their names.
    """

    bins: npt.NDArray[np.int64]
    weight: int
    sources: tuple[str, ...]


def labels_for(most: float, unit: str, asked: Auditable, seen: float = 0.0) -> Way | None:
    """The audit that would do if at most a share `most`, in (0, 1), of the undeclared text may be a machine's.

    It certifies that with a chance of `LIKELY` if a quarter of it is, or `seen`, the share that is called so by now, if that
    is more. Draws are by score where that takes fewer. None: no audit of a size that people would do is likely to.
    """
    most = _outward(most, "min")  # what is certified is what is said
    if seen >= most:
        return None
    rate, k, n = max(seen, most / 4), 0, labels_needed(0, most, ALPHA)
    while scipy.special.bdtr(k, n, rate) < LIKELY and k < MOST_FOUND:
        k += 1
        n = labels_needed(k, most, ALPHA)
    if k >= MOST_FOUND:
        return None
    command = f"`audit sample{'' if unit == 'documents' else ' --by tokens'} --n "
    whose = f"source {asked.sources[0]}" if len(asked.sources) == 1 else "undeclared origin"
    cut = two_strata.cut_by_scores(asked.bins, max(0, asked.weight - int(asked.bins.sum())), rate)
    fewer = two_strata.labels_needed(cut, most, ALPHA, LIKELY, n - 1) if cut is not None else None
    if fewer is not None:
        said = (
            f"label {plural(fewer, 'document')} of {whose}, more of them where scores are high ({command}{fewer} --by-score`): "
            f"if {share(rate, 'max')} of their {unit} are a machine's, nine times in ten that certifies at most "
        )
        return Way("audit", BY_SCORE, fewer, f"{said}{share(most, 'min')}", limit=most)
    found = "none is" if not k else f"at most {k} {'is' if k == 1 else 'are'}"
    said = f"label {plural(n, 'document')} of {whose} ({command}{n}`): if {found} a machine's, at most "
    return Way("audit", "", n, f"{said}{share(most, 'min')} of their {unit} are", limit=most)


def share(value: float | Fraction, sense: str) -> str:
    """In hundredths of a per cent, so that the change that is named surely does."""
    return f"{_outward(value, sense) * 100:.6g}%"


def _outward(value: float | Fraction, sense: str) -> float:
    steps = math.ceil(value * HUNDREDTHS - 1e-4) if sense == "max" else math.floor(value * HUNDREDTHS + 1e-4)
    return steps / HUNDREDTHS


def auditable_of(rule: Rule, weighed: Weighed, opinion: Opinion) -> Auditable:
    """What an audit of undeclared text is drawn from."""
    names = tuple(name for name, one in zip(rule.sources, weighed.undeclared, strict=True) if one.audited)
    return Auditable(opinion.bins, sum(one.audited for one in weighed.undeclared), names)


def ways_out(rule: Rule, weighed: Weighed, opinion: Opinion) -> tuple[Way, ...]:
    """With nothing but a limit of the synthetic share to keep to: what would leave all declared text in.

    What the detector flags is taken to be left out in any case.
    """
    return tuple(_Room(rule, weighed, opinion).ways()) if weighed.undeclared and rule.config.count != "labelled" else ()


class _Room:
    """Weights in exact arithmetic: of everything but flagged text, declared synthetic, and hidden."""

    def __init__(self, rule: Rule, weighed: Weighed, opinion: Opinion) -> None:
        self.rate, self.asked = opinion.rate, auditable_of(rule, weighed, opinion)
        self.rule, self.weighed, self.limit, self.unit = rule, weighed, rule.config.max_share, rule.unit
        flagged = sum(one.flagged for one in weighed.undeclared)
        self.total = weighed.weight - flagged
        self.declared = weighed.weight - weighed.real - flagged
        self.hidden = [Fraction(one.counted, order.UNITS) for one in weighed.undeclared]
        self.dated = Fraction(weighed.hidden, order.UNITS) - sum(self.hidden)
        self.weight = [one.weight for one in weighed.undeclared]
        self.sources = sorted(
            (number for number, weight in enumerate(self.weight) if weight), key=lambda at: -self.hidden[at]
        )

    def left(self, hidden: Fraction, total: int) -> Fraction:
        """The room under the limit that is left in a release of this weight, if undeclared text hides so much."""
        return self.limit * total - self.declared - self.dated - hidden

    def ways(self) -> Iterator[Way]:
        if not self.sources or not self.total:
            return
        yield from self._caps()
        yield from self._declarations()
        yield from self._audits()
        share_then = (self.declared + self.dated + sum(self.hidden)) / self.total
        if share_then <= 1:
            new = _outward(share_then, "max")
            key = "max_synthetic_share" if self.rule.config.real_to_synthetic is None else "real_to_synthetic"
            value = f"{new:g}" if key == "max_synthetic_share" else f'"{1 - new:.6g}:{new:.6g}"'
            said = f"allow {share(share_then, 'max')} synthetic text instead of {share(self.limit, 'max')}"
            yield Way("limit", "max_synthetic_share", new, said, f"ratio.{key}={value}")

    def _audits(self) -> Iterator[Way]:
        """Of everything, flagged text too: what a release holds that is made to be labelled."""
        audited = sum(one.audited for one in self.weighed.undeclared)
        found = sum(one.found for one in self.weighed.undeclared)
        declared = self.weighed.weight - self.weighed.real - found
        most = (self.limit * self.weighed.weight - declared) / audited
        if not 0 < most < 1:
            return
        way = labels_for(float(most), self.unit, self.asked, self._seen(audited, found))
        if way is not None:
            yield way

    def _seen(self, audited: int, found: int) -> float:
        """What share of it is called synthetic, or estimated to be: so much people will find, if that is true."""
        undeclared = sum(one.weight + one.flagged for one in self.weighed.undeclared)
        return max(found / audited, self.rate * undeclared / audited)

    def _caps(self) -> Iterator[Way]:
        """Of one source, or where that is not enough of all undeclared text."""
        found = [way for at in self.sources if (way := self._cap([at])) is not None]
        if not found and (way := self._cap(self.sources)) is not None:
            found = [way]
        yield from found

    def _cap(self, capped: list[int]) -> Way | None:
        """At most how much of these sources' undeclared text leaves room for all else; or where declared text alone is too
        much, for all else but that, of which then goes what does not fit.
        """
        weight, hidden = sum(self.weight[at] for at in capped), sum(self.hidden[at] for at in capped)
        rest, others = self.total - weight, sum(self.hidden, Fraction(0)) - hidden
        room = self.left(others, rest)
        fits = room > 0
        if not fits:
            rest -= self.declared
            room = self.limit * rest - self.dated - others
        if room <= 0 or hidden <= self.limit * weight:
            return None
        most = room / (hidden / weight - self.limit)
        cap = _outward(most / (rest + most), "min")
        if most >= weight or cap <= 0:
            return None
        name = self.rule.sources[capped[0]] if len(capped) == 1 else ""
        of = f"source {name}" if name else "all sources"
        said = f"cap the undeclared text of {of} at {share(cap, 'min')} of the release: "
        if fits:
            said += f"about {math.floor(most):,} of its {weight:,} {self.unit} stay"
        else:
            said += f"of it and of the {self.declared:,} {self.unit} that are labelled synthetic stays what fits"
        member = f"source: {name}, " if name else ""
        setting = f"ratio.limits=[{{{member}kind: undeclared, max: {cap:g}}}]"
        return Way("cap", name, cap, said, setting)

    def _declarations(self) -> Iterator[Way]:
        """Of one source, or where none would do of all."""
        everything = sum(self.hidden, Fraction(0))
        alone = [at for at in self.sources if self.left(everything - self.hidden[at], self.total) >= 0]
        for at in alone:
            yield self._declaration([at])
        if not alone and len(self.sources) > 1 and self.left(Fraction(0), self.total) >= 0:
            yield self._declaration(self.sources)

    def _declaration(self, declared: list[int]) -> Way:
        names = ", ".join(self.rule.sources[at] for at in declared)
        weight = sum(self.weight[at] for at in declared)
        hidden = number(float(sum(self.hidden[at] for at in declared)) / weight, "share")
        said = f"say `origin: human` of source {names}, if you know it: its {weight:,} undeclared {self.unit} are counted as "
        return Way("declare", names, weight, f"{said}up to {hidden} synthetic")
