"""Write a table as plain text, columns aligned."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.records import Scalar, Table

__all__ = ["cell", "plain_lines"]

_GAP = "  "


def plain_lines(table: Table, *, width: int = 0) -> list[str]:
    """Return the lines of a table: its title, the head, the rows.

    Args:
        table: to write.
        width: of the lines; columns beyond it follow below, beside the first one again. 0 for any.
    """
    rows = [list(table.head), *([cell(value) for value in row] for row in table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.head))]
    lines = [table.title]
    for shown in _blocks(widths, width):
        lines += [_aligned([row[i] for i in shown], [widths[i] for i in shown]) for row in rows]
    return lines


def cell(value: Scalar) -> str:
    """Return the text of one cell: numbers at four significant digits, a dash for nothing."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _blocks(widths: Sequence[int], width: int) -> list[list[int]]:
    """Return the columns that stand beside each other, the first one in every block."""
    blocks, room = [[0]], width - widths[0]
    for i, needed in enumerate(widths[1:], start=1):
        if width and len(blocks[-1]) > 1 and needed + len(_GAP) > room:
            blocks.append([0])
            room = width - widths[0]
        blocks[-1].append(i)
        room -= needed + len(_GAP)
    return blocks


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line; the first column to the left, the others to the right."""
    first, *rest = (
        text.ljust(width) if i == 0 else text.rjust(width)
        for i, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return _GAP.join([first, *rest]).rstrip()
