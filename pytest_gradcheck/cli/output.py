"""Print tables, lines and JSON: coloured on a terminal, plain in a pipe."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["coloured", "line", "number", "print_json", "table"]

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
_SGR = re.compile(r"(\x1b\[[0-9]{1,2}m)")
_MOST = 60  # characters of a cell


def line(text: str = "") -> None:
    """Print a line; control characters in names become visible."""
    sys.stdout.write(f"{_visible(text)}\n")


def print_json(data: object) -> None:
    """Print plain data as JSON."""
    sys.stdout.write(json.dumps(data, indent=1, allow_nan=False) + "\n")


def coloured(text: str, colour: str) -> str:
    """Return text in a colour, where standard output shows one (and NO_COLOR is not set)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number to read, a dash for none."""
    return "-" if value is None else f"{value:.{digits}g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with aligned columns: text to the left, numbers to the right."""
    body = [[_shortened(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    right = [all(map(_numeric, column)) and bool(column) for column in zip(*body, strict=True)]
    right = right or [False] * len(head)
    for i, row in enumerate([list(head), *body]):
        cells = (
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        )
        text = "  ".join(cells).rstrip()
        sys.stdout.write(f"{coloured(text, 'bold') if i == 0 else text}\n")


def _numeric(cell: str) -> bool:
    """Return whether a cell is a number, or stands for none."""
    if cell == "-":
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _shortened(cell: Any) -> str:  # noqa: ANN401 - whatever can be shown
    """Return a cell on one line, long ones without their middle."""
    text = _visible(str(cell))
    if len(text) <= _MOST:
        return text
    half = (_MOST - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def _visible(text: str) -> str:
    """Return text in which nothing but our own colours speaks to the terminal."""
    parts = _SGR.split(text)
    return "".join(
        part if i % 2 else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in part)
        for i, part in enumerate(parts)
    )
