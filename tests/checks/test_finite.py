"""The check that nothing is NaN or Inf."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.checks import Finite
from pytest_gradcheck.plan import Plan
from pytest_gradcheck.records import CheckResult
from tests.objectives import given


def test_a_finite_gradient_passes() -> None:
    """Finite numbers of any size must pass without a word."""
    result = Finite().judge(given({"w": [1e300, -1e-300, 0.0]}))
    assert result == CheckResult(check="finite", outcome="passed")


def test_each_parameter_is_counted_and_located() -> None:
    """NaN and Inf must be told apart, counted out of all, with their first positions."""
    grads: dict[str, Any] = {
        "w": [[math.nan, 1.0], [math.inf, -math.inf]],
        "fine": [1.0],
        "b": [math.nan],
    }
    result = Finite().judge(given(grads))
    assert [(f.subject, f.text) for f in result.findings] == [
        ("w", "1 / 4 NaN and 2 / 4 Inf at [0, 0], [1, 0], [1, 1]"),
        ("b", "1 / 1 NaN at [0]"),
    ]
    assert [(f.observed, f.limit) for f in result.findings] == [(3, 0), (1, 0)]


def test_of_many_only_the_first_are_located() -> None:
    """More than five positions must end in dots."""
    text = Finite().judge(given({"w": np.full(9, math.nan)})).findings[0].text
    assert text == "9 / 9 NaN at [0], [1], [2], [3], [4], ..."


def test_a_scalar_has_no_position() -> None:
    """A 0-d parameter must be counted without an empty index."""
    assert Finite().judge(given({"w": math.nan})).findings[0].text == "1 / 1 NaN"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_loss_is_judged_too(value: float) -> None:
    """A loss that is not finite must fail, and the hint about finite losses stay away."""
    result = Finite().judge(given({"w": [1.0]}, value=value))
    assert [(f.subject, f.text) for f in result.findings] == [("loss", f"is {value}")]
    assert result.hints[0].startswith("look for NaN in the inputs")


def test_a_finite_loss_with_a_nan_gradient_gets_a_hint() -> None:
    """Where only the gradient is not finite, the usual origins must be named."""
    (hint,) = Finite().judge(given({"w": [math.nan]})).hints
    assert "sqrt or a norm at 0" in hint


def test_a_component_says_where_it_arose() -> None:
    """The component behind a NaN must be named, with the parameters it reaches."""
    terms = {"recon": (1.0, {"w": [1.0]}), "kl": (2.0, {"w": [math.nan]})}
    result = Finite().judge(given({"w": [1.0]}, terms=terms))
    assert [(f.subject, f.text) for f in result.findings] == [
        ("component kl", "value 2, gradient not finite in w"),
        ("w", "1 / 1 NaN at [0]"),
    ]


def test_a_component_may_be_undone_by_another() -> None:
    """A component that is not finite must fail though no gradient shows it."""
    terms = {"a": (math.inf, {"w": [1.0]}), "b": (1.0, {"w": [1.0]})}
    found = [f.subject for f in Finite().judge(given({"w": [1.0]}, terms=terms)).findings]
    assert found == ["loss", "component a"]


def test_a_disconnected_parameter_is_finite() -> None:
    """No gradient is not a gradient of NaN."""
    assert Finite().judge(given({"w": [1.0], "unused": None})).outcome == "passed"


def test_nothing_more_is_evaluated() -> None:
    """The point alone must do."""
    assert Finite().plan(Plan()) == Plan()
