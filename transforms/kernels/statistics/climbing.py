"""The weights of a mixture that explain counts best: expectation and maximisation, compiled, as a bound takes dozens of fits."""

import numpy as np

from transforms.kernels.compiled import kernel

_PASSES, _STEP = 400, 1.7  # of EM; a step beyond 1 gets there sooner and still rises (Salakhutdinov and Roweis 2003)
_CLOSE = 2e-4  # of the log-likelihood, between passes
_EDGE = 1e-9  # how near a share comes to 0 and 1, so that no cell is impossible
_STEEPEST, _HALVINGS = 30.0, 50  # of the multiplier that holds a share: sinh of it reaches 5e12


@kernel("f64[]! f64[] f64 f64[]!")
def _hold(shares, documents, total, found):
    """Shares by length that hold so many machine documents, and else explain most: f log s + (1 - f) log(1 - s) is greatest.

    That is where f - s = m s (1 - s) in each length, with one multiplier m for all. `found` is memory for f.
    """
    for at in range(len(shares)):
        found[at] = shares[at]
    low, high = -_STEEPEST, _STEEPEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        m = np.sinh(middle)
        now = 0.0
        for at in range(len(shares)):
            root = np.sqrt(max((m + 1) * (m + 1) - 4 * m * found[at], 0.0))
            share = 2 * found[at] / (m + 1 + root) if m > -1 else (m + 1 - root) / (2 * m)
            shares[at] = min(max(share, 1e-12), 1 - 1e-12)
            now += documents[at] * shares[at]
        if now > total:
            low = middle
        else:
            high = middle


@kernel("f64[,] i64 f64[] f64[]! f64[]!")
def _mix(parts, split, weight, human, machine):
    """The chance of each cell for the components of each side together: part by part, so that cells are added side by side."""
    human[:] = 0.0
    machine[:] = 0.0
    for part in range(split):
        for cell in range(len(human)):
            human[cell] += weight[part] * parts[part, cell]
    for part in range(split, len(weight)):
        for cell in range(len(human)):
            machine[cell] += weight[part] * parts[part, cell]


@kernel("f64[,] i64 i64[] f64[] f64[] f64[]! f64[]!")
def _weigh(cells, split, length, shares, ratio, weight, rise):
    """The next weights of the components of each side, by how much of the documents each explains; `rise` is memory for that."""
    rise[:] = 0.0
    for cell in range(len(ratio)):  # cell by cell, so that parts are added side by side
        share, own = shares[length[cell]], ratio[cell]
        for part in range(np.uint64(split)):  # unsigned, or every place is looked at whether it counts from the end
            rise[part] += cells[cell, part] * own * (1 - share)
        for part in range(np.uint64(split), np.uint64(len(weight))):
            rise[part] += cells[cell, part] * own * share
    left = right = 0.0
    for part in range(len(weight)):
        weight[part] *= rise[part] ** _STEP
        left += weight[part] * (part < split)
        right += weight[part] * (part >= split)
    for part in range(len(weight)):
        weight[part] = max(weight[part] / max(left if part < split else right, 1e-300), 1e-14)


@kernel("f64[] f64[,] f64[,] i64 i64[] f64[] f64 f64[]! f64[]! f64[]! f64[]! f64[]! f64[]! f64[]!")
def climb(target, parts, cells, split, length, documents, q, weight, shares, found, rise, human, machine, ratio):
    """Over-relaxed EM from some weights and shares of machine documents by length.

    Their mean over documents is held at q if that is not negative. `cells` are the parts, turned. `found` is memory for
    lengths, `rise` for parts, and the last three are for cells.
    """
    n = 0.0
    for at in range(len(documents)):
        n += documents[at]
    before = -np.inf
    for _ in range(_PASSES):
        now = 0.0
        for at in range(len(found)):
            found[at] = 0.0
        _mix(parts, split, weight, human, machine)
        for cell in range(len(target)):
            share = shares[length[cell]]
            mixed = (1 - share) * human[cell] + share * machine[cell]
            if target[cell] > 0:
                now += target[cell] * np.log(mixed)
            ratio[cell] = target[cell] / mixed
            found[length[cell]] += ratio[cell] * share * machine[cell]
        if now - before < _CLOSE and now >= before:
            break
        before = now
        _weigh(cells, split, length, shares, ratio, weight, rise)
        for at in range(len(shares)):
            told = found[at] / documents[at] if documents[at] > 0 else shares[at]
            told = min(max(told, _EDGE), 1 - _EDGE)
            odds = shares[at] / (1 - shares[at])
            odds *= (told / (1 - told) / odds) ** _STEP
            shares[at] = min(max(odds / (1 + odds), _EDGE), 1 - _EDGE)
        if q >= 0:
            _hold(shares, documents, n * q, found)
