"""Turn the verdict of a training run into lines: failed rules first, then what to try."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_gradcheck.explain import MAX_LINES, WIDTH, cut, finding_lines, hints
from pytest_gradcheck.series.summary import summarise
from pytest_gradcheck.tabling import Change, change_lines, short_pair
from pytest_gradcheck.wording import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import CheckResult, SeriesVerdict

__all__ = ["explain_series"]

_CHANGE = re.compile(
    r"(?P<at>.+): (?P<was>\S+) -> (?P<now>\S+), change (?P<change>\S+), allowed (?P<allowed>\S+)"
)
_WHOLE = re.compile(r"mean of \d+ steps")
MAX_FINDINGS = 6  # of one rule; more say no more


def explain_series(
    verdict: SeriesVerdict, *, verbose: bool = False, width: int = WIDTH
) -> list[str]:
    """Return the story of a training run.

    First what failed, in which run; a line for each finding with observed and range; the probable
    cause; what to try, in order; where the run ended.

    Args:
        verdict: to explain.
        verbose: show every finding, with names at full length.
        width: of the lines; only a word that is longer than that makes a longer line.
    """
    series, failures = verdict.series, verdict.failures
    title = f"training of '{series.objective}' ({series.backend}), {series.steps} steps"
    if verdict.name:
        title += f" in '{verdict.name}'"
    judged = sum(result.outcome != "skipped" for result in verdict.results)
    if not failures:
        return [f"{title}: {judged} rules hold"]
    head = fitted([f"{title}: {len(failures)} of {judged} rules failed"], width)
    body = [
        line
        for result in failures
        for line in fitted(_findings(result, verbose=verbose, width=width), width)
    ]
    lines: list[str] = []
    remarks = [r for r in verdict.results if r.outcome == "passed" and r.findings]
    lines += [f"  note: {line.strip()}" for r in remarks for line in finding_lines(r, ())]
    lines += [f"  cause: {sentence}" for result in failures for sentence in result.diagnosis]
    lines += [f"  next step {i}: {step}" for i, step in enumerate(verdict.next_steps, start=1)]
    lines.append(f"  at the end: {_end(verdict)}")
    lines += [f"  note: {note}" for note in series.notes]
    beside = fitted([*lines, *hints(failures)], width)
    if not verbose:
        body = cut(body, max(MAX_FINDINGS, MAX_LINES - len(head) - len(beside)))
    return [*head, *body, *beside]


def _findings(result: CheckResult, *, verbose: bool, width: int) -> Iterator[str]:
    """Yield the lines of one rule, the first few unless verbose; drift as a table."""
    rows = [_CHANGE.fullmatch(finding.text) for finding in result.findings]
    count = len(rows)
    shown = count if verbose or count <= MAX_FINDINGS else MAX_FINDINGS - 1
    if all(rows):
        changes = [
            Change(
                name=f"{finding.subject}, {_WHOLE.sub('mean', row['at'])}",
                was=short_pair(row["was"], row["now"])[0],
                now=short_pair(row["was"], row["now"])[1],
                others=(row["change"], row["allowed"]),
            )
            for finding, row in zip(result.findings[:shown], rows, strict=False)
            if row is not None
        ]
        heads = ("baseline", "now", "change", "allowed")
        yield from change_lines(result.check, heads, changes, width=0 if verbose else width)
    else:
        yield from list(finding_lines(result, ()))[:shown]
    if shown < count:
        yield f"  ... and {count - shown} more of {result.check}; -v shows all of them"


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
            parts.append(f"{metric.name} {metric.values[0]:.4g} -> {metric.values[-1]:.4g}")
    return f"{', '.join(parts)}; {series.steps} steps on {series.device}"
