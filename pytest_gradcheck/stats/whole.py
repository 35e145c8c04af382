"""Whole numbers that outgrow float64 or 64 bits: exponents, halves, wrapped sums."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.stats.signs import LANES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["HALF", "LOW", "added", "exponent_of", "lanes_of", "ldexp", "mean_of_few", "wrapped"]

HALF: Final = 32  # bits
LOW: Final = (1 << HALF) - 1
_PRIMES = (LANES, 4091, 4079, 4073)


def exponent_of(peak: float) -> int:
    """Return the smallest ``e`` with ``peak < 2**e``, 0 for zero."""
    return math.frexp(peak)[1]


def lanes_of(size: int) -> int:
    """Return how many lanes an array is folded into: no axis of it may repeat after as many."""
    if size <= LANES:
        return size
    if size % LANES:
        return LANES
    return next((prime for prime in _PRIMES if size % prime), _PRIMES[-1])


def mean_of_few(values: Sequence[float], exponent: int) -> float:
    """Return the mean of elements that are below ``2**exponent``, rounded twice; 0 of none."""
    if not values:
        return 0.0
    return ldexp(math.fsum([math.ldexp(v, -exponent) for v in values]) / len(values), exponent)


def added(
    a: tuple[NDArray[np.int64], NDArray[np.int64]], b: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sum of two pairs of halves."""
    low = a[1] + b[1]
    return a[0] + b[0] + (low >> HALF), low & LOW


def wrapped(number: int) -> np.int64:
    """Return an integer as its 64 low bits."""
    return np.int64((number + (1 << 63)) % (1 << 64) - (1 << 63))


def ldexp(value: float, exponent: int) -> float:
    """Return ``value * 2**exponent``, infinite where that overflows."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)
