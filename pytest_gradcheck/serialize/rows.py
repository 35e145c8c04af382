"""Pack rows of numbers, sketches above all, into text, NaN and Inf among them.

Unlike what `packing` writes into baselines, nothing here is rounded, and nothing refused.
"""

from __future__ import annotations

import base64
import binascii
import struct
from functools import cache
from itertools import chain, compress
from typing import TYPE_CHECKING, NoReturn

from pytest_gradcheck.records import Sketch
from pytest_gradcheck.serialize.forms import Parted
from pytest_gradcheck.serialize.leaves import Mismatch, refuse
from pytest_gradcheck.serialize.packing import base64_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MISSING", "decoded", "encoded", "extent", "parted", "rows_of", "sketches_of", "uneven"]

MISSING = -1
"""The length of a row that is not there."""


def parted(sketches: Sequence[Sketch | None]) -> Parted:
    """Return a row of each sketch: its norm, then its numbers."""
    known = [one for one in sketches if one is not None]
    values = [one.values for one in known]
    lengths = list(map(len, values))
    packs = {length: _row(length).pack for length in set(lengths)}
    try:
        heads = [*map(_row(1).pack, [one.norm for one in known])]
        rows = [packs[length](*row) for length, row in zip(lengths, values, strict=True)]
    except struct.error:
        refuse("sketches of numbers", sketches)
    data = b"".join(chain.from_iterable(zip(heads, rows, strict=True)))
    sizes = [length + 1 for length in lengths]
    if len(known) < len(sketches):
        each = iter(sizes)
        sizes = [MISSING if one is None else next(each) for one in sketches]
    return Parted(sizes=tuple(sizes), numbers=base64_of(data))


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
    return base64_of(data)


def decoded(text: str) -> tuple[float, ...]:
    """Return the numbers that `encoded` turned into text."""
    try:
        data = base64.b64decode(text, validate=True)
        return _row(len(data) // 8).unpack(data)
    except (binascii.Error, ValueError, struct.error):
        refuse("base64 of little-endian float64", text)


def extent(counts: Sequence[int]) -> tuple[int, int]:
    """Return where the first count that is not zero stands, and where the last one ends."""
    places = list(compress(range(len(counts)), counts))
    return (places[0], places[-1] + 1) if places else (0, 0)


def uneven(name: str, found: int, expected: int) -> NoReturn:
    """Raise the mismatch of a column that is too long or too short."""
    msg = f"{name} has {found} values where there must be {expected}"
    raise Mismatch(msg)


@cache
def _row(count: int) -> struct.Struct:
    """Return how so many numbers are packed."""
    return struct.Struct(f"<{count}d")
