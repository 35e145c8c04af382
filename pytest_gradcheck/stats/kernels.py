"""Choose the inner loops: compiled ones where they could be built, numpy's everywhere else.

Requirements:
    Both give the same bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

try:
    from pytest_gradcheck.stats import _kernels
except ImportError:  # no compiler was at hand when the package was installed
    compiled: Any = None
else:
    compiled = _kernels

__all__ = ["BLOCK", "compiled", "fits", "peak_of", "where_above"]

BLOCK: Final = 2**24  # elements that compiled loops add up at a time

_TYPES = {np.dtype(np.float32), np.dtype(np.float64)}


def fits(values: NDArray[np.floating]) -> bool:
    """Whether there are compiled loops, and they can read an array as it lies."""
    return compiled is not None and values.dtype in _TYPES and values.flags.c_contiguous


def peak_of(values: NDArray[np.floating]) -> tuple[float, int, int]:
    """Return the largest absolute element, the number of zeros, and that of NaN and Inf.

    Args:
        values: shape ``(k,)``. The first of the three means nothing where the last is not 0.
    """
    if fits(values):
        found: tuple[float, int, int] = compiled.survey(values)
        return found
    high, low = float(values.max(initial=0.0)), float(values.min(initial=0.0))
    zeros = int(np.count_nonzero(values == 0))
    if math.isfinite(high) and math.isfinite(low):
        return max(high, -low), zeros, 0
    return math.inf, zeros, int(np.count_nonzero(~np.isfinite(values)))


def where_above(values: NDArray[np.floating], bar: float, most: int) -> list[int] | None:
    """Return the indices of elements whose absolute value is above a bar, rising.

    Args:
        values: shape ``(k,)``, finite.
        bar: 0 or more; a float64, which may lie between two numbers of a narrower type.
        most: ``None`` is returned where there are more.
    """
    if fits(values):
        found: list[int] | None = compiled.above(values, bar, most)
        return found
    where = np.flatnonzero(np.abs(values) > np.float64(bar))
    return where.tolist() if where.size <= most else None
