"""Write and read values that are of one of several types."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.serialize.leaves import Codec, Mismatch, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["union"]


def union(hints: tuple[Any, ...], codecs: Sequence[Codec]) -> Codec:
    """Take the type that a value has where that can be told, or try them in order.

    Args:
        hints: the types.
        codecs: how the values of each are written and read.
    """
    names = ("null" if h is NoneType else getattr(h, "__name__", str(h)) for h in hints)
    expected = " or ".join(names)
    own = {hint: codec.encode for hint, codec in zip(hints, codecs, strict=True)}
    if int in own and float in hints[: hints.index(int)]:
        del own[int]  # a float's place is before it
    encodes, decodes = [c.encode for c in codecs], [c.decode for c in codecs]

    def encode(value: object) -> object:
        convert = own.get(type(value))
        return convert(value) if convert else _first(encodes, value, expected)

    return Codec(encode, lambda data: _first(decodes, data, expected))


def _first(converts: Sequence[Callable[[Any], object]], value: object, expected: str) -> object:
    """Return what the first type that fits makes of a value."""
    mismatches = []
    for convert in converts:
        try:
            return convert(value)
        except Mismatch as error:
            mismatches.append(error.with_traceback(None))  # which would keep all there is here
    for mismatch in mismatches:
        if mismatch.inside:  # it says more than that no type fits
            raise mismatch
    return refuse(expected, value)
