"""Extrapolation to the step zero: exact where it can be, honest about its error elsewhere."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gradcheck.measure.ridders import extrapolated

STEPS = (0.1, 0.01, 0.001)


@given(a=st.floats(-3, 3), b=st.floats(-3, 3))
@settings(max_examples=50, deadline=None)
def test_the_error_is_never_understated_for_polynomials(a: float, b: float) -> None:
    """The derivative of a polynomial of degree five must lie within the error that is stated."""

    def polynomial(x: float) -> float:
        return 2.0 * x + a * x**3 + b * x**5

    estimates = [(h, (polynomial(h) - polynomial(-h)) / (2 * h)) for h in STEPS]
    found, error = extrapolated(estimates, 1e-15)
    assert abs(found - 2.0) <= error
    assert error < 1e-3


def test_two_differences_are_exact_for_cubics() -> None:
    """The first term of the series must cancel."""
    estimates = [(h, 5.0 + 7.0 * h * h) for h in (0.2, 0.1)]
    assert extrapolated(estimates, 0.0)[0] == pytest.approx(5.0, rel=1e-15)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_passed_over(bad: float) -> None:
    """A first step out of the domain must not spoil the smaller ones."""
    found, error = extrapolated(list(zip(STEPS, (bad, 1.0, 1.0), strict=True)), 1e-16)
    assert found == 1.0
    assert error < 1e-10


def test_nothing_finite_has_no_answer() -> None:
    """Three differences that are all NaN must give NaN with an infinite error."""
    found, error = extrapolated([(h, math.nan) for h in STEPS], 1e-16)
    assert (math.isnan(found), error) == (True, math.inf)


def test_rounding_counts_more_at_smaller_steps() -> None:
    """Of equal differences the one of the largest step must be kept, its rounding the smallest."""
    error = extrapolated([(h, 1.0) for h in STEPS], 1e-6)[1]
    assert error == pytest.approx(2e-6 / 0.01)
