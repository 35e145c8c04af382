"""Fit a straight line to the last values of a series, and say how sure its slope is.

Ordinary least squares; the interval is the slope's standard error times a quantile of Student's t
with ``n - 2`` degrees of freedom (Draper and Smith, *Applied Regression Analysis*, section 1.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.stats.distributions import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Trend", "trend"]

_SMALLEST = 3  # points that leave a degree of freedom


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Hold a fitted line.

    Attributes:
        slope: per step.
        low, high: the slope's 95 % interval; infinite where the points cannot tell.
        spread: standard deviation of the values around the line.
    """

    slope: float
    low: float
    high: float
    spread: float

    @property
    def rises(self) -> bool:
        """Whether the slope is above 0 beyond doubt."""
        return self.low > 0

    @property
    def falls(self) -> bool:
        """Whether the slope is below 0 beyond doubt."""
        return self.high < 0


def trend(steps: Sequence[int], values: Sequence[float], *, level: float = 0.95) -> Trend:
    """Return the least-squares line through finite values.

    Args:
        steps: where the values were seen.
        values: finite, one for each step.
        level: of the interval.
    """
    n = len(values)
    scale = max(map(abs, values), default=0.0)
    if n < 2 or scale == 0:  # noqa: PLR2004 - a slope needs two
        wide = math.inf if n < _SMALLEST else 0.0
        return Trend(slope=0.0, low=-wide, high=wide, spread=0.0)
    centre, mean = sum(steps) / n, sum(value / scale for value in values) / n
    lever = sum((step - centre) ** 2 for step in steps)
    slope = sum((t - centre) * (y / scale - mean) for t, y in zip(steps, values, strict=True))
    slope /= lever
    rest = sum(
        (y / scale - mean - slope * (t - centre)) ** 2 for t, y in zip(steps, values, strict=True)
    )
    if n < _SMALLEST:
        return Trend(slope=slope * scale, low=-math.inf, high=math.inf, spread=0.0)
    spread = math.sqrt(rest / (n - 2))
    half = t_quantile(1 - level, n - 2) * spread / math.sqrt(lever)
    return Trend(
        slope=slope * scale,
        low=(slope - half) * scale,
        high=(slope + half) * scale,
        spread=spread * scale,
    )
