"""Keep the largest elements of a gradient, without sorting what cannot matter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.stats.kernels import top_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from pytest_gradcheck.stats.kernels import Memory

__all__ = ["Largest", "flat_of", "index_of"]


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
        self._floor = 0.0  # what is not above it is none of the largest

    def note(self, owner: int, index: int, value: float) -> None:
        """Learn flat index and value of the first largest element of a parameter."""
        if value and self.count:
            self._own[owner] = (-abs(value), index, value)

    def raise_bar(self) -> None:
        """Make use of what was noted, of parameters that were all added or will be.

        The largest elements of as many parameters as elements are kept say what is too small.
        """
        if 0 < self.count <= len(self._own):
            smallest = -sorted(self._own.values())[self.count - 1][0]
            self._floor = math.nextafter(smallest, 0.0)  # equal ones count by their places

    def wants(self, owner: int, largest: float) -> bool:
        """Whether a chunk with this largest absolute value has anything to keep."""
        if not self.count or largest == 0:
            return False
        best = self._own.get(owner)
        return best is None or largest > -best[0] or largest > self._bar(owner)

    def add(
        self, owner: int, start: int, values: NDArray[np.floating] | Memory, largest: float
    ) -> None:
        """Look at one chunk of finite values that is wanted.

        Args:
            owner: number of the parameter.
            start: flat index of the first value.
            values: shape ``(k,)``, or where they lie.
            largest: the largest absolute value among them.
        """
        best = self._own.get(owner)
        if best is None or largest > -best[0]:
            ((i, value),) = top_of(values, math.nextafter(largest, 0.0), 1)
            self._own[owner] = (-largest, start + i, value)
        bar = self._bar(owner)
        if largest <= bar:
            return
        picked = top_of(values, bar, self.count)
        self._found += [(-abs(value), owner, start + i, value) for i, value in picked]
        self._found.sort()
        del self._found[self.count :]

    def offer(self, found: Iterable[tuple[int, int, float]]) -> None:
        """Look at elements that were looked for elsewhere: parameter, flat index and value."""
        self._found += [
            (-abs(value), owner, index, value) for owner, index, value in found if value
        ]
        self._found.sort()
        del self._found[self.count :]

    def _bar(self, owner: int) -> float:
        """Return the size that elements of a parameter must exceed to be kept."""
        if len(self._found) < self.count:
            return self._floor
        size, last = -self._found[-1][0], self._found[-1][1]
        # Parameters do not come in order: an earlier one wins with equal elements, too.
        return max(math.nextafter(size, 0.0) if owner < last else size, self._floor)

    def by_owner(self) -> dict[int, list[tuple[int, float]]]:
        """Return indices and values of what is kept, largest first, by number of the parameter."""
        kept: dict[int, list[tuple[int, float]]] = {}
        for _, owner, index, value in self._found:
            kept.setdefault(owner, []).append((index, value))
        for owner, (_, index, value) in self._own.items():
            kept.setdefault(owner, [(index, value)])
        return kept


def index_of(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the multi-index of a flat C-order index."""
    place = []
    for length in reversed(shape):
        flat, position = divmod(flat, length)
        place.append(position)
    return tuple(place[::-1])


def flat_of(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Return the flat C-order index of a multi-index."""
    flat = 0
    for position, length in zip(index, shape, strict=True):
        flat = flat * length + position
    return flat
