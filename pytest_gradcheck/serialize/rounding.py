"""Round numbers to what people read; refuse those that are not finite."""

from __future__ import annotations

import math

from pytest_gradcheck.errors import UsageError

__all__ = ["six", "three"]


def three(number: float) -> float:
    """Round to three significant digits, enough to judge by."""
    return float(f"{six(number):.3g}")


def six(number: float) -> float:
    """Round to six significant digits."""
    if not math.isfinite(number):
        msg = f"{number} cannot be stored"
        raise UsageError(msg)
    return float(f"{number:.6g}")
