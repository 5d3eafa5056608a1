"""The table of all metrics, where whoever needs a fact about one looks it up.

Suites and their JSON Schema, verdict, report, card, `diff`, `history`, `propose` and the reference pages of the docs do. Of
a metric of another version, which is not here, nothing is known but its name.
"""

from collections.abc import Mapping

from expectations.metrics.contents import CONTENTS
from expectations.metrics.diversity import DIVERSITY
from expectations.metrics.duplicates import DUPLICATES
from expectations.metrics.metric import NUMBER, Metric
from expectations.metrics.mixture import MIXTURE
from expectations.metrics.origins import ORIGINS

_DECLARED = (*CONTENTS, *ORIGINS, *DUPLICATES, *MIXTURE, *DIVERSITY)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _DECLARED}
assert len(METRICS) == len(_DECLARED), "a metric is declared twice"


def find(name: str) -> Metric:
    """What is known of a metric; of one that this version does not know, nothing but its name."""
    return METRICS.get(name) or Metric(name, name, NUMBER)
