"""Fold an array into the sums that its sketch is made of, exactly, part by part in any order.

Every element becomes a whole number of steps of one size for the whole array (see
`pytest_gradcheck.stats.sketch`). Sums of whole numbers have no rounding, so neither chunks, nor
shards, nor the kernels of a linear-algebra library change a bit of them.

Requirements:
    Adding ``1.5 * 2**52`` steps to a float64 rounds it to whole steps and leaves their number in
    the low bits of its pattern: one addition, where a conversion to integers takes four times as
    long.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Sketch
from pytest_gradcheck.stats.signs import LANES, ROWS, row_signs, signs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "GROUP",
    "SQUARE_BITS",
    "STEP_BITS",
    "Fold",
    "exponent_of",
    "finished",
    "lanes_of",
    "sketch_values",
]

GROUP: Final = 32  # folds that are finished together
STEP_BITS: Final = 50  # of an element, below the power of two above the largest
SQUARE_BITS: Final = 46  # of a square: 2**16 of them fit into 64 bits

_PRIMES = (LANES, 4091, 4079, 4073)
_MAGIC = 1.5 * 2.0**52
_BIAS = int(np.float64(_MAGIC).view(np.int64))
_ROWS_AT_ONCE = 8  # of 4,093 elements: two buffers of 262 kB, about what a cache holds
_ROWS_IN_64_BITS = 4096  # lanes overflow after twice as many
_HALF = 32
_LOW = (1 << _HALF) - 1
_PLAIN = range(-400, 401)  # exponents with squares that float64 holds


def exponent_of(peak: float) -> int:
    """Return the smallest ``e`` with ``peak < 2**e``, 0 for zero."""
    return math.frexp(peak)[1]


def lanes_of(size: int) -> int:
    """Return how many lanes an array is folded into: no axis of it may repeat after as many."""
    if size <= LANES:
        return size
    return next((prime for prime in _PRIMES if size % prime), _PRIMES[-1])


class Fold:
    """Accumulate the sketch and the norm of one array, or of a part of it."""

    def __init__(self, size: int, peak: float, *, summed: bool = False) -> None:
        """Start with zeros.

        Args:
            size: elements of the whole array.
            peak: its largest absolute element; of the whole array, not of a part.
            summed: also take the plain sum, which `mean` needs.
        """
        self.size: Final = size
        self.exponent: Final = exponent_of(peak)
        self._count: Final = lanes_of(size)
        self._lanes: Final = np.zeros(self._count if size > ROWS else 0, dtype=np.int64)
        self._settled: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._rows = 0  # added since the lanes were last settled
        self._squares = 0
        self._own: Final = np.zeros(size if size <= ROWS else 0)
        self._summed: Final = summed
        self._sums: list[float] = []

    def add(self, start: int, values: NDArray[np.floating]) -> None:
        """Add the finite elements `values`, shape ``(k,)``, that begin at flat index `start`."""
        if self.size <= ROWS:
            self._own[start : start + values.size] += values
            self._sums = [math.fsum(np.ldexp(self._own, -self.exponent).tolist())]
            return
        most = _ROWS_AT_ONCE * LANES
        for offset in range(0, values.size, most):
            self._add(start + offset, values[offset : offset + most])

    def join(self, other: Fold) -> None:
        """Add what was folded of another part of the same array.

        Raises:
            UsageError: it is a part of an array of another size or with another largest element.
        """
        mine, its = (self.size, self.exponent), (other.size, other.exponent)
        if mine != its:
            msg = (
                f"parts of different arrays cannot be added: size and exponent {mine} and {its}; "
                "every part needs the size and the largest absolute element of the whole array"
            )
            raise UsageError(msg)
        self._own[:] += other._own
        if self.size > ROWS:
            self._settled = _added(self.halves(), other.halves())
            self._lanes[:] = 0
        self._sums += other._sums
        self._squares += other._squares

    def norm(self) -> float:
        """Return the L2 norm of what was folded; infinite where float64 does not hold it."""
        if self.size <= ROWS:
            unit = np.ldexp(self._own, -self.exponent)
            root = math.sqrt(math.fsum((unit * unit).tolist()))
            return _ldexp(root, self.exponent)
        return _ldexp(math.sqrt(self._squares), self.exponent - SQUARE_BITS // 2)

    def mean(self) -> float:
        """Return the mean of all elements, zeros where nothing was folded."""
        scale = self._unit if self.size > ROWS else self.exponent
        return _ldexp(math.fsum(self._sums) / self.size, scale) if self.size else 0.0

    def halves(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the lanes as ``high * 2**32 + low`` with ``0 <= low < 2**32``."""
        parts = self._lanes >> _HALF, self._lanes & _LOW
        return _added(self._settled, parts) if self._settled else parts

    @property
    def _unit(self) -> int:
        """Return the exponent that elements are divided by before anything is done with them."""
        return 0 if self.exponent in _PLAIN else self.exponent

    def _add(self, start: int, values: NDArray[np.floating]) -> None:
        """Add at most eight rows."""
        wide = values.astype(np.float64)
        exponent = self.exponent - self._unit
        if self._unit:
            np.ldexp(wide, -self._unit, out=wide)
        if self._summed:
            self._sums.append(float(wide.sum()))
        steps = wide * signs(start, wide.size) if self.size > LANES else wide.copy()
        steps += math.ldexp(_MAGIC, exponent - STEP_BITS)
        self._spread(start % self._count, steps.view(np.int64), exponent)
        wide *= wide
        wide += math.ldexp(_MAGIC, 2 * exponent - SQUARE_BITS)
        bias = _BIAS + ((2 * exponent - SQUARE_BITS) << 52)
        whole = int(np.add.reduce(wide.view(np.int64))) - bias * wide.size
        self._squares += whole % (1 << 64)

    def _spread(self, lane: int, steps: NDArray[np.int64], exponent: int) -> None:
        """Add numbers of steps, each with the bias in it, to the lanes from one lane on."""
        bias = _BIAS + ((exponent - STEP_BITS) << 52)
        count, lanes = self._count, self._lanes
        head = min(-lane % count, steps.size)
        rows = (steps.size - head) // count
        body = head + rows * count
        if self._rows + rows + 2 > _ROWS_IN_64_BITS:
            self._settled = self.halves()
            lanes[:] = 0
            self._rows = 0
        self._rows += rows + 2
        if head:
            lanes[lane : lane + head] += steps[:head] - bias
        if rows:
            lanes += np.add.reduce(steps[head:body].reshape(rows, count), axis=0)
            lanes -= _wrapped(rows * bias)
        if body < steps.size:
            lanes[: steps.size - body] += steps[body:] - bias


def finished(folds: Sequence[Fold]) -> list[Sketch | None]:
    """Return the sketches of folds; ``None`` where float64 does not hold one.

    Args:
        folds: each of a whole array; the more of them at a time, the less each costs.
    """
    found: list[Sketch | None] = []
    for first in range(0, len(folds), GROUP):
        group = folds[first : first + GROUP]
        sums = iter(_projected([f for f in group if f.size > ROWS]))
        for fold in group:
            if fold.size <= ROWS:
                values = tuple(fold._own.tolist())  # noqa: SLF001 - of this module
            else:
                values = sketch_values(next(sums), fold.exponent)
            norm = fold.norm()
            usable = math.isfinite(norm) and all(map(math.isfinite, values))
            found.append(Sketch(norm=norm, values=values) if usable else None)
    return found


def sketch_values(sums: Sequence[int], exponent: int) -> tuple[float, ...]:
    """Return the values of a sketch from its 32 exact sums."""
    root = math.sqrt(ROWS)
    return tuple([_ldexp(float(s), exponent - STEP_BITS) / root for s in sums])


def _projected(folds: Sequence[Fold]) -> list[list[int]]:
    """Return the 32 signed sums of the lanes of each fold; no product or sum is ever rounded."""
    lanes = np.zeros((2 * len(folds), LANES))
    for i, fold in enumerate(folds):
        halves = fold.halves()
        lanes[2 * i : 2 * i + 2, : halves[0].size] = halves
    sums = lanes @ row_signs()
    return [
        [(int(h) << _HALF) + int(lo) for h, lo in zip(high, low, strict=True)]
        for high, low in zip(sums[::2].tolist(), sums[1::2].tolist(), strict=True)
    ]


def _added(
    a: tuple[NDArray[np.int64], NDArray[np.int64]], b: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sum of two pairs of halves."""
    low = a[1] + b[1]
    return a[0] + b[0] + (low >> _HALF), low & _LOW


def _wrapped(number: int) -> np.int64:
    """Return an integer as its 64 low bits."""
    return np.int64((number + (1 << 63)) % (1 << 64) - (1 << 63))


def _ldexp(value: float, exponent: int) -> float:
    """Return ``value * 2**exponent``, infinite where that overflows."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)
