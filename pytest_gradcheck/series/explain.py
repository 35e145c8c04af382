"""Turn the verdict of a training run into lines: failed rules first, then what to try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.explain import finding_lines
from pytest_gradcheck.series.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import CheckResult, SeriesVerdict

__all__ = ["explain_series"]

MAX_FINDINGS = 6  # of one rule; more say no more


def explain_series(verdict: SeriesVerdict, *, verbose: bool = False) -> list[str]:
    """Return the story of a training run.

    First what failed, in which run; a line for each finding with observed and range; the probable
    cause; what to try, in order; where the run ended.

    Args:
        verdict: to explain.
        verbose: show every finding, and remarks on what is neither healthy nor bad.
    """
    series, failures = verdict.series, verdict.failures
    title = f"training of '{series.objective}' ({series.backend}), {series.steps} steps"
    if verdict.name:
        title += f" in '{verdict.name}'"
    judged = sum(result.outcome != "skipped" for result in verdict.results)
    if not failures:
        return [f"{title}: {judged} rules hold"]
    lines = [f"{title}: {len(failures)} of {judged} rules failed"]
    for result in failures:
        lines += _findings(result, verbose=verbose)
    remarks = [r for r in verdict.results if r.outcome == "passed" and r.findings]
    lines += [f"  note: {line.strip()}" for r in remarks for line in finding_lines(r, ())]
    lines += [f"  cause: {sentence}" for result in failures for sentence in result.diagnosis]
    lines += [f"  next step {i}: {step}" for i, step in enumerate(verdict.next_steps, start=1)]
    lines.append(f"  at the end: {_end(verdict)}")
    lines += [f"  note: {note}" for note in series.notes]
    hints = [hint for result in failures for hint in result.hints]
    return [*lines, *(f"  hint: {hint}" for hint in hints[:1])]


def _findings(result: CheckResult, *, verbose: bool) -> Iterator[str]:
    """Yield the lines of one rule, the first few unless verbose."""
    lines = list(finding_lines(result, ()))
    shown = lines if verbose or len(lines) <= MAX_FINDINGS else lines[: MAX_FINDINGS - 1]
    yield from shown
    if len(shown) < len(lines):
        yield f"  ... and {len(lines) - len(shown)} more of {result.check}; -v shows all of them"


def _end(verdict: SeriesVerdict) -> str:
    """Return how the run went, in a line."""
    series = verdict.series
    metrics = [m for m in series.metrics if m.key in {"loss", "norm", "clipped"}]
    parts = []
    for metric in metrics:
        summary = summarise(metric)
        if metric.key == "clipped":
            parts.append(f"{metric.name} {100 * summary.mean:.0f} % of steps")
        else:
            parts.append(f"{metric.name} {summary.first:.4g} -> {summary.last:.4g}")
    return f"{', '.join(parts)}; {series.steps} steps on {series.device}"
