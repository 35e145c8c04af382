"""Write the pieces of a Markdown page: names, numbers, tables; whatever the names contain.

Requirements:
    No name, however odd, breaks a table or turns into markup. Text that is not ours goes through
    `code` or `prose`, or into a `fence`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["answer", "code", "count", "fence", "number", "prose", "table", "titled"]

_NOT_IN_CODE = re.compile(r"[`|\\]|^\s|\s$|^$")
_REPEATED = 4096  # headings, and names of parameters, stand there again in call after call
_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&$@]|^[-+=]|^\d+(?=[.)])")


def code(name: object) -> str:
    """Return a name in code type, or as escaped prose where code could not show it."""
    return _code(str(name))


def prose(text: object) -> str:
    """Return text in which nothing is markup, fit for a cell of a table."""
    return _prose(str(text))


def number(value: float | None) -> str:
    """Return a number at six significant digits, a dash for none."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def count(part: int, whole: int) -> str:
    """Return a count out of a total: ``3 / 1000``."""
    return f"{part} / {whole}"


def answer(good: bool, names: tuple[str, ...] = ()) -> str:  # noqa: FBT001 - it is the answer
    """Return the answer, loud where it is no, with the names to blame."""
    return "yes" if good else " ".join(["NO", *map(code, names)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table and an empty one; nothing at all without rows."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    if body:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        yield from body
        yield ""


def titled(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table under a heading; nothing at all without rows."""
    lines = list(table(head, rows))
    if lines:
        yield f"### {title}"
        yield ""
        yield from lines


def fence(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines as they are, in a block that none of them can close; and an empty one."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    mark = "`" * max(3, longest + 1)
    yield f"{mark}text"
    yield from (one for line in lines for one in line.splitlines() or [""])
    yield mark
    yield ""


@lru_cache(_REPEATED)
def _code(text: str) -> str:
    """Return text in code type where it can stand there."""
    line = _one_line(text)
    return prose(line) if _NOT_IN_CODE.search(line) else f"`{line}`"


@lru_cache(_REPEATED)
def _prose(text: str) -> str:
    """Return text in which nothing is markup."""
    return _SPECIAL.sub(lambda found: "".join(f"&#{ord(c)};" for c in found[0]), _one_line(text))


def _one_line(line: str) -> str:
    """Return text with its line breaks and control characters made visible."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
