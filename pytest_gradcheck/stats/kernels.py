"""Choose the inner loops: compiled ones where they could be built, numpy's everywhere else.

Requirements:
    Both give the same bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

try:
    from pytest_gradcheck.stats import _kernels
except ImportError:  # no compiler was at hand when the package was installed
    compiled: Any = None
else:
    compiled = _kernels

__all__ = [
    "BLOCK",
    "TOP",
    "TRACKS",
    "Memory",
    "add_products",
    "compiled",
    "fits",
    "peak_of",
    "top_of",
]

BLOCK: Final = 2**24  # elements that compiled loops add up at a time
TOP: Final = 256  # elements that they keep of the largest
TRACKS: Final = 16
"""Running sums of an inner product: the product of elements i is in that of i modulo 16."""

Memory: TypeAlias = tuple[int, int, int]
"""Address, number and bytes of float32 or float64 elements, which stay there meanwhile."""

_WINDOW: Final = 256 * TRACKS
_FEW: Final = 256
_HALVINGS: Final = 12
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


def top_of(values: NDArray[np.floating] | Memory, bar: float, most: int) -> list[tuple[int, float]]:
    """Return index and value of the largest elements, the largest first, of equal ones the first.

    Args:
        values: shape ``(k,)``, finite; or where they lie, of which at most `TOP` can be had.
        bar: 0 or more, which their absolute value exceeds; a float64, which may lie between two
            numbers of a narrower type.
        most: how many, 1 or more.
    """
    if isinstance(values, tuple) or (most <= TOP and fits(values)):
        found: list[tuple[int, float]] = compiled.top(values, bar, most)
        return found
    sizes = np.abs(values)
    where = np.flatnonzero(sizes > np.float64(bar))
    if where.size > most:
        where = where[_few_largest(sizes[where], most)]
    order = where[np.argsort(-sizes[where].astype(np.float64), kind="stable")][:most]
    return list(zip(order.tolist(), values[order].tolist(), strict=True))


def _few_largest(sizes: NDArray[np.floating], wanted: int) -> NDArray[np.intp]:
    """Return the indices of at least `wanted` of the largest sizes, and of few others.

    By halving, which reads the sizes a few times and is still several times faster than to sort
    them partly; that is done where too many are nearly equal.
    """
    low, high = 0.0, float(sizes.max())
    for _ in range(_HALVINGS):
        bar = 0.5 * (low + high)
        count = np.count_nonzero(sizes > bar)
        if count < wanted:
            high = bar
        elif count > max(_FEW, wanted):
            low = bar
        else:
            return np.flatnonzero(sizes > bar)
    smallest = np.partition(sizes, -wanted)[-wanted]
    above, equal = np.flatnonzero(sizes > smallest), np.flatnonzero(sizes == smallest)
    return np.sort(np.concatenate([above, equal[: wanted - above.size]]))


def add_products(
    rows: Sequence[NDArray[np.floating] | Memory],
    scales: Sequence[float],
    sums: NDArray[np.float64],
) -> None:
    """Add the inner products of scaled arrays, NaN and Inf counted as 0.

    Each sum is that of every sixteenth product in the order of the elements, so that an array gives
    the same bits whole and in windows of a multiple of 16 elements.

    Args:
        rows: m arrays of equal length; or where they lie, with compiled loops.
        scales: a power of two for each, which brings its largest element near 1.
        sums: shape ``(m, m, TRACKS)``, to which is added where the first index is not larger.
    """
    if compiled is not None and all(isinstance(row, tuple) or fits(row) for row in rows):
        compiled.products(tuple(rows), tuple(scales), sums.reshape(-1))
        return
    arrays = [row for row in rows if not isinstance(row, tuple)]
    for first in range(0, arrays[0].size, _WINDOW):
        last = min(first + _WINDOW, arrays[0].size)
        table = np.zeros((len(arrays), -(-(last - first) // TRACKS) * TRACKS))
        table[:, : last - first] = [row[first:last] for row in arrays]
        table[~np.isfinite(table)] = 0.0
        table *= np.asarray(scales)[:, None]
        tracks = table.reshape(len(arrays), -1, TRACKS)
        for i, one in enumerate(tracks):
            found = one * tracks[i:]
            found[:, 0] += sums[i, i:]  # as in the loops: to what there is, one by one
            sums[i, i:] = np.add.reduce(found, axis=1)
