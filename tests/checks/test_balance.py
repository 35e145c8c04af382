"""The check that no component and no parameter drowns the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_gradcheck.checks import Balance
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.plan import Plan
from tests.objectives import given

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement


def components(**norms: float) -> Measurement:
    """Return a measurement of components with gradients of some norms, all in one direction."""
    terms = {name: (1.0, {"w": [norm, 0.0]}) for name, norm in norms.items()}
    return given({"w": [0.0, 0.0]}, terms=terms)


def found(measured: Measurement, **limits: Any) -> list[tuple[str, str]]:
    """Return what the check finds."""
    result = Balance(**limits).judge(measured)
    assert (result.outcome == "failed") is bool(result.findings)
    return [(f.subject, f.text) for f in result.findings]


def test_a_ratio_itself_is_within_it() -> None:
    """Norms of exactly the allowed ratio must pass."""
    assert found(components(a=1.0, b=100.0), max_ratio=100.0) == []


def test_the_two_that_differ_most_are_named() -> None:
    """Of several components the largest and the smallest must stand in the line."""
    assert found(components(a=1.0, b=400.0, c=2.0), max_ratio=100.0) == [
        (
            "component b",
            "gradient norm 400 against 1 of component a: ratio 400, balance 100",
        )
    ]


def test_a_component_without_a_gradient_is_infinitely_far() -> None:
    """A component that is constant must fail any ratio."""
    assert "ratio inf" in found(components(a=0.0, b=1.0), max_ratio=1e9)[0][1]


def test_no_gradient_at_all_is_balanced() -> None:
    """Zeros must not be divided by."""
    assert found(components(a=0.0, b=0.0), max_ratio=2.0) == []


def test_a_share_too_large_is_named() -> None:
    """The component with more than its share must be named."""
    assert found(components(a=1.0, b=9.0), max_share=0.8) == [
        ("component b", "share 0.900 of the gradient norms, max_share 0.8")
    ]
    assert found(components(a=1.0, b=9.0), max_share=0.9) == []


def test_components_that_pull_against_each_other_are_named() -> None:
    """Every pair below the cosine must be named."""
    terms = {
        "a": (1.0, {"w": [1.0, 0.0]}),
        "b": (1.0, {"w": [0.0, 1.0]}),
        "c": (1.0, {"w": [-1.0, 0.0]}),
    }
    measured = given({"w": [0.0, 0.0]}, terms=terms)
    assert found(measured, min_cosine=-0.5) == [
        ("components a, c", "cosine -1.000, min_cosine -0.5")
    ]
    assert found(measured, min_cosine=-1.0) == []


@pytest.mark.parametrize("limits", [{"max_ratio": 2.0}, {"max_share": 0.5}, {"min_cosine": 0.0}])
@pytest.mark.parametrize("count", [0, 1])
def test_a_balance_needs_two_components(count: int, limits: dict[str, float]) -> None:
    """A limit on components must not pass because there are none to compare."""
    measured = components(a=1.0) if count else given({"w": [1.0]})
    (lifted,) = ("balance" if name == "max_ratio" else name for name in limits)
    assert found(measured, **limits) == [
        (
            "components",
            (
                f"needs at least two components, found {count}; return the loss as a "
                "mapping, {'recon': ..., 'kl': ...}, or lift a limit that is written for "
                f"other tests: {lifted}=None"
            ),
        )
    ]


def test_parameters_are_balanced_by_rms() -> None:
    """A large parameter must not count for its size, and no components are needed."""
    measured = given({"large": np.ones(10_000), "small": np.ones(4), "tiny": np.full(4, 1e-3)})
    assert found(measured, max_parameter_ratio=1001.0) == []
    assert found(measured, max_parameter_ratio=100.0) == [
        ("small", "gradient RMS 1 against 0.001 of tiny: ratio 1000, balance_parameters 100")
    ]


def test_a_numerically_zero_parameter_is_no_denominator() -> None:
    """A bias in front of a batch normalisation must not fail the balance."""
    measured = given({"w": [1.0], "b": [1e-9], "unused": None, "zero": [0.0]})
    assert found(measured, max_parameter_ratio=10.0) == []


def test_no_parameter_with_a_gradient_is_balanced() -> None:
    """Where every gradient is zero there is nothing to hold against anything."""
    assert found(given({"w": [0.0]}), max_parameter_ratio=2.0) == []


def test_without_limits_everything_passes() -> None:
    """A balance of nothing must not ask for components."""
    assert found(given({"w": [1.0]})) == []


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        ({"max_ratio": 0.5}, UsageError, "balance must be a finite number >= 1, not 0.5"),
        ({"max_ratio": math.inf}, UsageError, "balance must be a finite number >= 1"),
        ({"max_ratio": "10"}, UsageTypeError, "balance must be a number"),
        ({"max_share": 0.0}, UsageError, "max_share must be a finite number > 0 and <= 1"),
        ({"max_share": 1.1}, UsageError, "max_share must be a finite number > 0 and <= 1"),
        ({"min_cosine": -2}, UsageError, "min_cosine must be a finite number >= -1 and <= 1"),
        ({"max_parameter_ratio": 0}, UsageError, "balance_parameters must be a finite number >= 1"),
    ],
)
def test_bad_limits_are_refused(
    limits: dict[str, Any], error: type[UsageError], message: str
) -> None:
    """Every bad value must be refused when it is written, by the limit's name."""
    with pytest.raises(error, match=message):
        Balance(**limits)


def test_nothing_more_is_evaluated() -> None:
    """The point alone must do."""
    assert Balance(max_ratio=2.0).plan(Plan()) == Plan()
