"""Write a point as a text that pastes into ``at=``, and read its single elements back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.point import to_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView

__all__ = ["pasted", "with_element"]

LONGEST = 600
MOST_ELEMENTS = 8

_ELEMENT = re.compile(r"(?P<name>.+)\[(?P<index>\d+(?:, ?\d+)*)\]")


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


def with_element(
    home: Mapping[str, ArrayView],
    fixed: Mapping[str, NDArray[np.floating]],
    key: object,
    value: object,
) -> dict[str, NDArray[np.floating]] | None:
    """Return the parameter that ``x[3, 1]`` belongs to, moved in that element alone.

    Args:
        home: the model's own point.
        fixed: what was moved before.
        key: of ``at=``.
        value: wanted there.

    Returns:
        The parameter's values by its name; ``None`` where the key names no element of one.

    Raises:
        UsageError: there is no such element, or the value is no number.
    """
    match = None if key in home else _ELEMENT.fullmatch(str(key))
    if match is None or match["name"] not in home:
        return None
    name, index = match["name"], tuple(int(part) for part in match["index"].split(","))
    values = np.array(fixed.get(name, to_numpy(home[name])))
    if len(index) != values.ndim or any(i >= n for i, n in zip(index, values.shape, strict=True)):
        msg = f"at= names {key!r}, the parameter has shape {values.shape}"
        raise UsageError(msg)
    try:
        values[index] = float(np.asarray(value))
    except (TypeError, ValueError):
        msg = f"at[{key!r}] must hold one number, not {value!r:.60}"
        raise UsageTypeError(msg) from None
    return {name: values}


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
