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
import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.stats import kernels
from pytest_gradcheck.stats.kernels import BLOCK, fits
from pytest_gradcheck.stats.signs import LANES, ROWS, signs
from pytest_gradcheck.stats.whole import (
    HALF,
    LOW,
    added,
    exponent_of,
    lanes_of,
    ldexp,
    mean_of_few,
    wrapped,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GROUP", "SQUARE_BITS", "STEP_BITS", "Fold", "mean_of", "norm_of"]

GROUP: Final = 32  # folds that are finished together
STEP_BITS: Final = 50  # of an element, below the power of two above the largest
SQUARE_BITS: Final = 46  # of a square: 2**16 of them fit into 64 bits

_MAGIC = 1.5 * 2.0**52
_BIAS = int(np.float64(_MAGIC).view(np.int64))
_ROWS_AT_ONCE = 8  # of 4,093 elements: two buffers of 262 kB, about what a cache holds
_SUMMED = 2 * LANES  # elements of 50 bits whose sum fits into 64
_ROWS_IN_64_BITS = 4096  # lanes overflow after twice as many
_OWN = threading.local()
_PLAIN = range(-400, 401)  # exponents with squares that float64 holds


def norm_of(squares: int, exponent: int) -> float:
    """Return the L2 norm from the sum of squares; infinite where float64 does not hold it."""
    return ldexp(math.sqrt(squares), exponent - SQUARE_BITS // 2)


def mean_of(steps: int, size: int, exponent: int) -> float:
    """Return the mean of `size` elements from their sum in steps."""
    return ldexp(steps / size, exponent - STEP_BITS)


class Fold:
    """Accumulate the sketch and the norm of one array, or of a part of it."""

    def __init__(self, size: int, peak: float) -> None:
        """Start with zeros.

        Args:
            size: elements of the whole array.
            peak: its largest absolute element; of the whole array, not of a part.
        """
        self.size: Final = size
        self.exponent: Final = exponent_of(peak)
        self._count: Final = lanes_of(size)
        self._lanes: Final = np.zeros(self._count if size > ROWS else 0, dtype=np.int64)
        self._settled: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._rows = 0  # added since the lanes were last settled
        self._squares = 0
        self._steps = 0
        self._own: Final = np.zeros(size if size <= ROWS else 0)

    def add(self, start: int, values: NDArray[np.floating]) -> None:
        """Add the finite elements `values`, shape ``(k,)``, that begin at flat index `start`."""
        if self.size <= ROWS:
            self._own[start : start + values.size] += values
            return
        if fits(values) and not self._unit:
            for offset in range(0, values.size, BLOCK):
                self._add_compiled(start + offset, values[offset : offset + BLOCK])
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
            self._settled = added(self.halves(), other.halves())
            self._lanes[:] = 0
        self._steps += other._steps
        self._squares += other._squares

    def norm(self) -> float:
        """Return the L2 norm of what was folded; infinite where float64 does not hold it."""
        if self.size <= ROWS:
            unit = np.ldexp(self._own, -self.exponent)
            root = math.sqrt(math.fsum((unit * unit).tolist()))
            return ldexp(root, self.exponent)
        return norm_of(self._squares, self.exponent)

    def mean(self) -> float:
        """Return the mean of all elements, zeros where nothing was folded."""
        if self.size > ROWS:
            return mean_of(self._steps, self.size, self.exponent)
        return mean_of_few(self._own.tolist(), self.exponent)

    def halves(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the lanes as ``high * 2**32 + low`` with ``0 <= low < 2**32``."""
        parts = self._lanes >> HALF, self._lanes & LOW
        return added(self._settled, parts) if self._settled else parts

    @property
    def is_compiled(self) -> bool:
        """Whether `values` can be had at once."""
        return kernels.compiled is not None and self._settled is None

    def values(self) -> tuple[float, ...]:
        """Return the values of the sketch; infinite where float64 does not hold one."""
        if self.size <= ROWS:
            return tuple(self._own.tolist())
        found: tuple[float, ...] = kernels.compiled.project(self._lanes, self.exponent)
        return found

    @property
    def _unit(self) -> int:
        """Return the exponent that elements are divided by before anything is done with them."""
        return 0 if self.exponent in _PLAIN else self.exponent

    def _add_compiled(self, start: int, values: NDArray[np.floating]) -> None:
        """Add a block; the twin of `_add`."""
        self._make_room(values.size // self._count)
        squares_high, squares_low, high, low = kernels.compiled.fold(
            *(values, start, self.size > LANES, self._lanes),
            math.ldexp(_MAGIC, self.exponent - STEP_BITS),
            math.ldexp(_MAGIC, 2 * self.exponent - SQUARE_BITS),
        )
        self._squares += (squares_high << HALF) + squares_low
        self._steps += (high << HALF) + low

    def _add(self, start: int, values: NDArray[np.floating]) -> None:
        """Add at most eight rows."""
        wide, steps = _scratch(values.size)
        wide[:] = values
        exponent = self.exponent - self._unit
        if self._unit:
            np.ldexp(wide, -self._unit, out=wide)
        magic = math.ldexp(_MAGIC, exponent - STEP_BITS)
        np.add(wide, magic, out=steps)
        bias = _BIAS + ((exponent - STEP_BITS) << 52)
        for first in range(0, steps.size, _SUMMED):
            part = steps[first : first + _SUMMED].view(np.int64)
            self._steps += int(wrapped(int(np.add.reduce(part)) - part.size * bias))
        if self.size > LANES:
            np.multiply(wide, signs(start, wide.size), out=steps)
            steps += magic
        self._spread(start % self._count, steps.view(np.int64), exponent)
        wide *= wide
        wide += math.ldexp(_MAGIC, 2 * exponent - SQUARE_BITS)
        bias = _BIAS + ((2 * exponent - SQUARE_BITS) << 52)
        whole = int(np.add.reduce(wide.view(np.int64))) - bias * wide.size
        self._squares += whole % (1 << 64)

    def _make_room(self, rows: int) -> None:
        """Settle the lanes where that many more rows could overflow them."""
        if self._rows + rows + 2 > _ROWS_IN_64_BITS:
            self._settled = self.halves()
            self._lanes[:] = 0
            self._rows = 0
        self._rows += rows + 2

    def _spread(self, lane: int, steps: NDArray[np.int64], exponent: int) -> None:
        """Add numbers of steps, each with the bias in it, to the lanes from one lane on."""
        bias = _BIAS + ((exponent - STEP_BITS) << 52)
        count, lanes = self._count, self._lanes
        head = min(-lane % count, steps.size)
        rows = (steps.size - head) // count
        body = head + rows * count
        self._make_room(rows)
        if head:
            lanes[lane : lane + head] += steps[:head] - bias
        if rows:
            lanes += np.add.reduce(steps[head:body].reshape(rows, count), axis=0)
            lanes -= wrapped(rows * bias)
        if body < steps.size:
            lanes[: steps.size - body] += steps[body:] - bias


def _scratch(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two rows of numbers to work in, the same memory each time within a thread."""
    if not hasattr(_OWN, "rows"):
        _OWN.rows = np.empty((2, _ROWS_AT_ONCE * LANES))  # fresh memory costs more than the sums
    return _OWN.rows[0, :size], _OWN.rows[1, :size]
