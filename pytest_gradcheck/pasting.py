"""Write a point as a text that pastes into ``at=``: what moved, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.point import to_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView

__all__ = ["pasted"]

LONGEST = 600
MOST_ELEMENTS = 8


def pasted(home: Mapping[str, ArrayView], at: Mapping[str, object]) -> str:
    """Return ``at={...}`` with the parameters that moved, single elements where they are few.

    Args:
        home: the model's own point.
        at: values by parameter or by element.

    Returns:
        The text; empty where nothing moved, or where it would be longer than 600 characters.
    """
    items = [item for name, value in at.items() for item in _items(home, name, value)]
    text = f"at={{{', '.join(items)}}}"
    return text if items and len(text) <= LONGEST else ""


def _items(home: Mapping[str, ArrayView], name: str, value: object) -> Iterator[str]:
    """Yield the entries of one parameter: none where it stayed where it was."""
    was, now = to_numpy(home[name]), np.asarray(value, dtype=np.float64)
    moved = np.argwhere(was != now)
    if not len(moved):
        return
    if now.ndim == 0 or len(moved) > min(MOST_ELEMENTS, max(now.size - 1, 1)):
        yield f'"{name}": {now.tolist()!r}'
        return
    yield from (_single(name, now, tuple(place)) for place in moved.tolist())


def _single(name: str, values: NDArray[np.float64], place: tuple[int, ...]) -> str:
    """Return the entry of one element."""
    return f'"{name}[{", ".join(map(str, place))}]": {float(values[place])!r}'
