"""Lay out numbers that changed as a table that fits its width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["LEAST_NAME", "Change", "change_lines", "short_pair"]

LEAST_NAME = 12
"""Columns that a name keeps with what is before it, however narrow the terminal is."""

_ARROW = " -> "
_MARGIN = 4  # columns before a name, of which one may hold a mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Hold one line of such a table.

    Attributes:
        name: of what changed.
        group: over the name, on a line of its own; empty for none.
        was, now: the number then and now, ready to read.
        others: further cells, as many in every line.
        remark: behind them.
    """

    name: str
    group: str = ""
    was: str
    now: str
    others: tuple[str, ...]
    remark: str = ""


def change_lines(
    title: str,
    heads: Sequence[str],
    changes: Sequence[Change],
    *,
    marked: Change | None = None,
    width: int = 0,
) -> Iterator[str]:
    """Yield the lines: the title with the headings, then a line for each change.

    Args:
        title: of the table.
        heads: over then, now and the other cells.
        changes: in order; those of one group one after the other.
        marked: the one that has a mark.
        width: of the lines; names are shortened in their middle where they are too long for it,
            and remarks that do not fit have lines of their own. 0 for any.
    """
    names = [f"  {one.name}" if one.group else one.name for one in changes]
    room = max(map(len, names))
    ends, fits = _ends(heads, changes, close=False)
    if width and room > width - _MARGIN - 2 - ends[-1]:
        ends, fits = _ends(heads, changes, close=True)
    if width:
        room = max(LEAST_NAME - _MARGIN, min(room, width - _MARGIN - 2 - ends[-1]))
    head = _line(heads, fits)
    start = _MARGIN + room + 2 - max(0, len(heads[0]) - ends[0])
    if len(title) + 2 + 2 > start:
        yield f"  {title}"
        title = ""
    yield f"  {title:<{start - 2}}{head}".rstrip()
    group = ""
    for name, one in zip(names, changes, strict=True):
        if one.group and one.group != group:
            yield f"    {one.group}"
        group = one.group
        text = shortened(name, room) if width else name
        cells = _line([one.was, one.now, *one.others], ends)
        first = " " * (ends[0] - len(one.was)) if len(one.was) < ends[0] else ""
        line = f"  {'>' if one is marked else ' '} {text:<{room}}  {first}{cells}".rstrip()
        if one.remark and width and len(line) + 2 + len(one.remark) > width:
            yield line
            yield f"      {one.remark}"
        else:
            yield f"{line}  {one.remark}" if one.remark else line


def short_pair(was: str, now: str) -> tuple[str, str]:
    """Return two numbers at four digits, or as they are where these would be the same."""
    try:
        short = f"{float(was):.4g}", f"{float(now):.4g}"
    except ValueError:
        return was, now
    return (was, now) if short[0] == short[1] else short


def _ends(
    heads: Sequence[str], changes: Sequence[Change], *, close: bool
) -> tuple[list[int], list[int]]:
    """Return where the columns end, counted from the first one; then where their headings do.

    Args:
        heads: of the columns.
        changes: the lines below them.
        close: whether a heading may be wider than its column, as far as that leaves a blank.
    """
    rows = [(one.was, one.now, *one.others) for one in changes]
    if not close:
        rows.append(tuple(heads))
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
    now = sizes[0] + len(_ARROW)
    ends = [sizes[0], now + max(sizes[1], len(heads[1]))]
    said = [sizes[0], now + len(heads[1])]
    for head, size in zip(heads[2:], sizes[2:], strict=True):
        ends.append(max(ends[-1] + 2 + size, said[-1] + 1 + len(head)))
        said.append(ends[-1])
    return ends, said


def _line(cells: Sequence[str], ends: Sequence[int]) -> str:
    """Return cells that end where they should, an arrow between the first two."""
    was, now, *others = cells
    text = f"{was}{_ARROW}{now}"
    at = ends[0] + len(_ARROW) + len(now)
    for cell, end in zip(others, ends[2:], strict=True):
        text += cell.rjust(end - at)
        at = max(end, at + len(cell))
    return text
