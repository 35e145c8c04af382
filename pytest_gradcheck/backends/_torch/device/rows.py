"""Lay out tensors as rows of lanes, some small ones together or one large one piece by piece.

Requirements:
    What lies in one row of memory is not copied, unless its end has to be filled up with zeros. Of
    what is not contiguous a few pieces are copied at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from pytest_gradcheck.backends._torch.views import pieces
from pytest_gradcheck.stats.whole import lanes_of

__all__ = ["ROWS_AT_ONCE", "Group", "groups"]

ROWS_AT_ONCE: Final = 264
"""Rows that are reduced at a time, of 4,093 elements: 17 MB as steps and squares.

What has a power of two of elements, up to a million, is reduced at once.
"""

_TOGETHER: Final = 32  # tensors whose lanes are held at a time: 3 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Hold tensors of one type that are reduced together.

    Attributes:
        numbers: of the tensors, rising.
        tensors: real ones, several only where all of them fit into the rows that are read at once.
        lanes: number of columns.
    """

    numbers: Sequence[int]
    tensors: Sequence[torch.Tensor]
    lanes: int

    @property
    def dtype(self) -> torch.dtype:
        """Type of the elements."""
        return self.tensors[0].dtype

    @property
    def rows(self) -> list[int]:
        """Number of rows of each tensor."""
        return [rows_of(tensor, self.lanes) for tensor in self.tensors]

    @property
    def fits(self) -> bool:
        """Whether all rows are read at once."""
        return sum(self.rows) <= ROWS_AT_ONCE

    def matrices(self) -> Iterator[torch.Tensor]:
        """Yield the rows from first to last, shape ``(at most ROWS_AT_ONCE, lanes)``."""
        if self.fits:
            yield self._filled([tensor.reshape(-1) for tensor in self.tensors])
            return
        (tensor,) = self.tensors
        for flat in _slices(tensor, ROWS_AT_ONCE * self.lanes):
            yield self._filled([flat])

    def _filled(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return flat tensors below each other, each filled up with zeros to whole rows."""
        missing = [-part.numel() % self.lanes for part in parts]
        zeros = parts[0].new_zeros(max(missing)) if any(missing) else parts[0]
        pairs = zip(parts, missing, strict=True)
        filled = [p for part, n in pairs for p in ((part, zeros[:n]) if n else (part,))]
        return (filled[0] if len(filled) == 1 else torch.cat(filled)).view(-1, self.lanes)


def rows_of(tensor: torch.Tensor, lanes: int) -> int:
    """Return how many rows a tensor takes."""
    return -(-tensor.numel() // lanes)


def groups(tensors: Mapping[int, torch.Tensor]) -> list[Group]:
    """Return tensors in groups.

    Args:
        tensors: real ones of more than one row, by number, these rising.
    """
    open_: dict[tuple[torch.dtype, int], list[int]] = {}
    closed: list[Group] = []

    def close(kind: tuple[torch.dtype, int]) -> None:
        if numbers := open_.pop(kind, []):
            members = [tensors[n] for n in numbers]
            closed.append(Group(numbers=numbers, tensors=members, lanes=kind[1]))

    for number, tensor in tensors.items():
        kind = tensor.dtype, lanes_of(tensor.numel())
        held = open_.get(kind, [])
        rows = sum(rows_of(tensors[n], kind[1]) for n in (*held, number))
        if rows > ROWS_AT_ONCE or len(held) == _TOGETHER:
            close(kind)
        open_.setdefault(kind, []).append(number)
    for kind in list(open_):
        close(kind)
    return closed


def _slices(tensor: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Yield flat slices in C order, all of them but the last of the same size."""
    held: list[torch.Tensor] = []
    for _, piece in pieces(tensor, 0, size):
        rest = piece
        while rest.numel():
            room = size - sum(part.numel() for part in held)
            held.append(rest[:room])
            rest = rest[room:]
            if sum(part.numel() for part in held) == size:
                yield torch.cat(held) if len(held) > 1 else held[0]
                held = []
    yield torch.cat(held)  # never nothing: no number of lanes divides a tensor's size
