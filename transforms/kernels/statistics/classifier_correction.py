"""The share of a structure that an imperfect classifier looks for, corrected by what it got wrong on a labelled sample.

A classifier that finds a structure in t of the documents that have it and in f of those that have not finds it in
c = q t + (1 - q) f of documents of which q have it, so q = (c - f) / (t - f) (Rogan and Gladen 1978, Am. J. Epidemiol.
107). The limits of a share are those of `certify.share_limits`: exact ones of the three counts at a third of the risk each,
at their worst corner.

Of a ratio of two shares under the same errors t is not needed at all:

    q_1 / q_2 = (c_1 - f) / (c_2 - f),

which rises with c_1, falls with c_2, and is monotone in f. So its lower limit is the smaller value at the two limits of f, with
c_1 at its lower and c_2 at its upper one, each of the four at a quarter of the risk (Bonferroni: nothing is assumed of how
the two samples share documents). Where c_2 may be no more than false alarms, nothing is known of the ratio.
"""

from collections.abc import Callable

from transforms.kernels.statistics.certify import Gold, Uniform, share_limits, share_point
from transforms.kernels.statistics.share_bound import clopper_pearson_lower, clopper_pearson_upper
from transforms.kernels.statistics.structures import UNKNOWN, Interval

RISK = 0.05
Found = tuple[int, int]  # in how many documents it was found, of how many


def share(found: Found, errors: Gold, risk: float = RISK) -> Interval:
    """The corrected share of documents that have a structure, with one-sided limits at level 1 - risk.

    Args:
      found: in how many documents the classifier found it, of how many.
      errors: what it did on the sample; it found more of what has the structure than of what has not.
      risk: chance that a limit is wrong.
    """
    k, n = found
    point = share_point(k / n if n else float("nan"), errors)
    if point is None:
        return UNKNOWN
    lower, upper = share_limits((k,), (k,), Uniform(n), risk, (errors, errors))
    return Interval(point, lower, upper)


def ratio(one: Found, other: Found, errors: Gold, risk: float = RISK) -> Interval:
    """A corrected share as a fraction of another under the same errors, with one-sided limits at level 1 - risk.

    Args:
      one, other: in how many documents the classifier found the structure, of how many.
      errors: see `share`.
      risk: chance that a limit is wrong.
    """
    if not one[1] or not other[1]:
        return UNKNOWN
    above, below = (share_point(k / n, errors) for k, n in (one, other))
    if above is None or not below:
        return UNKNOWN
    level = risk / 4
    alarms = [limit(errors.alarmed, errors.human, level) for limit in (clopper_pearson_lower, clopper_pearson_upper)]
    least = _worst(clopper_pearson_lower(*one, level), clopper_pearson_upper(*other, level), alarms, min)
    most = _worst(clopper_pearson_upper(*one, level), clopper_pearson_lower(*other, level), alarms, max)
    value = above / below
    return Interval(value, min(value, least), max(value, most))


def _worst(one: float, other: float, alarms: list[float], worst: Callable[..., float]) -> float:
    if other <= max(alarms):  # there may be none of it in the other
        return 0.0 if worst is min else float("inf")
    return float(worst(max(0.0, one - f) / (other - f) for f in alarms))
