"""Gather what the page shows of a training run: its rules, its metrics, what to try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.html.packing import rounded
from pytest_gradcheck.reporters.html.results import judged
from pytest_gradcheck.reporters.html.series_figures import series_figures
from pytest_gradcheck.series.explain import explain_series
from pytest_gradcheck.series.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import Metric, Scalar, SeriesVerdict
    from pytest_gradcheck.reporters import ReportEntry

__all__ = ["series_call"]


def series_call(
    entry: ReportEntry, verdict: SeriesVerdict, machine: Mapping[str, Scalar]
) -> dict[str, Any]:
    """Return everything that the page shows of one training run.

    Args:
        entry: of the call.
        verdict: of the call.
        machine: versions and platform of the run.
    """
    series = verdict.series
    shared = {name: machine[name] for name in ("python", "platform") if name in machine}
    now = {"device": series.device, **shared, **series.packages, **series.facts}
    was = verdict.baseline
    old: dict[str, Scalar] = {} if was is None else {"device": was.device, **was.packages}
    if was is not None:
        old |= was.facts
    content = {
        **judged(verdict.results, explain_series(verdict) if verdict.failures else []),
        "command": entry.command,
        "notes": [*series.notes, *(f"Next step: {step}" for step in verdict.next_steps)],
        "figures": series_figures(verdict),
        "metrics": [_row(metric) for metric in series.metrics],
        "environment": [
            [name, _text(old.get(name)), _text(now.get(name))]
            for name in dict.fromkeys([*now, *old])
        ],
        "configuration": [
            ["objective", series.objective],
            ["backend", series.backend],
            ["steps", str(series.steps)],
            *([f"rule {name}", text] for name, text in verdict.limits.items()),
        ],
    }
    return {name: part for name, part in content.items() if part not in ([], None, "")}


def _row(metric: Metric) -> list[Any]:
    """Return the row of one metric: its name, its group, its summary."""
    found = summarise(metric)
    numbers = (found.last, found.low, found.high, found.mean, found.tail_mean, found.trend.slope)
    return [metric.name, metric.group, *(rounded(one) for one in numbers)]


def _text(value: object) -> str | None:
    """Return a value as text, ``None`` where there is none."""
    return None if value is None else str(value)
