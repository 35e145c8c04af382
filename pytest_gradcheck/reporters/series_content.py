"""What machines read of a training run: what was asked, flat summaries, every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_gradcheck.series.summary import by_epoch, summarise

if TYPE_CHECKING:
    from pytest_gradcheck.records import SeriesVerdict

__all__ = ["series_content"]


def series_content(verdict: SeriesVerdict) -> dict[str, Any]:
    """Return the ``config``, the ``metrics`` and the ``series`` of a training run.

    ``metrics`` has each metric's ``last``, ``min``, ``max``, ``mean``, ``tail_mean`` and ``slope``
    under ``name.statistic``; ``series`` has ``steps`` and ``values`` by name.
    """
    series = verdict.series
    table: dict[str, Any] = {"steps": series.steps, "seconds": series.seconds}
    for metric in series.metrics:
        summary = summarise(metric)
        line = summary.trend
        table |= {
            f"{metric.name}.last": summary.last,
            f"{metric.name}.min": summary.low,
            f"{metric.name}.max": summary.high,
            f"{metric.name}.mean": summary.mean,
            f"{metric.name}.tail_mean": summary.tail_mean,
            f"{metric.name}.slope": line.slope,
            f"{metric.name}.slope_low": line.low,
            f"{metric.name}.slope_high": line.high,
        }
        if metric.key == "clipped":
            ratios = by_epoch(series, metric)
            table |= {f"{metric.name}.epoch.{i}": ratio for i, ratio in enumerate(ratios)}
    return {
        "config": {
            "objective": series.objective,
            "backend": series.backend,
            "device": series.device,
            "limits": dict(verdict.limits),
            "facts": dict(series.facts),
            "packages": dict(series.packages),
        },
        "metrics": table,
        "series": {
            metric.name: {
                "group": metric.group,
                "steps": list(metric.steps),
                "values": list(metric.values),
            }
            for metric in series.metrics
        },
        "next_steps": list(verdict.next_steps),
    }
