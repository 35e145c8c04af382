"""Tell in a few lines what failed in a call: what the short reports show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.explain import explain, finding_lines
from pytest_gradcheck.records import SeriesVerdict
from pytest_gradcheck.series.explain import explain_series

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import ReportEntry

__all__ = ["cause_of", "story", "story_of"]


def story(entry: ReportEntry, *, most: int = 40) -> list[str]:
    """Return what failed in a call, as its test said it.

    Args:
        entry: of the call.
        most: lines.
    """
    verdict = entry.verdict
    if verdict is None:
        return [_plain(entry)]
    if not verdict.failures:  # drift that is tolerated, or re-recorded
        drift = verdict.result("drift")
        names = _names(entry)
        found = list(finding_lines(drift, names)) if drift and drift.findings else []
        return _cut([_plain(entry), *found], most)
    if isinstance(verdict, SeriesVerdict):
        return _cut(explain_series(verdict), most)
    return _cut(explain(verdict), most)


def story_of(entry: ReportEntry, check: str, *, most: int = 4) -> list[str]:
    """Return what one check of a call found: which test, the first findings, the probable cause.

    Args:
        entry: of the call.
        check: by name.
        most: findings.
    """
    lines = [f"{check}: {entry.title}"]
    result = entry.verdict.result(check) if entry.verdict else None
    if result is None or entry.verdict is None:
        return lines
    lines += _cut(list(finding_lines(result, _names(entry))), most)
    return [*lines, *(f"cause: {sentence}" for sentence in result.diagnosis)]


def cause_of(entry: ReportEntry) -> str:
    """Return the one sentence that tells most: a diagnosis, a finding, a reason."""
    verdict = entry.verdict
    found = next((s for one in verdict.results for s in one.diagnosis), "") if verdict else ""
    if found:
        return found
    told = next(iter(verdict.failures), None) if verdict else None
    if told is None and verdict and entry.drifted:
        told = verdict.result("drift")  # which is tolerated, or re-recorded
    if told and told.findings:
        finding = told.findings[0]
        return f"{told.check}: {finding.subject}: {finding.text}"
    if entry.drifted:
        return entry.reason
    if not entry.failed and entry.outcome == "failed":
        return "every check of the call passed; the test failed for another reason"
    return entry.reason


def _names(entry: ReportEntry) -> set[str]:
    """Return the names of the parameters; a training run has findings about none."""
    verdict = entry.gradients
    return {p.name for p in verdict.measurement.native.parameters} if verdict else set()


def _plain(entry: ReportEntry) -> str:
    """Return what is known of a call without its verdict."""
    what = ", ".join(entry.failed) or ("drift" if entry.drifted else entry.baseline)
    return f"{entry.title}: {what}{f': {entry.reason}' if entry.reason else ''}"


def _cut(lines: list[str], most: int) -> list[str]:
    """Return at most so many lines, saying how many more there are."""
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"  ... and {len(lines) - most + 1} more"]
