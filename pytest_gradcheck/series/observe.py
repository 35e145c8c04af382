"""Take the one number of a metric that a rule looks at, and say in words what it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.series.summary import Summary, summarise
from pytest_gradcheck.stats.trend import trend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import Metric, Series
    from pytest_gradcheck.series.rules import Rule
    from pytest_gradcheck.stats.trend import Trend

__all__ = ["Observation", "observations"]

_MOST = 700.0  # whose exponential is a number
_MAGNITUDES = 100.0  # largest over smallest value, from where growth is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Hold what a rule looks at.

    Attributes:
        subject: the metric's name.
        value: to hold against the rule's ranges.
        text: what it is, ready to read.
    """

    subject: str
    value: float
    text: str


def observations(rule: Rule, series: Series) -> Iterator[Observation]:
    """Yield what a rule looks at, for each metric that it is about."""
    metrics = series.matching(rule.metric)
    for metric in metrics:
        tail = rule.last or max(len(metric.values), 1)
        summary = summarise(metric, tail=tail, start=rule.start)
        if not summary.count:
            continue
        if rule.observe == "share":
            yield _share(rule, metric, metrics)
        elif rule.observe == "ratio":
            yield _ratio(rule, metric, series)
        else:
            value, text = _plain(rule, metric, summary)
            context = _inputs(metric, series) if metric.key.endswith(".max_abs") else ""
            yield Observation(subject=metric.name, value=value, text=context or text)


def _plain(  # noqa: PLR0911 - one for each thing to observe
    rule: Rule, metric: Metric, summary: Summary
) -> tuple[float, str]:
    """Return what is observed of one metric alone."""
    steps = _span(rule, metric)
    late = f"the last {summary.tail} steps"
    line = summary.trend
    if rule.observe == "nonfinite":
        bad = [s for s, v in zip(metric.steps, metric.values, strict=True) if not math.isfinite(v)]
        where = f", first at step {bad[0]}" if bad else ""
        return (
            summary.nonfinite,
            f"NaN or Inf at {summary.nonfinite} of {summary.count} steps{where}",
        )
    if rule.observe in {"min", "max"}:
        value = summary.low if rule.observe == "min" else summary.high
        at = [s for s, v in zip(metric.steps, metric.values, strict=True) if v == value]
        word = "smallest" if rule.observe == "min" else "largest"
        return value, f"{word} value {value:.4g}" + (f", at step {at[0]}" if at else "")
    if rule.observe == "trend":
        told = line.rises or line.falls
        growth = None if told else _growth(rule, metric)
        line = growth or line
        slope, low, high = (
            math.exp(min(one, _MOST)) if growth else one
            for one in (line.slope, line.low, line.high)
        )
        way = "rises" if line.rises else "falls" if line.falls else "neither rises nor falls"
        what = "factor" if growth else "slope"
        return _units(line), (
            f"{way}: {summary.first:.4g} -> {summary.last:.4g} over {summary.tail} steps "
            f"({what} {slope:.3g} per step, 95 % interval {low:.3g} to {high:.3g})"
        )
    if rule.observe == "spread":
        value = line.spread / abs(summary.tail_mean) if summary.tail_mean else 0.0
        return value, f"varies by {value:.3g} of its mean over {late}"
    if rule.observe == "tail":
        return summary.tail_mean, f"mean {summary.tail_mean:.4g} over {late}"
    if rule.observe == "last":
        return summary.last, f"last value {summary.last:.4g}"
    return summary.mean, f"mean {summary.mean:.4g} over {steps}"


def _growth(rule: Rule, metric: Metric) -> Trend | None:
    """Return the line through the logarithms, ``None`` where that tells no more than the values.

    What explodes, or decays, over orders of magnitude is no line: its last value is all there is.
    """
    pairs = zip(metric.steps, metric.values, strict=True)
    known = [(step, v) for step, v in pairs if step >= rule.start and math.isfinite(v)]
    known = known[-rule.last :]  # 0 for all
    values = [value for _, value in known]
    if min(values, default=0.0) <= 0 or max(values) < _MAGNITUDES * min(values):
        return None
    line = trend([step for step, _ in known], [math.log(value) for value in values])
    return line if line.rises or line.falls else None


def _units(line: Trend) -> float:
    """Return a slope in half widths of its interval; 0 where the points cannot tell."""
    half = (line.high - line.low) / 2
    if math.isinf(half) or line.slope == 0:
        return 0.0
    return line.slope / half if half else math.copysign(math.inf, line.slope)


def _share(rule: Rule, metric: Metric, metrics: tuple[Metric, ...]) -> Observation:
    """Return the mean share of a metric in all that match, step by step."""
    whole: dict[int, float] = {}
    for one in metrics:
        for step, value in zip(one.steps, one.values, strict=True):
            whole[step] = whole.get(step, 0.0) + abs(value)
    shares = [
        abs(value) / whole[step]
        for step, value in zip(metric.steps, metric.values, strict=True)
        if step >= rule.start and whole[step] > 0 and math.isfinite(whole[step])
    ]
    share = sum(shares) / len(shares) if shares else 0.0
    text = f"share {share:.3f} of {len(metrics)}, mean over {_span(rule, metric)}"
    return Observation(subject=metric.name, value=share, text=text)


def _ratio(rule: Rule, metric: Metric, series: Series) -> Observation:
    """Return the ratio of the mean absolute values of two metrics."""
    others = series.matching(rule.against)
    mine, other = _size(rule, metric), _size(rule, others[0]) if others else math.nan
    value = mine / other if other else (math.nan if math.isnan(other) or mine == 0 else math.inf)
    text = f"{value:.4g} times {rule.against} ({mine:.4g} against {other:.4g}, mean sizes)"
    if not others:
        text = f"there is no metric {rule.against!r} to hold it against"
    return Observation(subject=metric.name, value=value, text=text)


def _size(rule: Rule, metric: Metric) -> float:
    """Return the mean absolute value of a metric."""
    values = [abs(v) for s, v in zip(metric.steps, metric.values, strict=True) if s >= rule.start]
    return sum(values) / len(values) if values else math.nan


def _inputs(metric: Metric, series: Series) -> str:
    """Say what was fed to the model, at its widest."""
    name = metric.name.removesuffix(".max_abs")
    low = summarise(series[f"{name}.min"]).low
    high = summarise(series[f"{name}.max"]).high
    mean, std = (summarise(series[f"{name}.{one}"]).mean for one in ("mean", "std"))
    return f"values from {low:.4g} to {high:.4g}, mean {mean:.4g}, standard deviation {std:.4g}"


def _span(rule: Rule, metric: Metric) -> str:
    """Return which steps were looked at."""
    known = [step for step in metric.steps if step >= rule.start]
    return f"steps {known[0]} to {known[-1]}" if len(known) > 1 else f"step {known[0]}"
