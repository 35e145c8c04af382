"""Arguments of checks: what is refused, and with which words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_gradcheck.checks.validate import count, flag, number, patterns
from pytest_gradcheck.errors import UsageError, UsageTypeError


@pytest.mark.parametrize("value", [0, 0.0, 1, 2.5, 1e300, np.float64(2.0)])
def test_a_number_comes_back_as_a_float(value: float) -> None:
    """Whole and floating numbers from the lower bound on must be taken."""
    found = number("max_norm", value)
    assert (found, type(found)) == (float(value), float)


@pytest.mark.parametrize("value", ["1", None, True, [1.0], 1j, {"a": 1}])
def test_what_is_no_number_is_refused(value: object) -> None:
    """Text, flags and containers must be a type error that shows them."""
    with pytest.raises(UsageTypeError) as caught:
        number("max_norm", value)
    assert str(caught.value) == f"max_norm must be a number, not {value!r}"


@pytest.mark.parametrize(
    "value",
    [-1, -1e-300, math.nan, math.inf, -math.inf, pytest.param(10**400, id="10^400")],
)
def test_a_number_out_of_bounds_is_refused(value: float) -> None:
    """Negative, NaN, infinite and unimaginably large numbers must be refused."""
    with pytest.raises(UsageError, match=r"max_norm must be a finite number >= 0, not"):
        number("max_norm", value)


def test_a_strict_bound_excludes_itself() -> None:
    """Zero must be refused where only more than zero makes sense, and both bounds be shown."""
    with pytest.raises(UsageError, match=r"share must be a finite number > 0 and <= 1, not 0"):
        number("share", 0, high=1.0, strict=True)
    assert number("share", 1, high=1.0, strict=True) == 1.0


def test_a_number_above_its_bound_is_refused() -> None:
    """A share of more than one must be refused."""
    with pytest.raises(UsageError, match=r"share must be a finite number >= 0 and <= 1, not 1.5"):
        number("share", 1.5, high=1.0)


@pytest.mark.parametrize("value", [1.0, "2", True, None])
def test_a_count_is_a_whole_number(value: object) -> None:
    """Anything else must be a type error, a float of a whole value included."""
    with pytest.raises(UsageTypeError, match="samples must be a whole number, not"):
        count("samples", value)


@pytest.mark.parametrize(("value", "low"), [(0, 1), (-1, 0)])
def test_a_count_has_a_lower_bound(value: int, low: int) -> None:
    """Fewer than the least must be refused."""
    with pytest.raises(UsageError, match=f"samples must be at least {low}, not {value}"):
        count("samples", value, low=low)


def test_a_count_comes_back() -> None:
    """The least itself must be taken."""
    assert (count("samples", 1), count("seed", 0, low=0)) == (1, 0)


@pytest.mark.parametrize("value", [1, 0, "yes", None])
def test_a_flag_is_true_or_false(value: object) -> None:
    """What merely looks like a flag must be refused."""
    with pytest.raises(UsageTypeError) as caught:
        flag("finite", value)
    assert str(caught.value) == f"finite must be True or False, not {value!r}"


def test_a_flag_comes_back() -> None:
    """Both values must be taken."""
    assert (flag("finite", True), flag("finite", False)) == (True, False)  # noqa: FBT003 - both


@pytest.mark.parametrize(
    ("value", "found"),
    [("head.*", ("head.*",)), (["a", "b"], ("a", "b")), ((), ()), (iter("ab"), ("a", "b"))],
)
def test_patterns_become_a_tuple(value: object, found: tuple[str, ...]) -> None:
    """One string must stand for itself, not for its letters."""
    assert patterns("allow_zero", value) == found


@pytest.mark.parametrize("value", [1, None, {"a": 1}, True])
def test_what_holds_no_patterns_is_refused(value: object) -> None:
    """Anything that is no collection must be refused with an example."""
    with pytest.raises(UsageTypeError, match=r"must be a tuple of patterns such as \('head.\*',\)"):
        patterns("allow_zero", value)


@pytest.mark.parametrize("value", [(1,), ("a", None), ("",)])
def test_a_pattern_is_a_string_with_letters(value: object) -> None:
    """Numbers and the empty string must be refused among patterns."""
    with pytest.raises(UsageTypeError, match="must hold patterns of parameter names"):
        patterns("allow_zero", value)
