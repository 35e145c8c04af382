"""Probabilities and quantiles, held against scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pytest_gradcheck.stats.comparison import paired, rank_sum, residuals, welch
from pytest_gradcheck.stats.distributions import (
    normal_quantile,
    normal_two_sided,
    t_quantile,
    t_two_sided,
)

DOFS = (1.0, 2.0, 3.7, 14.0, 62.0, 10_000.0)


@pytest.mark.parametrize("dof", DOFS)
@pytest.mark.parametrize("level", [0.999, 0.3, 0.05, 1e-6, 1e-30])
def test_students_t(dof: float, level: float) -> None:
    """Probability and quantile must agree with scipy to ten digits."""
    t = float(stats.t.isf(level / 2, dof))
    assert t_two_sided(t, dof) == pytest.approx(level, rel=1e-10)
    assert t_quantile(level, dof) == pytest.approx(t, rel=1e-10)


def test_the_ends_of_students_t() -> None:
    """Zero is exceeded always and infinity never."""
    assert t_two_sided(0.0, 3.0) == 1.0
    assert t_two_sided(math.inf, 3.0) == 0.0


def test_the_normal_distribution() -> None:
    """The tails must not vanish where a difference to one would."""
    assert normal_two_sided(-8.0) == pytest.approx(2 * stats.norm.sf(8.0), rel=1e-12)
    assert normal_quantile(0.9) == pytest.approx(stats.norm.ppf(0.9), rel=1e-12)


def samples(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two samples of five numbers."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((9, 5)), 0.5 + 2 * rng.standard_normal((12, 5))


def test_welch() -> None:
    """Every coordinate's probability must be that of scipy."""
    a, b = samples(0)
    expected = stats.ttest_ind(a, b, equal_var=False).pvalue
    assert welch(a, b) == pytest.approx(expected, rel=1e-9)


def test_paired() -> None:
    """Rows of equal seeds must be tested as pairs."""
    a, b = samples(1)
    expected = stats.ttest_rel(a, b[:9]).pvalue
    assert paired(a, b[:9]) == pytest.approx(expected, rel=1e-9)


def test_what_does_not_vary_is_equal_or_different() -> None:
    """Constants must neither divide by zero nor pass for noise."""
    a = np.ones((4, 2))
    assert welch(a, a + np.array([0.0, 1.0])).tolist() == [1.0, 0.0]
    assert welch(a, a + np.array([0.0, 1e-7]), 1e-6).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("shift", [0.0, 1.0, 9.0])
def test_ranks(shift: float) -> None:
    """The rank sum must be scipy's with its continuity correction, ties included."""
    a, b = (np.round(s[:, 0], 1) for s in samples(2))
    expected = stats.mannwhitneyu(a, b + shift, method="asymptotic").pvalue
    assert rank_sum(a, b + shift) == pytest.approx(expected, rel=1e-9)


def test_ranks_of_constants() -> None:
    """Where all are equal, neither sample is the larger."""
    assert rank_sum(np.ones(4), np.ones(5)) == 1.0


def test_one_far_replicate_moves_no_other() -> None:
    """Residuals are taken from the median, which a single outlier leaves where it was."""
    rows = np.array([[-1.0], [0.0], [1.0], [0.0], [1e6]])
    assert residuals(rows)[:4].tolist() == [1.0, 0.0, 1.0, 0.0]
