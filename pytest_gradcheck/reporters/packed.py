"""Take packed rows of numbers out of what a call says, and put them back into its text.

They are most of a report, need no escaping, and only the program itself reads them.
"""

from __future__ import annotations

import secrets
from typing import Any

__all__ = ["filled", "lean", "parted"]

_ROWS = {"sizes", "numbers"}  # as `pytest_gradcheck.serialize.forms.Parted` has them
_PLACE = f"<{secrets.token_hex(16)}>"  # that nobody's names hold


def parted(content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what a call says with a mark in place of each block of numbers, and the blocks."""
    blocks: list[str] = []
    whole: dict[str, Any] = _without(content, _PLACE, blocks)
    return whole, blocks


def lean(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a call says with nothing in place of each block of numbers."""
    whole: dict[str, Any] = _without(content, "", [])
    return whole


def filled(text: str, blocks: list[str] | None = None) -> str:
    """Return the JSON text of what `parted` returned, with the blocks in it, or with none."""
    mark = f'"{_PLACE}"'
    if blocks is None:
        return text.replace(mark, '""')
    first, *rest = text.split(mark)
    return "".join([first, *(f'"{b}"{part}' for b, part in zip(blocks, rest, strict=True))])


def _without(data: Any, mark: str, blocks: list[str]) -> Any:  # noqa: ANN401 - plain data
    """Return data with a mark in place of each block, adding the blocks in order."""
    if isinstance(data, dict):
        if data.keys() == _ROWS:
            blocks.append(data["numbers"])
            return {"sizes": data["sizes"], "numbers": mark}
        return {name: _without(part, mark, blocks) for name, part in data.items()}
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return [_without(part, mark, blocks) for part in data]
    return data
