"""Write single values as JSON and read them back; refuse what would not come back the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from types import NoneType
from typing import Any, Literal, NoReturn

__all__ = [
    "FLOATS",
    "LEAVES",
    "Codec",
    "Floats",
    "Mismatch",
    "NotFinite",
    "all_are",
    "number_beside_text",
    "one_of",
    "refuse",
]

_NONFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_SHOWN = 40  # characters of a wrong value


Floats = Literal["text", "real", "finite"]
"""What is done with floats that JSON does not have, see `FLOATS`."""


class NotFinite(Exception):  # noqa: N818 - nothing is wrong: it is what the caller wants to know
    """Say that a record holds NaN or Inf."""


class Mismatch(Exception):  # noqa: N818 - never leaves this package
    """Say what does not fit, inside the value or as a whole, and collect the path on the way up."""

    def __init__(self, text: str, *, inside: bool = False) -> None:
        """Start with an empty path."""
        super().__init__(text)
        self.path: list[str] = []
        self.inside = inside


@dataclass(frozen=True, slots=True)
class Codec:
    """Hold how the values of one type are written and read back.

    Attributes:
        encode, decode: one value.
        plain: whether all of many values are written, and read, as they are; ``None`` where that
            cannot be told at once.
        inner: the same of what the values hold.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    plain: Callable[[Collection[Any]], bool] | None = None
    inner: Callable[[Collection[Any]], bool] | None = None


def refuse(expected: str, value: object) -> NoReturn:
    """Raise the mismatch of a value with what was expected."""
    text = repr(value)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    msg = f"expected {expected}, found {shown} ({type(value).__name__})"
    raise Mismatch(msg)


def all_are(kind: type, values: Collection[object]) -> bool:
    """Return whether all values are of exactly one type."""
    return set(map(type, values)) <= {kind}


def one_of(values: tuple[object, ...]) -> Codec:
    """Pass the values of a ``Literal``."""
    expected = f"one of {', '.join(map(str, values))}"

    def check(value: object) -> object:
        return value if value in values else refuse(expected, value)

    return Codec(check, check)


def number_beside_text() -> Codec:
    """Write floats where text may stand as well: what would be text is marked as a float."""

    def encode(value: object) -> object:
        data = _encode_float(value)
        return {"float": data} if isinstance(data, str) else data

    def decode(data: object) -> float:
        if isinstance(data, dict) and list(data) == ["float"] and isinstance(data["float"], str):
            return _decode_float(data["float"])
        return refuse("a number", data) if isinstance(data, str) else _decode_float(data)

    return Codec(encode, decode)


def _exactly(kind: type) -> Codec:
    """Pass values of exactly one type; a bool is no int, and an int subclass would not return."""
    expected = "null" if kind is NoneType else kind.__name__

    def check(value: object) -> object:
        return value if type(value) is kind else refuse(expected, value)

    return Codec(check, check, plain=partial(all_are, kind))


def _encode_float(value: object) -> float | str:
    """Return a float as a number, or as text if it is not finite."""
    if type(value) is float and math.isfinite(value):
        return value
    number = _as_float(value)
    return number if math.isfinite(number) else repr(number)


def _decode_float(data: object) -> float:
    """Return the float that a number or a text stands for."""
    if type(data) is float and math.isfinite(data):
        return data
    if isinstance(data, str) and data in _NONFINITE:
        return _NONFINITE[data]
    if not isinstance(data, float | int) or isinstance(data, bool) or not _fits(data):
        refuse("a number", data)
    return float(data)


def _fits(number: float) -> bool:
    """Whether a JSON number is a finite float: ``1e999`` and huge integers are not."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _all_finite(values: Collection[Any]) -> bool:
    """Whether all values are floats, and finite; a sum beyond all floats says no, too."""
    return all_are(float, values) and math.isfinite(sum(values))


def _as_float(value: object) -> float:
    """Return a number as the float that it is."""
    if not isinstance(value, float | int) or isinstance(value, bool):
        refuse("a number", value)
    return float(value)


def _only_finite(value: object) -> float:
    """Return a float; raise `NotFinite` where it is none that JSON has."""
    number = _as_float(value)
    if not math.isfinite(number):
        raise NotFinite
    return number


LEAVES: dict[Any, Codec] = {
    float: Codec(_encode_float, _decode_float, plain=_all_finite),
    **{kind: _exactly(kind) for kind in (str, int, bool, NoneType)},
}

FLOATS: dict[Floats, Codec] = {
    "text": LEAVES[float],
    "real": Codec(_as_float, _decode_float, plain=partial(all_are, float)),
    "finite": Codec(_only_finite, _decode_float, plain=_all_finite),
}
"""What is done with NaN and Inf: written as text, as the floats that they are, or not at all."""
