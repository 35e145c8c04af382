"""The check that norms stay within bounds."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytest_gradcheck.checks import NormBounds
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.plan import Plan
from tests.objectives import given

MEASURED = given({"encoder.w": [3.0, 0.0], "encoder.b": [0.0, 0.0], "head": [4.0]})  # norm 5


def found(**bounds: Any) -> list[tuple[str, str]]:
    """Return what the check finds."""
    result = NormBounds(**bounds).judge(MEASURED)
    assert (result.outcome == "failed") is bool(result.findings)
    return [(f.subject, f.text) for f in result.findings]


@pytest.mark.parametrize("bounds", [{}, {"max_norm": 5}, {"min_norm": 5.0}, {"max_abs": 4.0}])
def test_a_bound_itself_is_inside(bounds: dict[str, float]) -> None:
    """What equals its bound must pass."""
    assert found(**bounds) == []


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ({"max_norm": 4.9}, "norm 5, max_norm 4.9"),
        ({"min_norm": 5.1}, "norm 5, min_norm 5.1"),
        ({"max_abs": 3.9}, "largest element 4, max_abs 3.9"),
    ],
)
def test_each_bound_of_the_whole_can_be_left(bounds: dict[str, float], text: str) -> None:
    """The total must be held against each bound, observed and allowed being shown."""
    assert found(**bounds) == [("total", text)]


def test_bounds_of_single_parameters_go_by_pattern() -> None:
    """Every parameter that matches must be held against the bounds of its pattern."""
    bounds = {"encoder.*": {"min_norm": 1.0, "max_abs": 2.0}}
    assert found(per_parameter=bounds) == [
        ("encoder.w", "largest element 3, max_abs 2"),
        ("encoder.b", "norm 0, min_norm 1"),
    ]


def test_a_pattern_without_a_parameter_fails() -> None:
    """A pattern that matches nothing must not pass in silence."""
    assert found(per_parameter={"decoder.*": {"max_norm": 1.0}}) == [
        (
            "decoder.*",
            "per_parameter= names no parameter of this model; there are encoder.w, encoder.b, head",
        )
    ]
    many = NormBounds(per_parameter={"v": {"max_norm": 1.0}})
    (finding,) = many.judge(given({f"w{i}": [1.0] for i in range(9)})).findings
    assert finding.text.endswith("of this model; there are w0, w1, w2, w3, w4 and 4 more")


def test_observed_and_limit_are_numbers() -> None:
    """Reports must find both numbers beside the text."""
    (finding,) = NormBounds(max_norm=1.0).judge(MEASURED).findings
    assert (finding.observed, finding.limit) == (5.0, 1.0)


@pytest.mark.parametrize("grads", [[math.nan, 2.0], [math.inf, 2.0]])
def test_what_is_not_finite_is_left_to_the_other_check(grads: list[float]) -> None:
    """The norm must be that of the finite elements."""
    assert NormBounds(max_norm=2.0).judge(given({"w": grads})).outcome == "passed"


def test_a_norm_that_overflowed_is_outside() -> None:
    """An infinite norm must be above every bound."""
    assert NormBounds(max_norm=1e308).judge(given({"w": [1.7e308] * 4})).outcome == "failed"


@pytest.mark.parametrize(
    ("bounds", "error", "message"),
    [
        ({"max_norm": 0}, UsageError, "max_norm must be a finite number > 0"),
        ({"max_abs": -1.0}, UsageError, "max_abs must be a finite number > 0"),
        ({"min_norm": math.nan}, UsageError, "min_norm must be a finite number >= 0"),
        ({"max_norm": "10"}, UsageTypeError, "max_norm must be a number, not '10'"),
        (
            {"min_norm": 2.0, "max_norm": 1.0},
            UsageError,
            "min_norm 2 is above max_norm 1: nothing can pass",
        ),
        ({"per_parameter": 3}, UsageTypeError, r"such as {'encoder.\*': {'max_norm': 1.0}}, not 3"),
        (
            {"per_parameter": {"a": 1.0}},
            UsageError,
            r"per_parameter\['a'\] takes max_norm, min_norm, max_abs, not 1.0",
        ),
        (
            {"per_parameter": {"a": {"max_nrom": 1.0}}},
            UsageError,
            r"per_parameter\['a'\] takes max_norm, min_norm, max_abs, not {'max_nrom': 1.0}",
        ),
        (
            {"per_parameter": {"a": {"max_norm": 0}}},
            UsageError,
            r"per_parameter\['a'\] max_norm must be a finite number > 0",
        ),
        (
            {"per_parameter": {"a": {"max_norm": 1.0, "min_norm": 2.0}}},
            UsageError,
            r"per_parameter\['a'\] min_norm 2 is above max_norm 1",
        ),
    ],
)
def test_bad_bounds_are_refused(
    bounds: dict[str, Any], error: type[UsageError], message: str
) -> None:
    """Every bad value must be refused when it is written, by name."""
    with pytest.raises(error, match=message):
        NormBounds(**bounds)


def test_nothing_more_is_evaluated() -> None:
    """The point alone must do."""
    assert NormBounds(max_norm=1.0).plan(Plan()) == Plan()
