"""Keep the largest elements of a gradient, without sorting what cannot matter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.records import Element

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Largest", "indices"]


class Largest:
    """Keep the elements of largest absolute value over all parameters, and of each its largest.

    Elements of equal size count in the order of parameters and of indices.
    """

    def __init__(self, count: int) -> None:
        """Keep `count` elements over all parameters; none at all for 0."""
        self.count: Final = count
        # (-size, parameter, index, value): sorts best first.
        self._found: list[tuple[float, int, int, float]] = []
        self._own: dict[int, tuple[float, int, float]] = {}

    def wants(self, owner: int, largest: float) -> bool:
        """Whether a chunk with this largest absolute value has anything to keep."""
        if not self.count or largest == 0:
            return False
        best = self._own.get(owner)
        return best is None or largest > -best[0] or largest > self._bar(owner)

    def add(self, owner: int, start: int, values: NDArray[np.floating], largest: float) -> None:
        """Look at one chunk of finite values.

        Args:
            owner: number of the parameter.
            start: flat index of the first value.
            values: shape ``(k,)``.
            largest: the largest absolute value among them.
        """
        if not self.wants(owner, largest):
            return
        best, bar, sizes = self._own.get(owner), self._bar(owner), np.abs(values)
        if best is None or largest > -best[0]:
            i = int(sizes.argmax())
            self._own[owner] = (-largest, start + i, float(values[i]))
        if largest <= bar:
            return
        # The bar is a float64, and may lie between two numbers of a narrower type.
        where = np.flatnonzero(sizes > np.float64(bar))
        if where.size > self.count:
            where = self._first(where, sizes[where])
        picked = zip(where.tolist(), values[where].tolist(), strict=True)
        self._found += [(-abs(v), owner, start + i, v) for i, v in picked]
        self._found.sort()
        del self._found[self.count :]

    def _bar(self, owner: int) -> float:
        """Return the size that elements of a parameter must exceed to be kept."""
        if len(self._found) < self.count:
            return 0.0
        size, last = -self._found[-1][0], self._found[-1][1]
        # Parameters do not come in order: an earlier one wins with equal elements, too.
        return math.nextafter(size, 0.0) if owner < last else size

    def of(self, owner: int, shape: tuple[int, ...]) -> tuple[Element, ...]:
        """Return the elements of one parameter, largest first."""
        kept = [(i, v) for _, number, i, v in self._found if number == owner]
        if not kept and owner in self._own:
            kept = [self._own[owner][1:]]
        places = indices([i for i, _ in kept], shape)
        return tuple([Element(index=p, value=v) for p, (_, v) in zip(places, kept, strict=True)])

    def _first(self, where: NDArray[np.intp], sizes: NDArray[np.floating]) -> NDArray[np.intp]:
        """Return the indices of the largest sizes, the lowest indices among equal ones."""
        bar = np.partition(sizes, -self.count)[-self.count]
        above = where[sizes > bar]
        return np.concatenate([above, where[sizes == bar][: self.count - above.size]])


def indices(flat: list[int], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the multi-indices of flat C-order indices."""
    if not shape or not flat:
        return [()] * len(flat)
    axes = np.unravel_index(np.array(flat, dtype=np.intp), shape)
    return list(zip(*(axis.tolist() for axis in axes), strict=True))
