"""Describe as JSON Schema what a file of ours holds, from the classes that read it."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin

from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.records import SeriesBaseline
from pytest_gradcheck.serialize.columns import FORMS
from pytest_gradcheck.serialize.series import KIND
from pytest_gradcheck.serialize.sheet import SCHEMA, Baseline

__all__ = ["baseline_schema", "json_schema"]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NONFINITE: dict[str, Any] = {"enum": ["nan", "inf", "-inf"]}
_NOT_NUMBERS: list[dict[str, Any]] = [
    _NONFINITE,
    {  # where text may stand as well
        "type": "object",
        "properties": {"float": _NONFINITE},
        "required": ["float"],
        "additionalProperties": False,
    },
]
_LEAVES: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
}


def baseline_schema() -> dict[str, Any]:
    """Return the JSON Schema of a baseline file, in which every number is finite."""
    schema = json_schema(Baseline, title=SCHEMA, finite=True)
    schema["properties"]["schema"] = {"const": SCHEMA}
    series = _of(SeriesBaseline, schema["$defs"], finite=True)
    kept = schema["$defs"]["SeriesBaseline"]
    del kept["properties"]["packages"]  # the file's environment has them
    kept["properties"] = {"kind": {"const": KIND}, **kept["properties"]}
    kept["required"] = ["kind", *kept["required"]]
    entries = schema["properties"]["entries"]
    entries["additionalProperties"] = {"anyOf": [entries["additionalProperties"], series]}
    return schema


def json_schema(cls: type, *, title: str, finite: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of what `pytest_gradcheck.serialize.to_json` makes of a class.

    Args:
        cls: a dataclass.
        title: of the schema.
        finite: whether no number may be NaN or Inf, which are texts in JSON.

    Raises:
        UsageTypeError: a field has a type that is not stored as JSON.
    """
    found: dict[str, Any] = {}
    whole = _record(cls, found, finite=finite)
    return {"$schema": _DRAFT, "title": title, **whole, "$defs": found}


def _of(hint: Any, found: dict[str, Any], *, finite: bool) -> dict[str, Any]:  # noqa: ANN401, PLR0911 - any hint, a kind each
    """Return the schema of a type hint, adding those of the classes in it to `found`."""
    if hint in FORMS:
        return _of(FORMS[hint].shape, found, finite=finite)
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        if hint.__name__ not in found:
            found[hint.__name__] = {}
            found[hint.__name__] = _record(hint, found, finite=finite)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_of(one, found, finite=finite) for one in args]}
    if origin is tuple and args[1:] == (...,):
        return {"type": "array", "items": _of(args[0], found, finite=finite)}
    if origin is Mapping and args[0] is str:
        return {"type": "object", "additionalProperties": _of(args[1], found, finite=finite)}
    if hint in _LEAVES:
        return dict(_LEAVES[hint])
    if hint is float:
        return {"type": "number"} if finite else {"anyOf": [{"type": "number"}, *_NOT_NUMBERS]}
    msg = f"{hint!r} is not a type that can be stored as JSON"
    raise UsageTypeError(msg)


def _record(cls: type[Any], found: dict[str, Any], *, finite: bool) -> dict[str, Any]:
    """Return the schema of a dataclass: nothing but its fields, those without a default all."""
    hints = typing.get_type_hints(cls)
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    return {
        "type": "object",
        "properties": {
            field.name: _of(hints[field.name], found, finite=finite) for field in fields(cls)
        },
        "required": needed,
        "additionalProperties": False,
    }
