"""Read the pages of the documentation: their blocks of code, and what those print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["ROOT", "Block", "blocks", "file_name", "masked"]

ROOT = Path(__file__).parent.parent

_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"# ([\w./-]+\.\w+)\n")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


class Block(NamedTuple):
    """Hold one fenced block."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [Block(*match) for match in _BLOCK.findall(page)]


def file_name(block: Block) -> str | None:
    """Return the file that a block is the content of: its first line says so in a comment."""
    match = _NAME.match(block.text)
    return match[1] if match else None


def masked(line: str) -> str:
    """Return a line of a message, without pytest's margin, each number as ``#``."""
    bare = re.sub(r"^E\s+(?:[\w.]+\.GradientError: )?", "", line)
    return re.sub(r"\s+", " ", _NUMBER.sub("#", bare)).strip()
