"""Write a table as plain text, columns aligned."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.records import Scalar, Table

__all__ = ["cell", "plain_lines"]

_GAP = "  "


def plain_lines(table: Table) -> list[str]:
    """Return the lines of a table: its title, the head, the rows."""
    rows = [list(table.head), *([cell(value) for value in row] for row in table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.head))]
    return [table.title, *(_aligned(row, widths) for row in rows)]


def cell(value: Scalar) -> str:
    """Return the text of one cell: numbers at four significant digits, a dash for nothing."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line; the first column to the left, the others to the right."""
    first, *rest = (
        text.ljust(width) if i == 0 else text.rjust(width)
        for i, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return _GAP.join([first, *rest]).rstrip()
