"""Validate the arguments of checks: one message each, naming the value and what is allowed."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping

from pytest_gradcheck.errors import UsageError, UsageTypeError

__all__ = ["count", "flag", "number", "patterns"]


def number(
    name: str, value: object, *, low: float = 0.0, high: float = math.inf, strict: bool = False
) -> float:
    """Return a finite number within bounds.

    Args:
        name: of the argument.
        value: to check.
        low: the smallest value allowed.
        high: the largest value allowed.
        strict: ``low`` itself is not allowed.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be a number, not {value!r}"
        raise UsageTypeError(msg)
    if not (abs(value) <= sys.float_info.max and low <= value <= high) or (strict and value == low):
        sign = ">" if strict else ">="
        upper = f" and <= {high:g}" if math.isfinite(high) else ""
        msg = f"{name} must be a finite number {sign} {low:g}{upper}, not {value!r}"
        raise UsageError(msg)
    return float(value)


def count(name: str, value: object, *, low: int = 1) -> int:
    """Return a whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be a whole number, not {value!r}"
        raise UsageTypeError(msg)
    if value < low:
        msg = f"{name} must be at least {low}, not {value!r}"
        raise UsageError(msg)
    return value


def flag(name: str, value: object) -> bool:
    """Return ``True`` or ``False``, and nothing that merely looks like it."""
    if not isinstance(value, bool):
        msg = f"{name} must be True or False, not {value!r}"
        raise UsageTypeError(msg)
    return value


def patterns(name: str, value: object) -> tuple[str, ...]:
    """Return patterns of parameter names as a tuple; one string stands for itself."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        msg = f"{name} must be a tuple of patterns such as ('head.*',), not {value!r}"
        raise UsageTypeError(msg)
    items = tuple(value)
    if not all(isinstance(item, str) and item for item in items):
        msg = f"{name} must hold patterns of parameter names, not {value!r}"
        raise UsageTypeError(msg)
    return items
