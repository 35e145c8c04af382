"""The check that the gradient is the derivative of the value."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.checks import Numeric
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Directions, Plan
from pytest_gradcheck.records import CheckResult
from tests.gradients import RIGHT, spoiled
from tests.objectives import Function, given, half_square, of

NETWORK = next(case for case in RIGHT if case.name == "tanh network")


def judged(function: Function = NETWORK.function, **options: Any) -> CheckResult:
    """Return what the check says of a network's function."""
    check = Numeric(**options)
    return check.judge(measure(NETWORK.objective("float64", function), check.plan(Plan())))


def test_it_asks_for_directions() -> None:
    """What is written must reach the plan."""
    check = Numeric(directions=5, seed=2, rtol=1e-3, atol=1e-6, exclude=("b*",))
    wanted = Directions(count=5, seed=2, rtol=1e-3, atol=1e-6, exclude=("b*",))
    assert check.plan(Plan()).directions == wanted


def test_a_right_gradient_passes() -> None:
    """Agreement must pass without a word."""
    assert judged() == CheckResult(check="numeric", outcome="passed")


def test_the_smallest_group_is_the_finding() -> None:
    """Of all groups that disagree only those without a smaller one inside must be shown."""
    result = judged(spoiled(NETWORK.function, "w2", lambda g: 2 * g))
    (finding,) = result.findings
    assert finding.subject == "w2"
    assert finding.text.startswith("analytic ")
    assert finding.text.endswith("(seed 0, float64)")
    assert finding.observed is not None
    assert finding.limit is not None
    assert finding.observed > finding.limit
    assert "detach()" in result.hints[0]


def test_a_group_that_cannot_be_split_lists_its_parameters() -> None:
    """Where the budget ends above single parameters, the first four must be named."""
    function: Function = half_square
    point = {f"p{i:02}": np.ones(2) for i in range(64)}
    for name in point:
        function = spoiled(function, name, lambda g: 1.01 * g)
    check = Numeric()
    result = check.judge(measure(of(function, point), check.plan(Plan())))
    group = next(f for f in result.findings if f.subject.endswith(" parameters"))
    assert group.subject == "4 parameters"
    assert group.text.split(": ")[1].count(", ") == 3


def test_many_parameters_are_cut_short() -> None:
    """A group of more than four must end in dots."""
    measured = measure(
        of(spoiled(half_square, "a", lambda g: 2 * g), {n: np.ones(1) for n in "abcde"}),
        Numeric().plan(Plan()),
    )
    whole = [d for d in measured.directional if len(d.parameters) == 5]
    result = Numeric().judge(replace(measured, directional=tuple(whole)))
    assert result.findings[0].text.endswith(": a, b, c, d, ...")


def test_a_gradient_that_is_not_finite_is_skipped() -> None:
    """The check must leave NaN to the one that is about it."""
    check = Numeric()
    result = check.judge(given({"w": [math.nan]}, plan=check.plan(Plan())))
    assert (result.outcome, result.reason) == ("skipped", "the gradient is not finite")


def test_a_check_that_compared_nothing_has_not_passed() -> None:
    """With every parameter excluded the check must say that it did nothing."""
    result = judged(exclude="*")
    assert result.outcome == "skipped"
    assert result.reason.startswith("nothing was compared: every parameter is excluded")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"directions": 0}, UsageError, "directions must be at least 1"),
        ({"directions": 1.5}, UsageTypeError, "directions must be a whole number"),
        ({"seed": -1}, UsageError, "seed must be at least 0"),
        ({"rtol": 1e-3}, UsageError, "rtol and atol are given together or not at all"),
        ({"atol": 1e-3}, UsageError, "rtol and atol are given together or not at all"),
        ({"rtol": -1.0, "atol": 0.0}, UsageError, "rtol must be a finite number >= 0"),
        ({"rtol": 0.0, "atol": "x"}, UsageTypeError, "atol must be a number"),
        ({"exclude": 3}, UsageTypeError, "exclude must be a tuple of patterns"),
    ],
)
def test_bad_arguments_are_refused(
    options: dict[str, Any], error: type[UsageError], message: str
) -> None:
    """Every bad value must be refused when it is written."""
    with pytest.raises(error, match=message):
        Numeric(**options)
