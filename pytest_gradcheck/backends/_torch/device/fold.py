"""Count, compare and add up the elements of tensors where they lie, in whole numbers.

The twin of `pytest_gradcheck.stats.fold`, with the same bits, in torch operations that no device
may round in another way: sums and shifts of integers, and single additions and products of float64.
Elements are divided by the power of two above the largest of their tensor; adding ``1.5 * 2**2`` to
one, or ``1.5 * 2**6`` to its square, then rounds it to whole steps (of ``2**-50``, of ``2**-46``),
and leaves their number in the low bits of its pattern.

Requirements:
    Nothing here waits for the device: all that follows from values stays there as a tensor.
    No sum leaves 64 bits. Steps are below ``2**50`` and squares at most ``2**46``; 264 rows of them
    add up to less than ``2**59`` in a lane, and eight times as many to less than ``2**62``, after
    which lanes are cut into halves. Halves of `MOST` elements stay below ``2**43``, and sums of all
    4,093 lanes of them below ``2**55``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from pytest_gradcheck.backends._torch.device.powers import exponents_of, power, scales_of
from pytest_gradcheck.backends._torch.device.rows import ROWS_AT_ONCE
from pytest_gradcheck.backends._torch.device.signs import Signs
from pytest_gradcheck.stats.fold import SQUARE_BITS, STEP_BITS
from pytest_gradcheck.stats.whole import HALF, LOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_gradcheck.backends._torch.device.rows import Group

__all__ = ["MOST", "Seen", "Tools", "folded", "largest_of", "seen"]

MOST: Final = 2**34
"""Elements of a tensor, at most."""

_PATTERNS = {  # integers of the same width, and the pattern of infinity
    torch.float16: (torch.int16, 0x7C00),
    torch.bfloat16: (torch.int16, 0x7F80),
    torch.float32: (torch.int32, 0x7F80_0000),
    torch.float64: (torch.int64, 0x7FF0_0000_0000_0000),
}
_MAGIC = 1.5 * 2.0**52
_SETTLED = 8  # matrices whose lanes add up within 64 bits


class Tools:
    """Hold what is needed on a device for all tensors that are folded into one number of lanes."""

    def __init__(self, device: torch.device, lanes: int) -> None:
        """Make them there."""
        self.signs: Final = Signs(device, lanes)
        step = torch.full((1, 1, 1), _MAGIC * 2.0**-STEP_BITS, dtype=torch.float64, device=device)
        square = torch.full_like(step, _MAGIC * 2.0**-SQUARE_BITS)
        self.magic: Final = torch.cat([step, square])  # of elements and of squares
        self.bias: Final = self.magic.view(torch.int64)

    def beginnings(self, rows: Sequence[int]) -> torch.Tensor:
        """Return the signs of the first rows of several tensors, below each other."""
        return _joined([self.signs.begin(n) for n in rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Hold what is in the rows of a group.

    Attributes:
        patterns: of the largest finite absolute element of each row, as an integer.
        filled: how many elements of each row are finite and not zero.
        odd: how many are NaN or Inf.
        columns: where the first element of largest size is, in each row; empty if not asked for.
        values: that element; not finite only where all others are zero.
    """

    patterns: torch.Tensor
    filled: torch.Tensor
    odd: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor

    def peaks(self, group: Group) -> torch.Tensor:
        """Return the largest finite absolute element of each tensor as float64."""
        parts = self.patterns.split(group.rows)
        return torch.stack([part.amax() for part in parts]).view(group.dtype).to(torch.float64)


def seen(matrices: Iterable[torch.Tensor], *, places: bool) -> Seen:
    """Return what is in some rows; with `places` also where."""
    found = [_seen(matrix, places=places) for matrix in matrices]
    patterns, filled, odd, columns, values = (_joined(parts) for parts in zip(*found, strict=True))
    return Seen(patterns=patterns, filled=filled, odd=odd, columns=columns, values=values)


def folded(
    matrices: Iterable[torch.Tensor], group: Group, peaks: torch.Tensor, tools: Tools
) -> torch.Tensor:
    """Return the lanes of a group's tensors as halves.

    Args:
        matrices: the rows of the group.
        group: the tensors.
        peaks: shape ``(k,)``, of each tensor.
        tools: for its number of lanes.

    Returns:
        Shape ``(k, 2, 3, lanes)``: high and low of ``high * 2**32 + low``, of steps, of squares,
        and of steps with their signs.
    """
    rows, scales = group.rows, _scales(peaks, group.dtype)
    room = min(sum(rows), ROWS_AT_ONCE) * group.lanes
    memory = torch.empty(2 * room, dtype=torch.float64, device=peaks.device)
    lanes = torch.zeros(len(rows), 3, group.lanes, dtype=torch.int64, device=peaks.device)
    halves: torch.Tensor | None = None
    first = 0
    for k, matrix in enumerate(matrices):
        if k and k % _SETTLED == 0:
            halves = _settled(lanes, halves)
            lanes.zero_()
        here = rows if group.fits else [matrix.shape[0]]
        spread = [
            _joined([s.expand(n, 1) for s, n in zip(each, here, strict=True)]) for each in scales
        ]
        drawn = tools.beginnings(here) if first == 0 else tools.signs.rows(first, *here)
        terms = memory[: 2 * matrix.numel()].view(2, *matrix.shape)
        _fill(terms, matrix, spread)
        whole = terms.add_(tools.magic).view(torch.int64).sub_(tools.bias)
        for own, part in zip(lanes, whole.split(here, dim=1), strict=True):
            own[:2].add_(part.sum(dim=1))
        signed = whole[0].mul_(drawn)
        for own, part in zip(lanes, signed.split(here), strict=True):
            own[2].add_(part.sum(dim=0))
        first += matrix.shape[0]
    return _settled(lanes, halves)


def largest_of(
    source: torch.Tensor, patterns: torch.Tensor, lanes: int, top: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return flat indices and values of the largest finite elements, of equal ones the first.

    Where fewer elements than asked for are finite and not zero, zeros follow.

    They lie in the `top` rows of the largest elements, of equal ones in the first rows: each other
    row has as many before it.

    Args:
        source: the elements; they need not be contiguous.
        patterns: of the largest element of each row.
        lanes: number of columns.
        top: how many.
    """
    rows = patterns.sort(descending=True, stable=True).indices[:top].sort().values
    column = torch.arange(lanes, dtype=torch.int64, device=source.device)
    index = (rows[:, None] * lanes + column).view(-1)
    beyond = index >= source.numel()
    index = index.masked_fill_(beyond, 0)
    values = source.take(index)
    values.masked_fill_(_sizes(values)[1] | beyond, 0)
    order = _sizes(values)[0].sort(descending=True, stable=True).indices[:top]
    return index[order], values[order]


def _sizes(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the patterns of absolute values, which are ordered as they are, and what is odd."""
    integer, infinite = _PATTERNS[values.dtype]
    patterns = values.view(integer) & torch.iinfo(integer).max
    return patterns, patterns >= infinite


def _seen(matrix: torch.Tensor, *, places: bool) -> tuple[torch.Tensor, ...]:
    """Return the fields of `Seen` for some rows."""
    patterns, odd = _sizes(matrix)
    patterns.masked_fill_(odd, 0)
    filled = (patterns != 0).sum(dim=1)
    if not places:
        none = matrix.new_empty(0)
        return patterns.amax(dim=1), filled, odd.sum(dim=1), none.to(torch.int64), none
    found = patterns.max(dim=1)
    values = matrix.gather(1, found.indices[:, None])[:, 0]
    return found.values, filled, odd.sum(dim=1), found.indices, values


def _fill(terms: torch.Tensor, matrix: torch.Tensor, scales: Sequence[torch.Tensor]) -> None:
    """Fill in elements, scaled to below 1, and their squares, shape ``(2, rows, lanes)``."""
    unit, squares = terms
    torch.mul(matrix, scales[0], out=unit)
    for scale in scales[1:]:
        unit *= scale
    unit.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
    torch.mul(unit, unit, out=squares)


def _settled(lanes: torch.Tensor, halves: torch.Tensor | None) -> torch.Tensor:
    """Return the halves of lanes, added to others."""
    mine = torch.stack([lanes >> HALF, lanes & LOW], dim=1)
    return mine if halves is None else halves.add_(mine)


def _scales(peaks: torch.Tensor, dtype: torch.dtype) -> list[torch.Tensor]:
    """Return powers of two whose product brings each peak to below 1, and to no less than a half.

    What they are for a peak of zero is of no importance.
    """
    if dtype is not torch.float64:
        return [power(1022 - (peaks.view(torch.int64) >> 52))]
    return scales_of(exponents_of(peaks))


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return tensors below each other."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
