"""The check that a gradient reaches every parameter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.checks import Reaches
from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Perturbation, Plan
from pytest_gradcheck.records import CheckResult
from tests.objectives import Arrays, given, half_square, of

AROUND = Plan(perturbation=Perturbation(samples=3))


def judged(grads: dict[str, Any], *, plan: Plan = AROUND, **options: Any) -> CheckResult:
    """Return what the check says of a gradient that is the same everywhere."""
    return Reaches(**options).judge(given(grads, plan=plan))


def test_every_parameter_that_gets_a_gradient_passes() -> None:
    """One element that is not zero must be enough."""
    result = judged({"w": [0.0, 1e-300]})
    assert result == CheckResult(check="reaches", outcome="passed")


def test_a_disconnected_parameter_is_named() -> None:
    """A parameter without any gradient must be told as such, with one hint for all."""
    result = judged({"w": [1.0], "unused": None})
    assert [(f.subject, f.text) for f in result.findings] == [
        ("unused", "receives no gradient: it is not connected to the loss")
    ]
    assert "detach()" in result.hints[0]


def test_a_log_density_has_a_hint_of_its_own() -> None:
    """Who wrote a model must not be told to look for layers."""
    measurement = replace(given({"w": [1.0], "left": None}, plan=AROUND), sense="logp")
    result = Reaches().judge(measurement)
    assert "flat prior" in result.hints[0]
    assert "detach()" not in result.hints[0]


def test_a_gradient_of_zero_everywhere_is_named() -> None:
    """A gradient that is exactly zero at every point must be told with their number."""
    result = judged({"w": [1.0], "dead": [0.0, 0.0]})
    assert [(f.subject, f.text) for f in result.findings] == [
        ("dead", "gradient is exactly zero at all 4 points measured")
    ]


def test_without_perturbed_points_the_point_decides() -> None:
    """Where only the point was measured the line must say so."""
    result = judged({"dead": [0.0]}, plan=Plan())
    assert result.findings[0].text == "gradient is exactly zero at the point"


def test_a_symmetric_start_is_healthy() -> None:
    """A gradient that is zero at the point alone must pass: zero-initialised layers are fine."""
    objective = of(half_square, {"w": np.zeros(3)})
    assert Reaches().judge(measure(objective, AROUND)).outcome == "passed"


def test_a_parameter_may_be_connected_elsewhere_alone() -> None:
    """A branch that is not taken at the point and is nearby must pass."""

    def function(p: Arrays) -> tuple[float, dict[str, Any]]:
        return 0.0, {"w": p["w"] if p["w"][0] != 0 else None}

    measured = measure(of(function, {"w": np.zeros(2)}), AROUND)
    assert Reaches().judge(measured).outcome == "passed"


@pytest.mark.parametrize(
    "options", [{"allow_missing": "head.*"}, {"allow_missing": ("x", "head.w")}]
)
def test_disconnected_parameters_may_be_allowed(options: dict[str, Any]) -> None:
    """Patterns must excuse what they name, one string standing for itself."""
    assert judged({"w": [1.0], "head.w": None}, **options).outcome == "passed"


def test_zeros_may_be_allowed() -> None:
    """Patterns must excuse gradients that are meant to be zero."""
    assert judged({"w": [1.0], "head.w": [0.0]}, allow_zero=("head.?",)).outcome == "passed"


def test_each_allowance_excuses_its_own_kind_alone() -> None:
    """To be missing and to be zero are two things."""
    grads = {"missing": None, "zero": [0.0]}
    result = judged(grads, allow_missing=("zero",), allow_zero=("missing",))
    assert [f.subject for f in result.findings] == ["missing", "zero"]


def test_a_parameter_without_elements_is_healthy() -> None:
    """Nothing can reach nothing."""
    assert judged({"w": [1.0], "empty": np.zeros((0, 3))}).outcome == "passed"


def test_a_gradient_that_is_not_finite_is_no_zero() -> None:
    """NaN must be left to the check that is about it."""
    assert judged({"w": [np.nan, 0.0]}).outcome == "passed"


@pytest.mark.parametrize("name", ["allow_missing", "allow_zero"])
def test_bad_patterns_are_refused(name: str) -> None:
    """What is no pattern must be refused by the limit's name."""
    with pytest.raises(UsageTypeError, match=f"{name} must be a tuple of patterns"):
        Reaches(**{name: 3})  # type: ignore[arg-type] # what is refused


def test_nothing_more_is_evaluated() -> None:
    """Points that others ask for are used, none is asked for."""
    assert Reaches().plan(Plan()) == Plan()
