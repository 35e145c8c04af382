"""Write a report as a short Markdown summary: the counts, and what failed, the drifted first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.markup import code, fence, number, prose, table
from pytest_gradcheck.reporters.story import cause_of, story

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["LIMIT", "summary_text"]

LIMIT = 1024 * 1024
"""Bytes of a summary that GitHub takes from one step of a job; a larger one is dropped whole."""

_STORIES = 20
_ROWS = 50
_LINES = 40  # of one story


def summary_text(report: Report, *, limit: int = LIMIT) -> str:
    """Return the summary, made shorter until it fits; empty where nothing does, or nothing was.

    Args:
        report: what the run found out.
        limit: the most bytes, in UTF-8.
    """
    if not report.entries:
        return ""
    for stories, rows in ((_STORIES, _ROWS), (3, _ROWS), (0, _ROWS), (0, 5), (0, 0)):
        text = "\n".join(_lines(report, stories, rows)).rstrip("\n") + "\n\n"
        if len(text.encode("utf-8", "backslashreplace")) <= limit:
            return text
    return ""


def _lines(report: Report, stories: int, rows: int) -> Iterator[str]:
    """Yield the summary with at most so many stories and rows."""
    counts = report.counts
    said = ", ".join(f"{n} {name}" for name, n in counts.items() if n or name == "checked")
    yield f"### Gradients: {'passed' if report.passed else 'FAILED'}"
    yield ""
    yield f"{said}; {report.seconds:.2f} s of gradient work"
    yield ""
    bad = _worst(report.entries)
    yield from table(
        ["call", "what", "norm", "was", "probable cause, or first finding"], map(_row, bad[:rows])
    )
    if len(bad) > rows:
        yield f"... and {len(bad) - rows} more"
        yield ""
    for entry in bad[:stories]:
        yield f"<details><summary>{prose(entry.title)}</summary>"
        yield ""
        yield from fence(story(entry, most=_LINES))
        yield "</details>"
        yield ""
    yield from (f"- {prose(note)}" for note in report.notes[:rows])


def _worst(entries: Sequence[ReportEntry]) -> list[ReportEntry]:
    """Return the calls to look at: drifted ones, other failures, what has no baseline."""

    def rank(entry: ReportEntry) -> int | None:
        if entry.drifted:
            return 0
        if set(entry.failed) - {"drift"}:
            return 1
        return 2 if entry.failed or entry.baseline == "withheld" else None

    ranked = [(rank(entry), i) for i, entry in enumerate(entries)]
    return [entries[i] for place, i in sorted((p, i) for p, i in ranked if p is not None)]


def _row(entry: ReportEntry) -> list[str]:
    """Return the row of one call."""
    gradients = entry.gradients
    failed = [check for check in entry.failed if check != "drift"]
    what = [*(["drifted"] if entry.drifted else []), *failed]
    return [
        code(entry.title),
        prose(", ".join(what) or entry.baseline),
        number(gradients.measurement.norm if gradients else None),
        number(gradients.baseline.norm if gradients and gradients.baseline else None),
        prose(cause_of(entry)),
    ]
