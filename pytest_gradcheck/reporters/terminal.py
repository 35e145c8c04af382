"""Write the section that a run prints at its end.

First one paragraph of counts; then what the reader may have to act on, as lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_gradcheck.reporters.causes import shown, together
from pytest_gradcheck.reporters.story import cause_of
from pytest_gradcheck.wording import wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["TITLE", "Line", "Tone", "terminal_lines"]

TITLE = "gradients"

_EXPECTED = {"xfailed", "xpassed"}

Tone = Literal["", "good", "care", "bad", "quiet"]

_COUNTS = {
    "checked": "checked",
    "failed": "failed",
    "drifted": "drifted",
    "missing": "without a baseline",
    "unreadable": "with an unreadable baseline",
    "recorded": "recorded",
    "withheld": "withheld",
    "unused": "unused",
    "pruned": "pruned",
}


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one line and its tone, which is a colour where the terminal has colours."""

    text: str
    tone: Tone = ""


def terminal_lines(report: Report, *, width: int = 80, top: int = 20) -> list[Line]:
    """Return the lines of the section; none where there is nothing to say.

    Args:
        report: what the run found out.
        width: of the terminal. Only a word that is longer than that makes a longer line.
        top: the most items in a list.
    """
    if not (report.entries or report.unused or report.pruned or report.notes):
        return []
    entries = report.entries
    lists: tuple[tuple[str, Sequence[str], Tone], ...] = (
        (
            "no baseline, record with --grad-baseline-update",
            [_name(e) for e in entries if e.baseline == "missing" and not _hindrance(e)],
            "bad",
        ),
        (
            "no baseline, and none to be had (drift=False does without one)",
            [
                f"{_name(e)}: {_hindrance(e)}"
                for e in entries
                if e.baseline == "missing" and _hindrance(e)
            ],
            "bad",
        ),
        ("recorded", _reasons(entries, "recorded"), "good"),
        ("withheld, not recorded", _reasons(entries, "withheld"), "care"),
        ("unused, delete with --grad-baseline-prune", report.unused, "care"),
        ("pruned", report.pruned, "care"),
    )
    lines = [Line(_summary(report), "good" if report.passed else "bad")]
    lines += _listed("warnings", _warnings(entries), "care", top)
    drifted = [e for e in entries if e.drifted]
    lines += _shared("drifted", drifted, lambda e: cause_of(e) if e.verdict else "", top)
    unreadable = [e for e in entries if e.baseline == "unreadable"]
    lines += _shared("baseline unreadable", unreadable, lambda e: e.reason, top)
    for title, items, tone in lists:
        lines += _listed(title, items, tone, top)
    lines += [Line(note, "care") for note in report.notes]
    return [Line(part, line.tone) for line in lines for part in wrapped(line.text, width)]


def _summary(report: Report) -> str:
    """Return the counts that are not zero, and the time that gradients took."""
    counts = report.counts
    parts = [f"{counts[k]} {text}" for k, text in _COUNTS.items() if counts[k] or k == "checked"]
    return f"{', '.join(parts)}; {report.seconds:.2f} s of gradient work"


def _shared(
    title: str, entries: Sequence[ReportEntry], why: Callable[[ReportEntry], str], top: int
) -> Iterator[Line]:
    """Yield calls with the reason of each, said once; nothing where there are none."""
    groups = together(entries, why)
    if groups:
        yield Line(f"{title}:", "bad")
    for cause, calls in groups[:top]:
        if len(calls) == 1:
            yield Line(f"  {_name(calls[0])}: {cause}" if cause else f"  {_name(calls[0])}")
            continue
        yield Line(f"  {len(calls)} calls: {cause}")
        yield from (Line(f"      {name}") for name in shown([*map(_name, calls)]))
    rest = sum(len(calls) for _, calls in groups[top:])
    if rest:
        yield Line(f"  ... and {rest} more", "quiet")


def _name(entry: ReportEntry) -> str:
    """Return the name of a call."""
    return f"{entry.node_id}::{entry.name}" if entry.name else entry.node_id


def _hindrance(entry: ReportEntry) -> str:
    """Return why a call without a baseline would get none, empty where nothing stands against."""
    others = [check for check in entry.failed if check != "drift"]
    if others:
        return f"{' and '.join(others)} failed"
    return "the test is expected to fail" if entry.outcome in _EXPECTED else ""


def _warnings(entries: Iterable[ReportEntry]) -> list[str]:
    """Return what deserves a look, each warning once, however many tests give it."""
    found: dict[str, dict[str, None]] = {}
    for entry in entries:
        for text in entry.warnings:
            found.setdefault(text, {})[entry.node_id] = None
    return [
        f"{next(iter(tests))}{f' and {len(tests) - 1} more' if len(tests) > 1 else ''}: {text}"
        for text, tests in found.items()
    ]


def _reasons(entries: Iterable[ReportEntry], status: str) -> list[str]:
    """Return the calls whose baselines have a status, with the reason."""
    found = [(_name(e), e.reason) for e in entries if e.baseline == status]
    return [f"{name}: {reason}" if reason else name for name, reason in found]


def _listed(title: str, items: Sequence[str], tone: Tone, top: int) -> Iterator[Line]:
    """Yield a title and its items, at most `top`; nothing where there are none."""
    if items:
        yield Line(f"{title}:", tone)
        yield from (Line(f"  {item}") for item in items[:top])
    if len(items) > top:
        yield Line(f"  ... and {len(items) - top} more", "quiet")
