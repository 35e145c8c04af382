"""See at a glance whether JSON data are of the kinds that a record has.

What goes on to be compared in full, number by number, needs no more; `values` says what is wrong.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any, get_args, get_origin

from pytest_gradcheck.errors import UsageError

__all__ = ["refuse_other_kinds"]

_LEAVES: dict[Any, frozenset[type]] = {
    str: frozenset([str]),
    int: frozenset([int]),
    bool: frozenset([bool]),
    float: frozenset([float, int]),
    types.NoneType: frozenset([types.NoneType]),
}
_NONE = _LEAVES[types.NoneType]

Kinds = tuple[frozenset[type], frozenset[type]]
"""What a member is, and what each thing in it is; empty where that is looked at elsewhere."""


def refuse_other_kinds(cls: type, data: Mapping[str, Any]) -> None:
    """Raise where a member of an object is not of its kind, or of no field; ``None`` is of none.

    Args:
        cls: dataclass whose fields the members are of.
        data: of the object.

    Raises:
        UsageError: a member, or something in it, is not of its kind.
        KeyError: there is no such field.
    """
    known = _kinds(cls)
    for name, value in data.items():
        own, inner = known[name]
        kind = type(value)
        parts = value.values() if kind is dict else value
        if kind not in own or (inner and not inner.issuperset(map(type, parts))):
            msg = f"{name} is {value!r:.40}"
            raise UsageError(msg)


@cache
def _kinds(cls: type) -> dict[str, Kinds]:
    """Return the kinds of a record's fields in JSON data, by name."""
    return {
        name: (_of(hint) - _NONE, _in(hint)) for name, hint in typing.get_type_hints(cls).items()
    }


def _of(hint: Any) -> frozenset[type]:  # noqa: ANN401 - any type hint
    """Return what the values of a type are in JSON data."""
    if hint in _LEAVES:
        return _LEAVES[hint]
    if get_origin(hint) in (types.UnionType, typing.Union):
        return frozenset[type]().union(*map(_of, get_args(hint)))
    return frozenset([dict if is_dataclass(hint) or get_origin(hint) is Mapping else list])


def _in(hint: Any) -> frozenset[type]:  # noqa: ANN401 - any type hint
    """Return what the parts of the values of a type are in JSON data."""
    if get_origin(hint) is Mapping:
        return _of(get_args(hint)[1])
    return _of(get_args(hint)[0]) if get_origin(hint) is tuple else frozenset()
