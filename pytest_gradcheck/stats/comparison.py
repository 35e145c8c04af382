"""Compare the means and the spreads of two samples, coordinate by coordinate.

`welch` is Welch's t test (1947), `paired` Student's for pairs, `rank_sum` that of Mann and Whitney
(1947) with the normal approximation, whose tails are wider than the true ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.stats.distributions import normal_two_sided, t_two_sided

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

__all__ = ["paired", "rank_sum", "residuals", "welch"]


def welch(a: Rows, b: Rows, ignored: float | Rows = 0.0) -> Rows:
    """Return the two-sided probability of every difference of means, ``(numbers,)``.

    Args:
        a: sample, ``(replicates, numbers)``.
        b: the other one, as many numbers.
        ignored: the part of each difference that is no evidence, for it may be rounding.
    """
    va, vb = a.var(axis=0, ddof=1) / len(a), b.var(axis=0, ddof=1) / len(b)
    variance = va + vb
    with np.errstate(divide="ignore", invalid="ignore"):
        dof = variance**2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return _probabilities(a.mean(axis=0) - b.mean(axis=0), variance, dof, ignored)


def paired(a: Rows, b: Rows, ignored: float | Rows = 0.0) -> Rows:
    """Return the same as `welch` for rows that belong together: those of equal seeds."""
    difference = a - b
    variance = difference.var(axis=0, ddof=1) / len(a)
    return _probabilities(
        difference.mean(axis=0), variance, np.full(variance.shape, len(a) - 1.0), ignored
    )


def rank_sum(a: Rows, b: Rows) -> float:
    """Return the two-sided probability that neither of two samples, ``(n,)``, is the larger.

    Ties count half and narrow the variance.
    """
    both = np.concatenate([a, b])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2.0)[inverse]
    m, n, whole = len(a), len(b), len(both)
    ties = float((counts.astype(float) ** 3 - counts).sum()) / (whole * (whole - 1))
    variance = m * n / 12.0 * (whole + 1 - ties)
    if variance <= 0:
        return 1.0
    excess = abs(float(ranks[:m].sum()) - m * (whole + 1) / 2.0)
    return normal_two_sided(max(excess - 0.5, 0.0) / math.sqrt(variance))


def residuals(rows: Rows) -> Rows:
    """Return how far each row is from the median of its sample, ``(replicates,)``.

    From the median and not the mean, which one far-away row would move for all.
    """
    far: Rows = np.linalg.norm(rows - np.median(rows, axis=0), axis=1)
    return far


def _probabilities(difference: Rows, variance: Rows, dof: Rows, ignored: float | Rows) -> Rows:
    """Return two-sided probabilities; 0 or 1 where nothing varies."""
    excess = np.maximum(np.abs(difference) - ignored, 0.0)
    found = np.ones_like(excess)
    for j in np.flatnonzero(excess > 0):
        error = math.sqrt(variance[j])
        found[j] = t_two_sided(excess[j] / error, dof[j]) if error > 0 else 0.0
    return found
