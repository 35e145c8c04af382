"""Sum up a metric: last, smallest, largest, mean and slope of the last values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_gradcheck.stats.trend import Trend, trend

if TYPE_CHECKING:
    from pytest_gradcheck.records import Metric, Series

__all__ = ["TAIL", "Summary", "by_epoch", "ends", "summarise"]

TAIL = 10
"""How many of the last values the mean and the slope are taken of, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Hold what a metric came to; over its finite values, of which there may be none.

    Attributes:
        name: of the metric.
        count: how many values there are.
        nonfinite: how many of them are NaN or Inf.
        first, last, low, high, mean: of the finite values; NaN where there is none.
        tail: how many of the last values the next two are taken of.
        tail_mean: of the last values.
        trend: line through the last values.
    """

    name: str
    count: int
    nonfinite: int
    first: float
    last: float
    low: float
    high: float
    mean: float
    tail: int
    tail_mean: float
    trend: Trend


def summarise(metric: Metric, *, tail: int = TAIL, start: int = 0) -> Summary:
    """Return the summary of a metric.

    Args:
        metric: to sum up.
        tail: how many of the last values count for mean and slope.
        start: the first step that counts.
    """
    known = [
        (step, value)
        for step, value in zip(metric.steps, metric.values, strict=True)
        if step >= start
    ]
    finite = [(step, value) for step, value in known if math.isfinite(value)]
    steps, values = [s for s, _ in finite], [v for _, v in finite]
    return Summary(
        name=metric.name,
        count=len(known),
        nonfinite=len(known) - len(finite),
        first=values[0] if values else math.nan,
        last=values[-1] if values else math.nan,
        low=min(values, default=math.nan),
        high=max(values, default=math.nan),
        mean=_mean(values),
        tail=min(tail, len(values)),
        tail_mean=_mean(values[-tail:]),
        trend=trend(steps[-tail:], values[-tail:]),
    )


def by_epoch(series: Series, metric: Metric) -> tuple[float, ...]:
    """Return the mean of a metric in each epoch: of ``clipped``, the clip ratio."""
    bounds = [0, *series.epochs, series.steps]
    pairs = list(zip(metric.steps, metric.values, strict=True))
    return tuple(
        _mean([v for step, v in pairs if low <= step < high and math.isfinite(v)])
        for low, high in pairwise(bounds)
    )


def ends(metric: Metric, count: int = 3) -> tuple[tuple[tuple[int, float], ...], ...]:
    """Return the first and the last values with their steps, no value in both."""
    pairs = tuple(zip(metric.steps, metric.values, strict=True))
    return pairs[:count], pairs[max(count, len(pairs) - count) :]


def _mean(values: list[float]) -> float:
    """Return the mean, NaN for none, whatever the size of the values."""
    scale = max(map(abs, values), default=0.0) or 1.0
    return scale * math.fsum(v / scale for v in values) / len(values) if values else math.nan
