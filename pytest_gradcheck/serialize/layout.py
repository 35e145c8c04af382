"""Lay out an entry of a baseline file in lines that read well in a diff."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["layout", "line"]

_IDENTITY = ("objective", "backend", "device", "sense", "seed", "walked")


def layout(key: str, data: dict[str, Any]) -> str:
    """Return the lines of an entry."""
    blocks = [f"  {_inner({name: data[name] for name in _IDENTITY if name in data})}"]
    for name, value in data.items():
        if name == "parameters":
            blocks.append(_block(name, "{}", (_parameter(n, v) for n, v in value.items())))
        elif name == "components":
            rows = (f"   {line(n)}: {line(v)}" for n, v in value.items())
            blocks.append(_block(name, "{}", rows))
        elif name == "replicates":
            blocks.append(_replicates(name, value))
        elif name == "samples":
            blocks.append(_block(name, "[]", (f"   {line(v)}" for v in value)))
        elif name not in _IDENTITY:
            blocks.append(f"  {line(name)}: {line(value)}")
    return f" {line(key)}: {{\n" + ",\n".join(blocks) + "\n }"


def _block(name: str, brackets: str, rows: Iterable[str]) -> str:
    """Return an object or a list with a row for each member."""
    return f"  {line(name)}: {brackets[0]}\n" + ",\n".join(rows) + f"\n  {brackets[1]}"


def _replicates(name: str, data: dict[str, Any]) -> str:
    """Return the lines of replicates: statistics, packed numbers, two lines for each parameter."""
    packed = {n: v for n, v in data.items() if n in {"exact", "weights"}}
    shown = {n: v for n, v in data.items() if n not in packed and n != "parameters"}
    rows = []
    for parameter, one in data["parameters"].items():
        body = {n: v for n, v in one.items() if n in {"norms", "sketches"}}
        head = {n: v for n, v in one.items() if n not in body}
        rows.append(f"    {line(parameter)}: {{{_inner(head)},\n     {_inner(body)}}}")
    block = ",\n".join(rows)
    return (
        f"  {line(name)}: {{{_inner(shown)},\n   {_inner(packed)},\n"
        f'   "parameters": {{\n{block}\n   }}\n  }}'
    )


def _parameter(name: str, data: dict[str, Any]) -> str:
    """Return the lines of a parameter: name, numbers, sketch, point."""
    packed = {n: v for n, v in data.items() if n in ("sketch", "shadow")}
    numbers = {n: v for n, v in data.items() if n not in packed and n != "point"}
    rows = [row for row in (numbers, packed, {"point": data["point"]}) if row]
    return f"   {line(name)}:\n    {{" + ",\n    ".join(map(_inner, rows)) + "}"


def _inner(data: dict[str, Any]) -> str:
    """Return the members of an object on one line."""
    return line(data)[1:-1]


def line(data: object) -> str:
    """Return JSON on one line, in letters as they are unless some would not show."""
    text = json.dumps(data, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(data)
