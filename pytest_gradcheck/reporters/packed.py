"""Take packed rows of numbers out of what a call says, and put them back into its text.

They are most of a report, need no escaping, and only the program itself reads them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Block", "bare", "emptied", "filled", "parted"]

_ROWS = {"sizes", "numbers"}  # as `pytest_gradcheck.serialize.forms.Parted` has them
_PLACE = f"<{secrets.token_hex(16)}>"  # that nobody's names hold


@dataclass(frozen=True, slots=True)
class Block:
    """Hold packed numbers, and where they stood."""

    numbers: str
    place: dict[str, Any]


def parted(content: dict[str, Any]) -> list[Block]:
    """Put a mark in place of each block of numbers in what a call says, and return the blocks."""
    blocks: list[Block] = []
    _part(content, blocks)
    return blocks


def emptied(blocks: Iterable[Block]) -> None:
    """Put nothing in place of the marks."""
    for block in blocks:
        block.place["numbers"] = ""


def bare(text: bytes) -> bytes:
    """Return the JSON text of what was `parted`, with nothing in place of the marks."""
    return text.replace(_PLACE.encode(), b"")


def filled(text: bytes, blocks: Sequence[Block]) -> Iterator[bytes]:
    """Yield the pieces of the JSON text of what was `parted`, the blocks among them."""
    first, *rest = text.split(_PLACE.encode())
    yield first
    for block, part in zip(blocks, rest, strict=True):
        yield block.numbers.encode("ascii")
        yield part


def _part(data: object, blocks: list[Block]) -> None:
    """Mark the blocks in plain data, in order."""
    if isinstance(data, dict):
        if data.keys() == _ROWS:
            blocks.append(Block(data["numbers"], data))
            data["numbers"] = _PLACE
            return
        for part in data.values():
            if isinstance(part, dict | list):
                _part(part, blocks)
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        for part in data:
            _part(part, blocks)
