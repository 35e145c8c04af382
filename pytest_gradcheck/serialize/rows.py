"""Pack rows of numbers, sketches above all, into text, NaN and Inf among them.

Unlike what `packing` writes into baselines, nothing here is rounded, and nothing refused.
"""

from __future__ import annotations

import base64
import binascii
import struct
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from pytest_gradcheck.records import Sketch
from pytest_gradcheck.serialize.forms import Parted
from pytest_gradcheck.serialize.leaves import Mismatch, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MISSING", "decoded", "encoded", "parted", "rows_of", "sketches_of", "uneven"]

MISSING = -1
"""The length of a row that is not there."""


def parted(sketches: Sequence[Sketch | None]) -> Parted:
    """Return a row of each sketch: its norm, then its numbers."""
    known = [one for one in sketches if one is not None]
    try:
        data = [_row(len(one.values) + 1).pack(one.norm, *one.values) for one in known]
    except struct.error:
        refuse("sketches of numbers", sketches)
    sizes = tuple([MISSING if one is None else len(one.values) + 1 for one in sketches])
    return Parted(sizes=sizes, numbers=base64.b64encode(b"".join(data)).decode("ascii"))


def sketches_of(form: Parted) -> list[Sketch | None]:
    """Return the sketches that rows hold."""
    rows = list(rows_of(form))
    if () in rows:
        refuse("the norm of a sketch", [])
    return [None if not row else Sketch(norm=row[0], values=row[1:]) for row in rows]


def rows_of(form: Parted) -> Iterator[tuple[float, ...] | None]:
    """Yield the rows of packed numbers, ``None`` for one that is not there."""
    numbers = decoded(form.numbers)
    whole = sum(size for size in form.sizes if size > 0)
    if whole != len(numbers):
        uneven("numbers", len(numbers), whole)
    start = 0
    for size in form.sizes:
        yield None if size < 0 else numbers[start : start + size]
        start += max(size, 0)


def encoded(numbers: Sequence[float]) -> str:
    """Return numbers as base64 of little-endian float64."""
    try:
        data = _row(len(numbers)).pack(*numbers)
    except struct.error:
        refuse("numbers", numbers)
    return base64.b64encode(data).decode("ascii")


def decoded(text: str) -> tuple[float, ...]:
    """Return the numbers that `encoded` turned into text."""
    try:
        data = base64.b64decode(text, validate=True)
        return _row(len(data) // 8).unpack(data)
    except (binascii.Error, ValueError, struct.error):
        refuse("base64 of little-endian float64", text)


def uneven(name: str, found: int, expected: int) -> NoReturn:
    """Raise the mismatch of a column that is too long or too short."""
    msg = f"{name} has {found} values where there must be {expected}"
    raise Mismatch(msg)


@cache
def _row(count: int) -> struct.Struct:
    """Return how so many numbers are packed."""
    return struct.Struct(f"<{count}d")
