"""Pack numbers into short text, for lines of a baseline that people need not read.

All are base64, little-endian:

* `packed`: float64, exact.
* `packed_coarse`: a sketch whose values are kept to 2, 3 or 4 bytes of the largest; its norm stays
  exact.
* `packed_near`: a sketch that nearly equals another one, of the same gradient in another precision:
  the steps of ``2**-27`` of the other's largest value that lie between the two, in as few bytes as
  they take; where two bytes do not hold them, steps that are up to 64 times as long. Nothing at all
  where the two are equal.

Requirements:
    Packing what was unpacked gives the same text, so that reading and writing a file changes
    nothing. Only finite numbers are packed, and only finite numbers come out.
"""

from __future__ import annotations

import binascii
import math
import operator
import struct
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Sketch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "base64_of",
    "packed",
    "packed_coarse",
    "packed_near",
    "unpacked",
    "unpacked_coarse",
    "unpacked_near",
]

_CODES = {1: "b", 2: "h", 4: "i"}  # of `struct`, by width
_COARSE_WIDTHS = (2, 3, 4)
_LOWEST = -1043  # the exponent below which a step would be smaller than any float64
_HIGHEST = 1024
_NEAR_BITS = 27
_NEAR_SPAN = 1 << (_NEAR_BITS + 2)  # values beyond four times the other's largest are not near
_NEAR_EXPONENTS = range(-990, 1001)  # where steps stay within the normal float64 numbers
_NEAR_WIDTHS = (1, 2, 3, 4)
_NEAR_SHIFTS = range(7)  # steps of 2**-21 are far below what any native tier allows


def packed(numbers: Iterable[float]) -> str:
    """Return finite numbers as base64 of little-endian float64.

    Raises:
        UsageError: a number is NaN or Inf.
    """
    return base64_of(_doubles(numbers))


def unpacked(text: str) -> tuple[float, ...]:
    """Return the numbers that `packed` turned into `text`.

    Raises:
        UsageError: the text is not base64 of finite float64 numbers.
    """
    return _from_doubles(_bytes(text))


def packed_coarse(sketch: Sketch, width: int) -> str:
    """Return a sketch as text: the exact norm, then the values in `width` bytes each.

    Raises:
        UsageError: a number is NaN or Inf.
    """
    norm, bits = _doubles([sketch.norm, *sketch.values])[:8], 8 * width - 1
    exponent = max(_exponent(sketch.values), _LOWEST)
    most = (1 << bits) - 1
    steps = [round(math.ldexp(v, bits - exponent)) for v in sketch.values]
    if most + 1 in steps or -most - 1 in steps:  # the largest value, rounded up
        steps = [max(-most, min(most, step)) for step in steps]
    return base64_of(norm + bytes([width]) + _integers([exponent], 2) + _integers(steps, width))


def unpacked_coarse(text: str) -> Sketch:
    """Return the sketch that `packed_coarse` turned into `text`.

    Raises:
        UsageError: the text is something else.
    """
    norm, rest = _norm(_bytes(text))
    head, body = rest[:3], rest[3:]
    if len(head) == 3 and head[0] in _COARSE_WIDTHS and len(body) % head[0] == 0:  # noqa: PLR2004 - width and exponent
        bits, exponent = 8 * head[0] - 1, int.from_bytes(head[1:], "little", signed=True)
        steps = _from_integers(body, head[0])
        if _LOWEST <= exponent <= _HIGHEST and -(1 << bits) not in steps:  # which is never written
            values = [math.ldexp(step, exponent - bits) for step in steps]
            return Sketch(norm=norm, values=tuple(values))
    msg = "not a packed sketch of a point"
    raise UsageError(msg)


def packed_near(sketch: Sketch, other: Sketch) -> str:
    """Return a sketch as text that needs `other`, exact and of equal length, to be read.

    Raises:
        UsageError: the two differ in length, or a number is NaN or Inf.
    """
    if len(sketch.values) != len(other.values):
        msg = f"sketches of {len(sketch.values)} and {len(other.values)} values"
        raise UsageError(msg)
    norm = _doubles([sketch.norm, *sketch.values])[:8]
    text = base64_of(norm + _difference(sketch.values, other.values))
    # Rounded to longer steps, the values may lie near enough for shorter ones.
    again = _difference(unpacked_near(text, other).values, other.values)
    return base64_of(norm + again)


def unpacked_near(text: str, other: Sketch) -> Sketch:
    """Return the sketch that `packed_near` turned into `text`, given the same `other`.

    Raises:
        UsageError: the text is something else.
    """
    norm, rest = _norm(_bytes(text))
    if not rest:
        return Sketch(norm=norm, values=other.values)
    if len(rest) == 8 * len(other.values):
        return Sketch(norm=norm, values=_from_doubles(rest))
    shift, body, exponent = rest[0], rest[1:], _exponent(other.values)
    width, odd = divmod(len(body), len(other.values) or 1)
    usable = exponent in _NEAR_EXPONENTS and shift in _NEAR_SHIFTS
    if odd or not usable or width not in _NEAR_WIDTHS:
        msg = "not a packed sketch: its length does not fit the one beside it"
        raise UsageError(msg)
    starts = _steps(other.values, exponent + shift)
    steps = map(operator.add, _from_integers(body, width), starts)
    unit = exponent + shift - _NEAR_BITS
    return Sketch(norm=norm, values=tuple(math.ldexp(s, unit) for s in steps))


def _difference(values: Sequence[float], other: Sequence[float]) -> bytes:
    """Return what turns `other` into `values`: nothing, steps, or the values themselves."""
    if tuple(values) == tuple(other):
        return b""
    exponent = _exponent(other)
    if exponent not in _NEAR_EXPONENTS or _peak(values) > 8 * _peak(other):
        return _doubles(values)
    steps = _steps(values, exponent)
    if max(map(abs, steps)) > _NEAR_SPAN:
        return _doubles(values)
    if [math.ldexp(step, exponent - _NEAR_BITS) for step in steps] == list(other):
        return b""
    found = [_offsets(values, other, exponent, shift) for shift in _NEAR_SHIFTS]
    return min(found, key=len)  # the shortest steps among those that take equally many bytes


def _offsets(values: Sequence[float], other: Sequence[float], exponent: int, shift: int) -> bytes:
    """Return what lies between two sketches in steps of one length."""
    pairs = zip(_steps(values, exponent + shift), _steps(other, exponent + shift), strict=True)
    offsets = [step - start for step, start in pairs]
    bits = max(offset.bit_length() for offset in offsets) + 1
    width = max(-(-bits // 8), 2 if shift else 1)
    return bytes([shift]) + _integers(offsets, width)


def _steps(values: Iterable[float], exponent: int) -> list[int]:
    """Return values as whole steps of ``2**(exponent - 27)``."""
    return [round(math.ldexp(value, _NEAR_BITS - exponent)) for value in values]


def _peak(values: Iterable[float]) -> float:
    """Return the largest absolute value, 0 for none."""
    return max(map(abs, values), default=0.0)


def _exponent(values: Iterable[float]) -> int:
    """Return the smallest ``e`` with every absolute value below ``2**e``; very low for zeros."""
    peak = _peak(values)
    return math.frexp(peak)[1] if peak else _LOWEST


def _integers(numbers: Sequence[int], width: int) -> bytes:
    """Return integers as little-endian two's complement of `width` bytes each."""
    code = _CODES.get(width)
    if code is None:
        return b"".join([number.to_bytes(width, "little", signed=True) for number in numbers])
    return struct.pack(f"<{len(numbers)}{code}", *numbers)


def _from_integers(data: bytes, width: int) -> Sequence[int]:
    """Return the integers in little-endian two's complement of `width` bytes each."""
    code = _CODES.get(width)
    if code is None:
        parts = [data[i : i + width] for i in range(0, len(data), width)]
        return [int.from_bytes(part, "little", signed=True) for part in parts]
    found: tuple[int, ...] = struct.unpack(f"<{len(data) // width}{code}", data)
    return found


def _norm(data: bytes) -> tuple[float, bytes]:
    """Split off the leading norm."""
    if len(data) < 8:  # noqa: PLR2004 - one float64
        msg = "not a packed sketch: too short"
        raise UsageError(msg)
    return _from_doubles(data[:8])[0], data[8:]


def _doubles(numbers: Iterable[float]) -> bytes:
    """Return finite numbers as little-endian float64."""
    values = tuple(numbers)
    if not all(map(math.isfinite, values)):
        msg = f"{next(v for v in values if not math.isfinite(v))} cannot be packed"
        raise UsageError(msg)
    return struct.pack(f"<{len(values)}d", *values)


def _from_doubles(data: bytes) -> tuple[float, ...]:
    """Return the finite numbers in little-endian float64."""
    if len(data) % 8 == 0:
        values: tuple[float, ...] = struct.unpack(f"<{len(data) // 8}d", data)
        if all(map(math.isfinite, values)):
            return values
    msg = "not base64 of finite float64 numbers"
    raise UsageError(msg)


def base64_of(data: bytes) -> str:
    """Return bytes as base64."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _bytes(text: str) -> bytes:
    """Return the bytes that a base64 text stands for."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        msg = "not base64 of finite float64 numbers"
        raise UsageError(msg) from None
