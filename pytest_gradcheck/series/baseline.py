"""Keep of a series what a later run can be held against, and hold it against that.

Requirements:
    Training amplifies rounding: two runs with the same seeds on two machines agree in the first
    steps and part later. Therefore the first steps are compared one by one, with an allowance that
    grows from step to step; of the rest only means are compared, each with an allowance of its own,
    and at how many steps a metric was seen. What the loop sets itself (learning rates, thresholds)
    is compared exactly.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.records import CheckResult, Finding, MetricBaseline, SeriesBaseline
from pytest_gradcheck.series.allowance import COUNTED, HEAD, MISSED, allowances, parting
from pytest_gradcheck.series.diagnose import diagnose_series
from pytest_gradcheck.series.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pytest_gradcheck.records import Metric, Series

__all__ = ["compare_kept", "compare_series", "kept", "refreshed"]

_HINT = "if the change is intended, run again with --grad-baseline-update and review the diff"


def kept(series: Series) -> SeriesBaseline:
    """Return what becomes the baseline of a series; NaN where a metric was not always finite."""
    return SeriesBaseline(
        objective=series.objective,
        backend=series.backend,
        device=series.device,
        steps=series.steps,
        metrics={metric.name: _kept(metric, series) for metric in series.metrics},
        facts=series.facts,
        packages=series.packages,
    )


def refreshed(new: SeriesBaseline, old: SeriesBaseline, result: CheckResult) -> SeriesBaseline:
    """Return a new baseline that keeps the old lines of metrics that did not drift."""
    moved = {finding.subject for finding in result.findings}
    if new.steps != old.steps:
        return new
    metrics = {
        name: line if name in moved or name not in old.metrics else old.metrics[name]
        for name, line in new.metrics.items()
    }
    return dataclasses.replace(new, metrics=metrics)


def compare_series(
    series: Series, baseline: SeriesBaseline, *, min_drift: float | None = None
) -> CheckResult:
    """Hold a series against its baseline.

    Args:
        series: of this run.
        baseline: of an earlier one.
        min_drift: relative change below which drift is ignored.
    """
    names = [metric.name for metric in series.metrics]
    structure = tuple(_structure(series.steps, names, baseline))
    found = (
        ()
        if structure
        else [
            finding
            for metric in series.metrics
            for finding in _drift(_seen(metric), baseline.metrics[metric.name], min_drift or 0.0)
        ]
    )
    return _judged(structure, found, {metric.name: metric.key for metric in series.metrics})


def compare_kept(
    now: SeriesBaseline, was: SeriesBaseline, *, min_drift: float | None = None
) -> CheckResult:
    """Hold what is kept of a series against what was kept of it before, as `compare_series`.

    Args:
        now: the later one, whose first steps are taken to be those of the earlier one.
        was: the earlier one, by whose allowances it is judged.
        min_drift: relative change below which drift is ignored.
    """
    structure = tuple(_structure(now.steps, [*now.metrics], was))
    found = (
        ()
        if structure
        else [
            finding
            for name, line in now.metrics.items()
            for finding in _drift(
                _Seen(name, [*enumerate(line.head)], line.mean, line.tail, line.seen),
                was.metrics[name],
                min_drift or 0.0,
            )
        ]
    )
    return _judged(structure, found, {name: name for name in now.metrics})


def _judged(
    structure: Sequence[Finding], found: Sequence[Finding], keys: Mapping[str, str]
) -> CheckResult:
    """Return the result of a comparison; metrics are diagnosed by what their names mean."""
    if structure:
        return CheckResult(
            check="drift",
            outcome="failed",
            reason="structure",
            findings=tuple(structure),
            hints=(_HINT,),
        )
    if not found:
        return CheckResult(check="drift", outcome="passed")
    return CheckResult(
        check="drift",
        outcome="failed",
        reason="drift",
        findings=tuple(found),
        hints=(_HINT,),
        diagnosis=tuple(diagnose_series(found, keys)),
    )


def _kept(metric: Metric, series: Series) -> MetricBaseline:
    """Return what is kept of one metric."""
    if not metric.finite:
        nan = math.nan
        return MetricBaseline(head=(), mean=nan, tail=nan, head_allowance=nan, mean_allowance=nan)
    summary = summarise(metric)
    first, mean, tail = allowances(metric, series)
    return MetricBaseline(
        head=() if metric.key in COUNTED else metric.values[:HEAD],
        mean=summary.mean,
        tail=summary.tail_mean,
        head_allowance=first,
        mean_allowance=mean,
        tail_allowance=tail,
        seen=len(metric.values),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """Hold what is compared of a metric."""

    name: str
    head: Sequence[tuple[int, float]]  # step and value
    mean: float
    tail: float
    seen: int | None = None
    over: str = ""  # so many steps
    last: str = ""  # so many of them


def _seen(metric: Metric) -> _Seen:
    """Return what is compared of a metric."""
    summary = summarise(metric)
    return _Seen(
        metric.name,
        [*zip(metric.steps, metric.values, strict=True)][:HEAD],
        summary.mean,
        summary.tail_mean,
        summary.count,
        f" of {summary.count} steps",
        f"{summary.tail} ",
    )


def _structure(steps: int, names: Collection[str], baseline: SeriesBaseline) -> Iterator[Finding]:
    """Yield what was watched then and not now, or now and not then."""
    if steps != baseline.steps:
        text = f"{baseline.steps} -> {steps} steps"
        yield Finding(subject="steps", text=text)
    yield from (
        Finding(subject=name, text="no longer seen")
        for name in baseline.metrics
        if name not in names
    )
    yield from (
        Finding(subject=name, text="not in the baseline")
        for name in names
        if name not in baseline.metrics
    )


def _drift(seen: _Seen, old: MetricBaseline, min_drift: float) -> Iterator[Finding]:
    """Yield how a metric drifted, if it did: at a first step, in number, on the whole, or late."""
    for (step, value), was in zip(seen.head, old.head, strict=False):
        allowed = max(old.head_allowance * parting(step), min_drift * abs(was))
        if not abs(value - was) <= allowed:
            yield _finding(seen.name, f"step {step}", was, value, allowed)
            return
    number = (seen.seen, old.seen) if seen.seen is not None and old.seen is not None else (0, 0)
    for what, value, was, allowance in (
        ("steps seen", *number, max(2.0, MISSED * number[1])),
        (f"mean{seen.over}", seen.mean, old.mean, old.mean_allowance),
        (f"mean of the last {seen.last}steps", seen.tail, old.tail, old.late_allowance),
    ):
        allowed = max(allowance, min_drift * abs(was))
        if not abs(value - was) <= allowed:
            yield _finding(seen.name, what, was, value, allowed)
            return


def _finding(name: str, what: str, was: float, value: float, allowed: float) -> Finding:
    """Return one line of drift."""
    text = f"{what}: {was:.6g} -> {value:.6g}, change {abs(value - was):.3g}, allowed {allowed:.2g}"
    return Finding(subject=name, text=text, observed=value, limit=allowed)
