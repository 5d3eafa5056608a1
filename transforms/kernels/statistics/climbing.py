"""The weights of a mixture that explain counts best: expectation and maximisation, compiled, as a bound takes dozens of fits."""

import numpy as np

from transforms.kernels.compiled import kernel

_PASSES, _STEP = 400, 1.7  # of EM; a step beyond 1 gets there sooner and still rises (Salakhutdinov and Roweis 2003)
_CLOSE = 2e-4  # of the log-likelihood, between passes


@kernel("f64[] f64[,] i64 f64 f64[]! f64[]!")
def climb(target, parts, split, q, weight, ratio):
    """Over-relaxed EM from some weights; the share is held at q if that is not negative. `ratio` is memory for a target."""
    n = 0.0
    for cell in range(len(target)):
        n += target[cell]
    before = -np.inf
    for _ in range(_PASSES):
        now = 0.0
        for cell in range(len(target)):
            mixed = 0.0
            for part in range(len(weight)):
                mixed += weight[part] * parts[part, cell]
            if target[cell] > 0:
                now += target[cell] * np.log(mixed)
            ratio[cell] = target[cell] / mixed
        if now - before < _CLOSE and now >= before:
            break
        before = now
        left = right = 0.0
        for part in range(len(weight)):
            rise = 0.0
            for cell in range(len(target)):
                rise += parts[part, cell] * ratio[cell]
            weight[part] *= (rise / n) ** _STEP
            left += weight[part] * (part < split)
            right += weight[part] * (part >= split)
        for part in range(len(weight)):
            if q < 0:
                weight[part] /= left + right
            elif part < split:
                weight[part] *= (1 - q) / max(left, 1e-300)
            else:
                weight[part] *= q / max(right, 1e-300)
            weight[part] = max(weight[part], 1e-14)
