"""Limits of a share: one formula for what is measured and for what moved between two releases."""

import math


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's score limits of a share of `n` documents, `z` standard errors wide (1927). Both lie in [0, 1].

    Args:
      share: in [0, 1].
      n: above 0; it need not be whole.
      z: a quantile of the normal distribution.
    """
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    margin = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - margin), min(1.0, middle + margin)
