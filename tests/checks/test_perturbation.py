"""The check that the gradient holds a small step away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.checks import PerturbationStability
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Perturbation, Plan
from pytest_gradcheck.records import CheckResult
from tests.objectives import Arrays, Function, half_square, of


def judged(function: Function, point: Any = (1.0, 2.0), **options: Any) -> CheckResult:
    """Return what the check says of a function around a point."""
    check = PerturbationStability(**options)
    return check.judge(measure(of(function, {"w": np.array(point)}), check.plan(Plan())))


def broken(at_home: float, *, value: float = 1.0, grad: float = 1.0) -> Function:
    """Return a function whose value or gradient is another one anywhere but at home."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        away = bool(p["w"][0] != at_home)
        found = np.array([grad if away else 1.0, 1.0])
        return value if away else 1.0, {"w": found}

    return function


def test_it_asks_for_the_perturbed_points() -> None:
    """Scale, number and seed must be what was written; the defaults those of the manual."""
    check = PerturbationStability(scale=1e-2, samples=7, seed=3)
    assert check.plan(Plan()).perturbation == Perturbation(scale=1e-2, samples=7, seed=3)
    assert PerturbationStability().plan(Plan()).perturbation == Perturbation()


def test_a_steady_gradient_passes() -> None:
    """A smooth function must pass within any sensible bounds."""
    result = judged(half_square, max_norm_ratio=1.1, min_cosine=0.99)
    assert result == CheckResult(check="perturb", outcome="passed")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_breaks_nearby_is_told_for_each_point(value: float) -> None:
    """Every perturbed point must be named with the seed and scale that make it again."""
    result = judged(broken(1.0, value=value), samples=2)
    assert [(f.subject, f.text) for f in result.findings] == [
        ("perturbed 1e-03 #0", f"loss is {value} (seed 0, scale 0.001)"),
        ("perturbed 1e-03 #1", f"loss is {value} (seed 1, scale 0.001)"),
    ]


def test_a_gradient_that_breaks_nearby_names_its_parameters() -> None:
    """NaN in a perturbed gradient must be located by parameter and counted."""
    result = judged(broken(1.0, grad=math.nan), samples=1)
    assert [f.text for f in result.findings] == [
        "gradient not finite in w: 1 NaN, 0 Inf (seed 0, scale 0.001)"
    ]


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_a_norm_that_jumps_up_or_down_is_told(factor: float) -> None:
    """The factor must count in both directions."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        return 1.0, {"w": np.ones(2) * (factor if p["w"][0] != 1.0 else 1.0)}

    assert judged(function, max_norm_ratio=11.0).outcome == "passed"
    (finding,) = judged(function, samples=1, max_norm_ratio=9.0).findings
    assert "ratio 10, max_norm_ratio 9 (seed 0, scale 0.001)" in finding.text
    assert finding.observed == pytest.approx(10.0)
    assert finding.limit == 9.0


def test_a_gradient_that_vanishes_or_appears_has_an_infinite_ratio() -> None:
    """Against a gradient of exactly zero every other one must be too far."""
    assert judged(half_square, point=(0.0, 0.0), max_norm_ratio=1e9).outcome == "failed"


def test_two_gradients_of_zero_are_the_same() -> None:
    """A gradient of zero at and around the point must not divide by it."""

    def flat(_: Arrays) -> tuple[float, Arrays]:
        return 1.0, {"w": np.zeros(2)}

    assert judged(flat, max_norm_ratio=1.0, min_cosine=1.0).outcome == "passed"


def test_a_gradient_that_turns_is_told() -> None:
    """A flipped gradient must have its cosine shown."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        return 1.0, {"w": np.ones(2) * (-1.0 if p["w"][0] != 1.0 else 1.0)}

    (finding,) = judged(function, samples=1, min_cosine=0.5).findings
    assert finding.text == "cosine -1, min_cosine 0.5 (seed 0, scale 0.001)"
    assert judged(function, max_norm_ratio=1.0).outcome == "passed"


def test_without_bounds_only_what_is_not_finite_fails() -> None:
    """How much a gradient may change is for the user to say."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        return 1.0, {"w": np.ones(2) * (-1e9 if p["w"][0] != 1.0 else 1.0)}

    assert judged(function).outcome == "passed"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scale": 0}, UsageError, "perturb must be a finite number > 0"),
        ({"scale": -1e-3}, UsageError, "perturb must be a finite number > 0"),
        ({"scale": "1e-3"}, UsageTypeError, "perturb must be a number"),
        ({"samples": 0}, UsageError, "samples must be at least 1"),
        ({"samples": 2.0}, UsageTypeError, "samples must be a whole number"),
        ({"seed": -1}, UsageError, "seed must be at least 0"),
        ({"max_norm_ratio": 0.5}, UsageError, "max_norm_ratio must be a finite number >= 1"),
        ({"min_cosine": 1.5}, UsageError, "min_cosine must be a finite number >= -1 and <= 1"),
    ],
)
def test_bad_arguments_are_refused(
    options: dict[str, Any], error: type[UsageError], message: str
) -> None:
    """Every bad value must be refused when it is written, by the limit's name."""
    with pytest.raises(error, match=message):
        PerturbationStability(**options)
