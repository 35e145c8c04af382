"""Draw a training run: its metrics over the steps, on the ranges in which they are healthy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.html.figures import line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_gradcheck.records import Metric, SeriesVerdict

__all__ = ["series_figures"]

_FIGURES = 16
_LINES = 4  # that can be told apart in one figure
_WIDE = 100.0  # a factor between values that only a logarithmic axis shows
_OF_VALUES = {"last", "min", "max", "mean", "tail"}  # what is in the unit of the metric


def series_figures(verdict: SeriesVerdict) -> list[dict[str, Any]]:
    """Return the figures of a training run: what failed first, then loss and norms, then the rest.

    Args:
        verdict: of the run.
    """
    blamed = [f.subject for result in verdict.failures for f in result.findings]
    groups = list(_groups(verdict))
    groups.sort(key=lambda group: not any(metric.name in blamed for metric in group))
    return [_figure(group, verdict) for group in groups[:_FIGURES]]


def _groups(verdict: SeriesVerdict) -> Iterator[Sequence[Metric]]:
    """Yield metrics that belong into one figure each."""
    series = verdict.series
    seen = [metric for metric in series.metrics if metric.values]
    own = [metric for metric in seen if metric.group not in {"component", "parameter"}]
    parts = [metric for metric in seen if metric.group == "component"]
    norms = [metric for metric in seen if metric.group == "parameter"]
    thresholds = {metric.source: metric for metric in own if metric.key == "clip_threshold"}
    for metric in own:
        if metric.key == "loss":
            yield [metric, *parts[: _LINES - 1]]
        elif metric.key == "norm" and metric.source in thresholds:
            yield [metric, thresholds[metric.source]]
        elif metric.key != "clip_threshold":
            yield [metric]
    if parts and not any(metric.key == "loss" for metric in own):
        yield parts[:_LINES]
    if norms:
        yield sorted(norms, key=lambda metric: -_largest(metric))[:_LINES]


def _figure(metrics: Sequence[Metric], verdict: SeriesVerdict) -> dict[str, Any]:
    """Return the figure of some metrics, the baseline's first steps beside the first of them."""
    first = metrics[0]
    lines: dict[str, tuple[Sequence[int], Sequence[float]]] = {
        metric.name: (metric.steps, metric.values) for metric in metrics
    }
    old = verdict.baseline.metrics.get(first.name) if verdict.baseline else None
    if old and old.head and len(metrics) < _LINES:
        lines["baseline, first steps"] = first.steps[: len(old.head)], old.head
    names = {metric.name for metric in metrics}
    bands = {
        f"{one.rule}, healthy {one.observe}": (one.low, one.high)
        for one in verdict.healthy
        if one.observe in _OF_VALUES and names & set(one.metrics)
    }
    values = [abs(v) for _, found in lines.values() for v in found if math.isfinite(v)]
    least = min(values, default=0.0)
    positive = all(v > 0 for _, found in lines.values() for v in found if math.isfinite(v))
    title = "Gradient norms of parameters" if first.group == "parameter" else first.name
    if len(metrics) > 1 and first.group != "parameter":
        title = f"{first.name} and {', '.join(metric.name for metric in metrics[1:])}"
    wide = positive and max(values, default=0.0) > _WIDE * least > 0
    return line(title, lines, bands=bands, log=wide)


def _largest(metric: Metric) -> float:
    """Return the largest finite value of a metric."""
    return max(filter(math.isfinite, metric.values), default=0.0)
