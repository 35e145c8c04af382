"""Write what became of a training run, as sections of a Markdown page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.markup import code, fence, number, prose, table
from pytest_gradcheck.series.explain import explain_series
from pytest_gradcheck.series.summary import Summary, by_epoch, ends, summarise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_gradcheck.records import Metric, Series, SeriesVerdict

__all__ = ["series_lines", "series_overview"]

_HEAD = [
    "metric",
    "last",
    "min",
    "max",
    "mean",
    "mean of the tail",
    "slope of the tail",
    "interval",
]
_OWN = ("core", "component", "scale", "parameter")  # groups with a section of their own


def series_overview(series: Series) -> tuple[float | None, int, int]:
    """Return the last gradient norm, and how many numbers of the run are NaN and Inf."""
    norms = series.matching("norm")
    values = [value for metric in series.metrics for value in metric.values]
    last = norms[0].values[-1] if norms else None
    return last, sum(map(math.isnan, values)), sum(map(math.isinf, values))


def series_lines(verdict: SeriesVerdict, *, top: int) -> Iterator[str]:
    """Yield the sections of one training run: what it was, its health, its numbers, what to try.

    Args:
        verdict: what to write.
        top: the most rows in the table of parameters.
    """
    series = verdict.series
    groups = dict.fromkeys(m.group for m in series.metrics if m.group not in _OWN)
    yield from _run_info(verdict)
    yield from _health(verdict)
    yield from _titled("Scale checks", _HEAD, _rows(_of(series, "scale")))
    yield from _titled("Core metrics", _HEAD, _rows(_of(series, "core")))
    yield from _epochs(series)
    yield from _titled("Components", _HEAD, _rows(_of(series, "component")))
    for group in groups:
        yield from _titled(f"Probe metrics: {code(group)}", _HEAD, _rows(_of(series, group)))
    yield from _parameters(series, top)
    yield from _samples(series)
    yield "### Next steps"
    yield ""
    steps = [prose(step) for step in verdict.next_steps] or ["none: every rule holds"]
    yield from (f"{i}. {step}" for i, step in enumerate(steps, start=1))
    yield ""
    if series.notes:
        yield "### Notes"
        yield ""
        yield from (f"- {prose(note)}" for note in series.notes)
        yield ""


def _run_info(verdict: SeriesVerdict) -> Iterator[str]:
    """Yield what was trained, how, and under which rules."""
    series = verdict.series
    rows: list[tuple[str, object]] = [
        ("objective", series.objective),
        ("backend", series.backend),
        ("device", series.device),
        ("steps", series.steps),
        ("epochs", len(series.epochs) + 1),
        ("seconds", f"{series.seconds:.2f}"),
        *series.facts.items(),
        *((f"rule {name}", text) for name, text in verdict.limits.items()),
        *((f"version of {name}", text) for name, text in series.packages.items()),
    ]
    yield from _titled("Run", ["what", "value"], ([prose(n), code(v)] for n, v in rows))


def _health(verdict: SeriesVerdict) -> Iterator[str]:
    """Yield what each rule says, then the story where one failed."""
    yield from _titled(
        f"Health: {'PASS' if verdict.passed else 'FAIL'}",
        ["rule", "outcome", "observed"],
        (
            [
                prose(one.check),
                "FAILED" if one.outcome == "failed" else one.outcome,
                "; ".join(f"{code(f.subject)} {prose(f.text)}" for f in one.findings[:3])
                or prose(one.reason),
            ]
            for one in verdict.results
        ),
    )
    if not verdict.passed:
        yield from fence(explain_series(verdict, verbose=True))


def _epochs(series: Series) -> Iterator[str]:
    """Yield the clip ratio of each epoch."""
    if not series.epochs:
        return
    columns = [(metric.name, by_epoch(series, metric)) for metric in series.matching("clipped")]
    columns += [(metric.name, by_epoch(series, metric)) for metric in series.matching("loss")]
    yield from _titled(
        "Epochs",
        ["epoch", "first step", *(f"mean of {code(name)}" for name, _ in columns)],
        (
            [str(i), str(start), *(number(values[i]) for _, values in columns)]
            for i, start in enumerate((0, *series.epochs))
        ),
    )


def _parameters(series: Series, top: int) -> Iterator[str]:
    """Yield the gradient norms of the parameters; where there are many, of the largest."""
    metrics = sorted(_of(series, "parameter"), key=lambda metric: -summarise(metric).mean)
    title = "Gradient norms of parameters"
    if len(metrics) > top:
        title += f" ({top} of {len(metrics)})"
    yield from _titled(title, _HEAD, _rows(metrics[:top]))


def _samples(series: Series) -> Iterator[str]:
    """Yield the first and the last steps, as they were."""
    metrics = [m for m in series.metrics if m.group in {"core", "component", "logged"}]
    if not metrics:
        return
    seen = {m.name: dict(zip(m.steps, m.values, strict=True)) for m in metrics}
    head, tail = ends(metrics[0])
    for title, pairs in (("Samples: head", head), ("Samples: tail", tail)):
        yield from _titled(
            title,
            ["step", *(code(m.name) for m in metrics)],
            ([str(s), *(number(seen[m.name].get(s)) for m in metrics)] for s, _ in pairs),
        )


def _of(series: Series, group: str) -> list[Metric]:
    """Return the metrics of a group."""
    return [metric for metric in series.metrics if metric.group == group]


def _rows(metrics: Iterable[Metric]) -> Iterator[list[str]]:
    """Yield the row of each metric."""
    yield from (_row(summarise(metric)) for metric in metrics)


def _row(summary: Summary) -> list[str]:
    """Return the row of one metric."""
    line = summary.trend
    bad = f" ({summary.nonfinite} NaN or Inf)" if summary.nonfinite else ""
    return [
        code(summary.name) + bad,
        number(summary.last),
        number(summary.low),
        number(summary.high),
        number(summary.mean),
        f"{number(summary.tail_mean)} ({summary.tail})",
        number(line.slope),
        f"{number(line.low)} to {number(line.high)}",
    ]


def _titled(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table under a heading; nothing at all without rows."""
    lines = list(table(head, rows))
    if lines:
        yield f"### {title}"
        yield ""
        yield from lines
