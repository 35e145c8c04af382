"""Write the section that a run prints at its end.

First one paragraph of counts; then what the reader may have to act on, as lists.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["TITLE", "terminal_lines"]

TITLE = "gradients"

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


def terminal_lines(report: Report, *, width: int = 80, top: int = 20) -> list[str]:
    """Return the lines of the section; none where there is nothing to say.

    Args:
        report: what the run found out.
        width: of the terminal. Only a word that is longer than that makes a longer line.
        top: the most items in a list.
    """
    if not (report.entries or report.unused or report.pruned or report.notes):
        return []
    entries = report.entries
    lines = [
        _summary(report),
        *_listed("warnings", _warnings(entries), top),
        *_listed("drifted", [_name(e) for e in entries if e.drifted], top),
        *_listed(
            "no baseline, record with --grad-baseline-update",
            [_name(e) for e in entries if e.baseline == "missing"],
            top,
        ),
        *_listed("baseline unreadable", _reasons(entries, "unreadable"), top),
        *_listed("recorded", _reasons(entries, "recorded"), top),
        *_listed("withheld, not recorded", _reasons(entries, "withheld"), top),
        *_listed("unused, delete with --grad-baseline-prune", report.unused, top),
        *_listed("pruned", report.pruned, top),
        *report.notes,
    ]
    return [part for line in lines for part in _wrapped(line, width)]


def _summary(report: Report) -> str:
    """Return the counts that are not zero, and the time that the models took."""
    counts = report.counts
    parts = [f"{counts[k]} {text}" for k, text in _COUNTS.items() if counts[k] or k == "checked"]
    return f"{', '.join(parts)}; {report.seconds:.2f} s in the models"


def _name(entry: ReportEntry) -> str:
    """Return the name of a call."""
    return f"{entry.node_id}::{entry.name}" if entry.name else entry.node_id


def _warnings(entries: Iterable[ReportEntry]) -> list[str]:
    """Return what deserves a look, each warning once for a test however many calls it has."""
    lines = (f"{e.node_id}: {text}" for e in entries for text in e.warnings)
    return list(dict.fromkeys(lines))


def _reasons(entries: Iterable[ReportEntry], status: str) -> list[str]:
    """Return the calls whose baselines have a status, with the reason."""
    found = [(_name(e), e.reason) for e in entries if e.baseline == status]
    return [f"{name}: {reason}" if reason else name for name, reason in found]


def _listed(title: str, items: Sequence[str], top: int) -> Iterator[str]:
    """Yield a title and its items, at most `top`; nothing where there are none."""
    if items:
        yield f"{title}:"
        yield from (f"  {item}" for item in items[:top])
    if len(items) > top:
        yield f"  ... and {len(items) - top} more"


def _wrapped(line: str, width: int) -> list[str]:
    """Return a line as lines that fit, the later ones indented; names stay in one piece."""
    text = line.lstrip(" ")
    indent = " " * (len(line) - len(text))
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
