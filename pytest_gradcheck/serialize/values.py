"""Turn records into plain JSON data and back, exactly, led by their type hints.

Requirements:
    ``from_json(type(r), to_json(r)) == r`` for every record, bit for bit in every float. JSON has
    no NaN and no Inf, so they are written as text: ``"nan"``, ``"inf"``, ``"-inf"``; where a field
    may hold text as well, as ``{"float": "nan"}``. Data of the wrong shape is refused with the path
    to what is wrong, in both directions: a value that could not come back never leaves.
    Parameters, points and replicates are written as columns (`columns`).
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from itertools import chain
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.serialize.columns import FORMS, Form
from pytest_gradcheck.serialize.leaves import (
    FLOATS,
    LEAVES,
    Codec,
    Floats,
    Mismatch,
    all_are,
    number_beside_text,
    one_of,
    refuse,
)
from pytest_gradcheck.serialize.unions import union

__all__ = ["from_json", "to_finite", "to_json", "to_plain"]

Record = TypeVar("Record")


def to_json(record: object) -> dict[str, Any]:
    """Return a record as plain JSON data: dicts, lists, text, finite numbers, booleans, ``None``.

    Args:
        record: a dataclass instance, as in `pytest_gradcheck.records`.

    Raises:
        UsageTypeError: a field holds what its type hint does not allow.
    """
    cls: Any = type(record)
    return cast("dict[str, Any]", _whole(cls, _codec(cls).encode, record))


def to_plain(record: object) -> dict[str, Any]:
    """Return what `to_json` returns, but with NaN and Inf as the floats that they are.

    Raises:
        UsageTypeError: a field holds what its type hint does not allow.
    """
    cls: Any = type(record)
    return cast("dict[str, Any]", _whole(cls, _codec(cls, floats="real").encode, record))


def to_finite(record: object) -> dict[str, Any]:
    """Return what `to_json` and `to_plain` return, where all numbers are finite.

    Raises:
        NotFinite: one is not; the two return different data.
        UsageTypeError: a field holds what its type hint does not allow.
    """
    cls: Any = type(record)
    return cast("dict[str, Any]", _whole(cls, _codec(cls, floats="finite").encode, record))


def from_json(cls: type[Record], data: object) -> Record:
    """Return the record that `to_json` turned into `data`.

    Args:
        cls: the record's class.
        data: what `to_json` returned, or what reading it back as JSON gave.

    Raises:
        UsageTypeError: a field is missing, unknown or of the wrong type; the message says which.
    """
    return cast("Record", _whole(cls, _codec(cast("Any", cls)).decode, data))


def _whole(cls: type, convert: Callable[[Any], object], value: object) -> object:
    """Convert a whole record, naming the place of a mismatch."""
    try:
        return convert(value)
    except Mismatch as error:
        msg = f"{'.'.join([cls.__name__, *reversed(error.path)])}: {error}"
        raise UsageTypeError(msg) from None


def _part(key: object, convert: Callable[[Any], object], value: object) -> object:
    """Convert one part, adding its place to the path of a mismatch."""
    try:
        return convert(value)
    except Mismatch as error:
        error.path.append(str(key))
        error.inside = True
        raise


@cache
def _codec(hint: Any, *, floats: Floats = "text") -> Codec:  # noqa: ANN401 - a type hint may be any object
    """Return how to write and read the values of a type hint, and what is no finite float."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in FORMS:
        codec = _formed(FORMS[hint], floats=floats)
    elif isinstance(hint, type) and is_dataclass(hint):
        codec = _record(hint, floats=floats)
    elif origin is Literal:
        codec = one_of(args)
    elif origin in (UnionType, typing.Union):
        codec = _union(args, floats=floats)
    elif origin is tuple and args[1:] == (...,):
        codec = _tuple(_codec(args[0], floats=floats))
    elif origin is Mapping and args[0] is str:
        codec = _mapping(_codec(args[1], floats=floats))
    elif hint in LEAVES:
        codec = FLOATS[floats] if hint is float else LEAVES[hint]
    else:
        msg = f"{hint!r} is not a type that can be stored as JSON"
        raise UsageTypeError(msg)
    return codec


def _formed(form: Form, *, floats: Floats) -> Codec:
    """Write the values of a type in another form."""
    codec = _codec(cast("Any", form.shape), floats=floats)

    def encode(value: object) -> object:
        if form.several and not isinstance(value, tuple):
            refuse("a tuple", value)
        for one in cast("tuple[object, ...]", value) if form.several else (value,):
            if not isinstance(one, form.kind):
                refuse(form.kind.__name__, one)
        return codec.encode(form.pack(value))

    return Codec(encode, lambda data: form.unpack(codec.decode(data)))


def _union(hints: tuple[Any, ...], *, floats: Floats) -> Codec:
    """Return how to write and read the values of a union."""
    beside = str in hints and floats == "text"
    codecs = [
        number_beside_text() if h is float and beside else _codec(h, floats=floats) for h in hints
    ]
    return union(hints, codecs)


def _tuple(item: Codec) -> Codec:
    """Write a tuple as a list; one of single values, or of tuples of such, at once."""

    def encode(value: object) -> list[Any]:
        if not isinstance(value, tuple):
            refuse("a tuple", value)
        if item.plain and item.plain(value):
            return list(value)
        if item.inner and all_are(tuple, value) and item.inner([*chain.from_iterable(value)]):
            return list(map(list, value))
        return [_part(i, item.encode, v) for i, v in enumerate(value)]

    def decode(data: object) -> tuple[Any, ...]:
        if not isinstance(data, list):
            refuse("a list", data)
        if item.plain and item.plain(data):
            return tuple(data)
        if item.inner and all_are(list, data) and item.inner([*chain.from_iterable(data)]):
            return tuple(map(tuple, data))
        return tuple([_part(i, item.decode, v) for i, v in enumerate(data)])

    return Codec(encode, decode, inner=item.plain)


def _mapping(item: Codec) -> Codec:
    """Write a mapping from text as an object."""

    def convert(direction: Callable[[Any], object], value: object) -> dict[str, object]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            refuse("a mapping from text", value)
        if item.plain and item.plain(value.values()):
            return dict(value)
        return {key: _part(key, direction, part) for key, part in value.items()}

    return Codec(lambda value: convert(item.encode, value), lambda d: convert(item.decode, d))


def _record(cls: type[Any], *, floats: Floats) -> Codec:
    """Write a dataclass as an object with one member for each field."""
    hints = typing.get_type_hints(cls)
    codecs = {field.name: _codec(hints[field.name], floats=floats) for field in fields(cls)}
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]

    def encode(value: object) -> dict[str, object]:
        if type(value) is not cls:
            refuse(cls.__name__, value)
        return {name: _part(name, c.encode, getattr(value, name)) for name, c in codecs.items()}

    def decode(data: object) -> object:
        if not isinstance(data, Mapping):
            refuse(f"an object ({cls.__name__})", data)
        unknown = [name for name in data if name not in codecs]
        missing = [name for name in needed if name not in data]
        if unknown or missing:
            text = f"missing field {missing[0]!r}" if missing else f"unknown field {unknown[0]!r}"
            known = ", ".join(codecs)
            msg = f"{text} (the fields of {cls.__name__} are {known})"
            raise Mismatch(msg, inside=True)
        return cls(**{name: _part(name, codecs[name].decode, part) for name, part in data.items()})

    return Codec(encode, decode)
