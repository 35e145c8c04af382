"""Fit names and sentences into lines of a width."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["fitted", "shortened", "wrapped"]

_LEAST = 5  # letters of a name that is shortened
_LEAST_HEAD = 2  # letters of its first part


def fitted(lines: Iterable[str], width: int) -> list[str]:
    """Return lines that fit; one with a command or a point stays whole, to be copied."""
    return [
        part
        for line in lines
        for part in ([line] if ": pytest " in line or ": at={" in line else wrapped(line, width))
    ]


def shortened(name: str, width: int) -> str:
    """Return a name in at most `width` letters, cut in its middle: both ends tell names apart.

    The inner parts of a dotted name are cut first, then the end of its first part, and numbers
    as long as anything else is left: they tell layers apart.

    Example:
        >>> shortened("encoder.layers.11.attention.weight", 26)
        'encoder.lay.11.atte.weight'
        >>> shortened("direction_concentration_log__", 17)
        'directi...n_log__'
    """
    width = max(width, _LEAST)
    parts = name.split(".")
    while sum(map(len, parts)) + len(parts) - 1 > width:
        inner = [i for i in range(1, len(parts) - 1) if len(parts[i]) > 1]
        inner = [i for i in inner if not parts[i].isdigit()]
        if not inner:
            break
        longest = max(inner, key=lambda i: len(parts[i]))
        parts[longest] = parts[longest][:-1]
    over = len(".".join(parts)) - width
    if over > 0 and len(parts) > 1:
        parts[0] = parts[0][: max(_LEAST_HEAD, len(parts[0]) - over)]
    short = ".".join(parts)
    if len(short) <= width:
        return short
    room = width - 3
    tail = room // 2
    return f"{short[: room - tail]}...{short[len(short) - tail :]}"


def wrapped(line: str, width: int, *, indent: int = 2) -> list[str]:
    """Return a line as lines that fit, the later ones indented further; words stay in one piece.

    Args:
        line: with its own indentation.
        width: of the lines. Only a word that is longer than that makes a longer line.
        indent: of the later lines, beyond that of the first.
    """
    text = line.lstrip(" ")
    first = " " * (len(line) - len(text))
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=first + " " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [line]
