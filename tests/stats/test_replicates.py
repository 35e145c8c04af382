"""Statistics of replicates, against the gradients themselves and against simulation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_gradcheck.measure import replicates
from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.stats.replicates import jackknife, log_estimate
from tests.replicated import SIGNAL, objective, taken

if TYPE_CHECKING:
    from pytest_gradcheck.records import Replicates


def whole(count: int) -> np.ndarray:
    """Return the gradients themselves, one row for each seed."""
    made, rows = objective(), []
    for seed in range(count):
        grads = made.value_and_grad(seed=seed).grads.values()
        rows.append(np.concatenate([to_numpy(g).ravel() for g in grads if g is not None]))
    return np.array(rows)


def test_mean_and_variance_are_exact() -> None:
    """The running sums must give what all gradients at once give."""
    rows, found = whole(16), taken(16)
    variance = rows.var(axis=0, ddof=1).sum()
    assert found.mean_norm == pytest.approx(np.linalg.norm(rows.mean(axis=0)), rel=1e-12)
    assert found.variance.value == pytest.approx(variance, rel=1e-12)
    assert found["w"].variance == pytest.approx(rows[:, :40].var(axis=0, ddof=1).sum(), rel=1e-12)
    expected = np.square(rows.mean(axis=0)).sum() / variance - 1 / 16
    assert found.snr_squared.value == pytest.approx(expected, rel=1e-12)
    assert found.noise_scale == pytest.approx(1 / expected, rel=1e-12)


def test_norms_and_cosines() -> None:
    """Norms must be exact, cosines close where a parameter is too large for its sketch."""
    rows, found = whole(16), taken(16)
    norms = np.linalg.norm(rows, axis=1)
    mean = rows.mean(axis=0)
    cosines = rows @ mean / norms / np.linalg.norm(mean)
    assert [one.norm for one in found.each] == pytest.approx(norms, rel=1e-12)
    assert [one.cosine for one in found.each] == pytest.approx(cosines, abs=0.25)
    assert found.cv.value == pytest.approx(norms.std(ddof=1) / norms.mean(), rel=1e-12)


def test_seeds_follow_the_first() -> None:
    """Replicate r of seed s must be replicate 0 of seed s + r."""
    assert taken(4, seed=3).each[1].norm == taken(4, seed=4).each[0].norm


def test_the_bias_of_the_signal_is_taken_out() -> None:
    """Without a signal, the squared ratio must be zero on average and not 1 / R."""
    found = [taken(8, seed=100 * i, signal=0.0).snr_squared.value or 0.0 for i in range(40)]
    assert abs(np.mean(found)) < 0.02


def test_no_noise_scale_without_a_signal() -> None:
    """A ratio that is not positive has no reciprocal, and says so."""
    found = next(r for i in range(9) if (r := taken(4, seed=9 * i, signal=0.0)).snr == 0)
    assert found.noise_scale is None
    assert found.snr_squared.value is not None
    assert found.snr_squared.value <= 0


def test_nothing_random() -> None:
    """Equal replicates have an infinite ratio and no noise, not a division by zero."""
    found = taken(4, noise=0.0)
    assert found.identical
    assert (found.snr, found.noise_scale) == (math.inf, 0.0)


def test_intervals_cover() -> None:
    """Of intervals of 95 %, at least 88 % must hold the true value with so few replicates."""
    variance = 42 * 0.2**2
    signal = sum(float(np.square(s).sum()) for s in SIGNAL.values())
    truths = {"variance": variance, "snr_squared": signal / variance}
    runs = [taken(16, seed=1000 * i) for i in range(100)]

    def covered(name: str, truth: float, one: Replicates) -> bool:
        estimate = getattr(one, name)
        return bool(estimate.low <= truth <= estimate.high)

    for name, truth in truths.items():
        assert sum(covered(name, truth, one) for one in runs) >= 88, name


def test_the_jackknife_of_a_mean() -> None:
    """Of a mean, the jackknife must give the textbook standard error."""
    values = np.array([[1.0], [2.0], [4.0], [9.0]])
    assert jackknife(values, lambda rows: float(rows.mean())) == pytest.approx(
        values.std(ddof=1) / 2
    )


def test_an_interval_needs_three() -> None:
    """With two replicates there is an estimate and no interval."""
    estimate = log_estimate(2.0, np.ones((2, 1)), lambda _: 1.0)
    assert (estimate.value, estimate.low, estimate.high) == (2.0, None, None)


def test_a_replicate_that_is_not_finite_is_left_out() -> None:
    """NaN under one seed must be counted and spoil nothing."""
    import itertools

    count = itertools.count()

    def weights() -> object:
        return np.ones((2, 3)) * (np.nan if next(count) == 1 else 1.0)

    found = taken(4, weights=weights)
    assert [w.nonfinite for w in found.weighed] == [0, 6, 0, 0]
    assert found.lost == ()


@pytest.mark.parametrize("finite", [0, 1, 2])
def test_most_replicates_are_lost(finite: int) -> None:
    """However few replicates are finite, the others must be counted and nothing else break."""
    import itertools

    from tests.objectives import of
    from tests.replicated import noisy

    count = itertools.count()

    def failing(point: object) -> object:
        value, grads = noisy()({})
        return (value, grads) if next(count) < finite else (float("nan"), grads)

    made = of(failing, {name: np.ones_like(one) for name, one in SIGNAL.items()})  # type: ignore[arg-type]
    found = replicates(made, 4)
    assert found.lost == tuple(range(finite, 4))
    assert len(found.each) == finite
    assert not found.identical
