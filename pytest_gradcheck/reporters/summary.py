"""Write a report as a short Markdown summary: the counts, and what failed, the drifted first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.causes import shown, together
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
    bad = together(_worst(report.entries), lambda entry: cause_of(entry) if entry.drifted else "")
    yield from table(
        ["call", "what", "norm", "was", "probable cause, or first finding"],
        (_row(cause, calls) for cause, calls in bad[:rows]),
    )
    rest = sum(len(calls) for _, calls in bad[rows:])
    if rest:
        yield f"... and {rest} more"
        yield ""
    told = [calls[0] for _, calls in bad] + [one for _, calls in bad for one in calls[1:]]
    for entry in told[:stories]:
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


def _row(cause: str, calls: Sequence[ReportEntry]) -> list[str]:
    """Return the row of one call, or of several that drifted for one cause."""
    first = calls[0]
    gradients = first.gradients if len(calls) == 1 else None
    failed = dict.fromkeys(check for one in calls for check in one.failed if check != "drift")
    what = [*(["drifted"] if first.drifted else []), *failed]
    return [
        "<br>".join(shown([code(one.title) for one in calls])),
        prose(", ".join(what) or first.baseline),
        number(gradients.measurement.norm if gradients else None),
        number(gradients.baseline.norm if gradients and gradients.baseline else None),
        prose(cause or cause_of(first)),
    ]
