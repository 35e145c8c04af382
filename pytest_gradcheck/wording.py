"""Fit names and sentences into lines of a width."""

from __future__ import annotations

import textwrap

__all__ = ["shortened", "wrapped"]

_LEAST = 5  # letters of a name that is shortened


def shortened(name: str, width: int) -> str:
    """Return a name in at most `width` letters, cut in its middle: both ends tell names apart.

    Example:
        >>> shortened("encoder.layers.11.attention.weight", 20)
        'encoder.l...n.weight'
    """
    width = max(width, _LEAST)
    if len(name) <= width:
        return name
    room = width - 3
    tail = room // 2
    return f"{name[: room - tail]}...{name[len(name) - tail :]}"


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
