"""Hold a series against rules: what failed, what was seen, what to try, in which order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.records import CheckResult, Finding, Healthy, SeriesVerdict
from pytest_gradcheck.series.observe import observations
from pytest_gradcheck.series.rules import STEPS, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_gradcheck.records import Series

__all__ = ["judge_series", "next_steps", "ranges"]


def judge_series(
    series: Series,
    rules: Sequence[Rule],
    *,
    name: str = "",
    limits: Mapping[str, str] | None = None,
) -> SeriesVerdict:
    """Return what the rules say of a series.

    Args:
        series: to judge.
        rules: in the order in which they are reported.
        name: of the call within its test.
        limits: in force, as text, for reports.
    """
    results = tuple(_judged(rule, series) for rule in rules)
    failed = {one.check for one in results if one.outcome == "failed" and one.reason != "absent"}
    sound = any(r.check == "inputs" and r.outcome == "passed" and not r.findings for r in results)
    return SeriesVerdict(
        name=name,
        series=series,
        results=results,
        limits=dict(limits or {}),
        healthy=tuple(_healthy(rule, series) for rule in rules if series.matching(rule.metric)),
        next_steps=tuple(
            step
            for step in next_steps((r for r in rules if r.name in failed), series)
            if not (sound and step.startswith("input scale:"))  # seen, and not the cause
        ),
    )


def ranges(rule: Rule) -> str:
    """Return a rule's ranges in words."""
    text = f"healthy {_range(rule.healthy)}"
    if rule.bad is None:
        return text
    low, high = rule.bad
    if math.isinf(high):
        return f"{text}, too high from {low:g}"
    if math.isinf(low):
        return f"{text}, too low up to {high:g}"
    return f"{text}, bad {_range(rule.bad)}"


def next_steps(failed: Iterable[Rule], series: Series) -> Iterator[str]:
    """Yield what to try, each once: what the users' own rules say first, then by likely impact."""
    wanted = list(dict.fromkeys(step for rule in failed for step in rule.next_steps))
    yield from (step for step in wanted if step not in STEPS)
    for step, sentence in STEPS.items():
        if step not in wanted or (step == "batch size" and not series.facts.get("batch_norm")):
            continue
        batch = series.facts.get("batch")
        seen = f" (batches of {batch} were seen)" if step == "batch size" and batch else ""
        yield f"{step}: {sentence}{seen}"


def _judged(rule: Rule, series: Series) -> CheckResult:
    """Return what one rule says."""
    found = list(observations(rule, series))
    if not found:
        return _absent(rule, series)
    zones = [(one, rule.zone(one.value)) for one in found]
    bad = [one for one, zone in zones if zone == "bad"]
    shown = bad or [one for one, zone in zones if zone == "between"]
    findings = tuple(
        Finding(
            subject=one.subject,
            text=f"{one.text}; {ranges(rule)}",
            observed=one.value,
            limit=_limit(rule, one.value),
        )
        for one in shown
    )
    return CheckResult(
        check=rule.name,
        outcome="failed" if bad else "passed",
        findings=findings,
        reason="" if bad or not shown else "not healthy, not bad",
    )


def _healthy(rule: Rule, series: Series) -> Healthy:
    """Return the healthy range of a rule."""
    low, high = (float(end) if math.isfinite(end) else None for end in rule.healthy)
    names = tuple(metric.name for metric in series.matching(rule.metric))
    return Healthy(rule=rule.name, observe=rule.observe, metrics=names, low=low, high=high)


def _absent(rule: Rule, series: Series) -> CheckResult:
    """Return what a rule says where there is nothing to look at."""
    names = [metric.name for metric in series.metrics if metric.group != "parameter"]
    text = f"no metric matches {rule.metric!r}"
    if series.matching(rule.metric):
        text = f"{rule.metric!r} has no value from step {rule.start} on"
    if not rule.required:
        return CheckResult(check=rule.name, outcome="skipped", reason=text)
    known = f"{text}; there are {', '.join(names)}, and norm.<parameter>"
    if rule.metric.startswith("component."):
        known = f"no component was seen ({text}): report them with run.log(components={{...}})"
        if rule.name == "max_share":
            known += ", or lift a limit that is written for other tests: max_share=None"
    return CheckResult(
        check=rule.name,
        outcome="failed",
        reason="absent",
        findings=(Finding(subject=rule.metric, text=known),),
    )


def _limit(rule: Rule, observed: float) -> float:
    """Return the end of the healthy range that was passed."""
    low, high = rule.healthy
    return float(low if observed < low else high)


def _range(bounds: tuple[float, float]) -> str:
    """Return a range in words."""
    low, high = bounds
    if math.isinf(low) and math.isinf(high):
        return "whatever"
    if math.isinf(low):
        return f"up to {high:g}"
    if math.isinf(high):
        return f"from {low:g}"
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
