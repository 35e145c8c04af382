"""Keep the largest elements of a gradient, without sorting what cannot matter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.records import Element
from pytest_gradcheck.stats.kernels import where_above

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["Largest", "elements", "indices"]

_FEW: Final = 256
_HALVINGS: Final = 12


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
        best, bar = self._own.get(owner), self._bar(owner)
        if best is None or largest > -best[0]:
            i = _first_of(values, largest)
            self._own[owner] = (-largest, start + i, float(values[i]))
        if largest <= bar:
            return
        where = where_above(values, bar, self.count)
        if where is None:
            where = self._first(values, bar, largest)
        picked = zip(where, values[where].tolist(), strict=True)
        self._found += [(-abs(v), owner, start + i, v) for i, v in picked]
        self._found.sort()
        del self._found[self.count :]

    def offer(self, found: Iterable[tuple[int, int, float]]) -> None:
        """Look at elements that were looked for elsewhere: parameter, flat index and value."""
        self._found += [(-abs(v), owner, i, v) for owner, i, v in found if v]
        self._found.sort()
        del self._found[self.count :]

    def keep(self, owner: int, index: int, value: float) -> None:
        """Take an element for the first of largest size of a whole parameter."""
        self._own[owner] = (-abs(value), index, value)

    def _bar(self, owner: int) -> float:
        """Return the size that elements of a parameter must exceed to be kept."""
        if len(self._found) < self.count:
            return 0.0
        size, last = -self._found[-1][0], self._found[-1][1]
        # Parameters do not come in order: an earlier one wins with equal elements, too.
        return math.nextafter(size, 0.0) if owner < last else size

    def by_owner(self) -> dict[int, list[tuple[int, float]]]:
        """Return indices and values of what is kept, largest first, by number of the parameter."""
        kept: dict[int, list[tuple[int, float]]] = {}
        for _, owner, index, value in self._found:
            kept.setdefault(owner, []).append((index, value))
        for owner, (_, index, value) in self._own.items():
            kept.setdefault(owner, [(index, value)])
        return kept

    def _first(self, values: NDArray[np.floating], bar: float, largest: float) -> list[int]:
        """Return the indices of the largest sizes, the lowest indices among equal ones."""
        where, sizes = _few_above(values, bar, largest, self.count), np.abs(values)
        if where is not None:
            order = np.argsort(-sizes[where].astype(np.float64), kind="stable")
            return [where[i] for i in order[: self.count].tolist()]
        bar = np.partition(sizes, -self.count)[-self.count]
        above = np.flatnonzero(sizes > bar)
        equal = np.flatnonzero(sizes == bar)[: self.count - above.size]
        return [*above.tolist(), *equal.tolist()]


def _few_above(
    values: NDArray[np.floating], low: float, high: float, wanted: int
) -> list[int] | None:
    """Return the indices of at least `wanted` of the largest elements, and of few others.

    By halving, which reads the values a few times and is still several times faster than to sort
    them partly. ``None`` where too many are nearly equal.
    """
    for _ in range(_HALVINGS):
        bar = 0.5 * (low + high)
        where = where_above(values, bar, _FEW)
        if where is None:
            low = bar
        elif len(where) < wanted:
            high = bar
        else:
            return where
    return None


def _first_of(values: NDArray[np.floating], size: float) -> int:
    """Return the first index of the largest absolute value."""
    found = where_above(values, math.nextafter(size, 0.0), 16)
    return found[0] if found else int(np.abs(values).argmax())


def elements(kept: Sequence[tuple[int, float]], shape: tuple[int, ...]) -> tuple[Element, ...]:
    """Return elements with their multi-indices, from their flat C-order indices and values."""
    places = indices([i for i, _ in kept], shape)
    return tuple([Element(index=p, value=v) for p, (_, v) in zip(places, kept, strict=True)])


def indices(flat: list[int], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the multi-indices of flat C-order indices."""
    places = []
    for index in flat:
        place, rest = [], index
        for length in reversed(shape):
            rest, position = divmod(rest, length)
            place.append(position)
        places.append(tuple(reversed(place)))
    return places
