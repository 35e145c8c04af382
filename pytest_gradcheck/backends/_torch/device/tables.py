"""Lay out tensors of one shape in rows beside each other, small ones of several shapes together.

Requirements:
    A table has at most `ROOM` elements, of float64. It is filled from tensors of any type and
    layout without another copy: of large ones that are not contiguous slices along the first axes
    are taken, so that a table may be less than full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["ROOM", "Batch", "batches"]

ROOM: Final = 2**21
"""Elements of a table: 17 MB."""

_LANES: Final = 4096  # columns where several groups share a table

Group: TypeAlias = "Sequence[torch.Tensor]"  # of one shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Hold groups of as many tensors each, all of which fit into one table.

    Attributes:
        lanes: number of columns.
        numbers: of the groups; large ones come in several batches, piece by piece.
        groups: the tensors.
        rows: that each tensor of a group takes.
    """

    lanes: int
    numbers: list[int] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def add(self, number: int, group: Group) -> None:
        """Take a group in."""
        self.numbers.append(number)
        self.groups.append(group)
        self.rows.append(_rows_of(group, self.lanes))

    @property
    def wide(self) -> bool:
        """Whether there are numbers whose squares may be beyond float64."""
        return any(tensor.dtype is torch.float64 for group in self.groups for tensor in group)

    def table(self) -> torch.Tensor:
        """Return the elements as float64, zeros after the last ones of each tensor.

        Returns:
            Shape ``(m, rows, lanes)``: the k-th tensors of all groups below each other, for each k.
        """
        first = self.groups[0]
        shape = len(first), sum(self.rows), self.lanes
        table = torch.zeros(shape, dtype=torch.float64, device=first[0].device)
        flat = table.view(len(first), -1).unbind()
        start = 0
        for group, count in zip(self.groups, self.rows, strict=True):
            for row, tensor in zip(flat, group, strict=True):
                row[start : start + tensor.numel()].view(tensor.shape).copy_(tensor)
            start += count * self.lanes
        return table


def batches(groups: Mapping[int, Group]) -> Iterator[Batch]:
    """Yield groups in batches.

    Args:
        groups: of real tensors that are not empty, by number.
    """
    open_: dict[int, Batch] = {}
    for number, group in groups.items():
        count = len(group)
        room = max(1, ROOM // count)
        lanes = min(_LANES, room)
        rows = _rows_of(group, lanes)
        if rows * lanes > room:
            for piece in _pieces(_flattened(group), room):
                batch = Batch(lanes=piece[0].numel())
                batch.add(number, piece)
                yield batch
            continue
        batch = open_.setdefault(count, Batch(lanes=lanes))
        if (sum(batch.rows) + rows) * lanes > room:
            yield batch
            batch = open_[count] = Batch(lanes=lanes)
        batch.add(number, group)
    yield from open_.values()


def _rows_of(group: Group, lanes: int) -> int:
    """Return how many rows each tensor of a group takes."""
    return -(-group[0].numel() // lanes)


def _flattened(group: Group) -> Group:
    """Return tensors in one row where that takes no copy of any."""
    return [t.view(-1) for t in group] if all(t.is_contiguous() for t in group) else group


def _pieces(group: Group, size: int) -> Iterator[Group]:
    """Yield pieces of at most `size` elements, the same ones of each tensor."""
    shape = group[0].shape
    inner = math.prod(shape[1:])
    if inner > size:
        for rows in zip(*group, strict=True):
            yield from _pieces(_flattened(rows), size)
        return
    step = size // inner
    for row in range(0, shape[0], step):
        yield [tensor[row : row + step] for tensor in group]
