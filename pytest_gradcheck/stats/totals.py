"""Reduce one array, chunk by chunk, so that the memory needed does not grow with it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.records import ArrayView, ParameterStats
from pytest_gradcheck.stats.largest import Largest, indices
from pytest_gradcheck.stats.sketch import Fold

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Totals", "length", "without_nonfinite"]

NONFINITE_SHOWN = 5

_UNDERFLOW = 1e-290  # sums of squares below this have lost some of their terms
_OVERFLOW = 1e290  # arrays longer than this may have no sum


class Totals:
    """Accumulate the statistics of one gradient from its chunks."""

    def __init__(self, size: int, owner: int, largest: Largest) -> None:
        """Start with nothing seen of the `size` elements of parameter number `owner`."""
        self.fold: Final = Fold(size)
        self.size: Final = size
        self.owner: Final = owner
        self.largest: Final = largest
        self.norms: list[float] = []
        self.means: list[float] = []  # of each chunk, weighted by its share of the elements
        self.max_abs = 0.0
        self.covered = self.zeros = self.nans = self.infs = 0
        self.nonfinite: list[int] = []

    def add(self, start: int, values: NDArray[np.floating]) -> None:
        """Add one chunk."""
        wide = values.astype(np.float64)
        norm = length(wide)
        self.covered += values.size
        self.zeros += int(np.count_nonzero(values == 0))
        if not math.isfinite(norm):
            wide = self._count_nonfinite(start, wide)
            norm = length(wide)
        largest = float(max(wide.max(initial=0.0), -wide.min(initial=0.0)))
        self.max_abs = max(self.max_abs, largest)
        self.norms.append(norm)
        scale = 1.0 if norm < _OVERFLOW else largest
        total = float((wide if scale == 1.0 else wide / scale).sum())
        self.means.append(scale * (total / self.size))
        self.largest.add(self.owner, start, wide, largest)
        self.fold.add(start, wide)

    def finish(self, name: str, grad: ArrayView) -> ParameterStats:
        """Return the statistics; elements that no chunk covered are zeros."""
        norm, shape = math.hypot(*self.norms), grad.shape
        return ParameterStats(
            name=name,
            shape=shape,
            dtype=grad.dtype,
            norm=norm,
            max_abs=self.max_abs,
            mean=math.fsum(self.means),
            zeros=self.size - self.covered + self.zeros,
            nans=self.nans,
            infs=self.infs,
            top=self.largest.of(self.owner, shape),
            nonfinite=tuple(indices(self.nonfinite, shape)),
            sketch=None if self.nans or self.infs else self.fold.finish(norm),
        )

    def _count_nonfinite(self, start: int, wide: NDArray[np.float64]) -> NDArray[np.float64]:
        """Count what is not finite and return the chunk with zeros in its place."""
        bad = ~np.isfinite(wide)
        nans = int(np.count_nonzero(np.isnan(wide)))
        self.nans += nans
        self.infs += int(np.count_nonzero(bad)) - nans
        room = NONFINITE_SHOWN - len(self.nonfinite)
        self.nonfinite.extend((start + np.flatnonzero(bad)[:room]).tolist())
        return without_nonfinite(wide)


def without_nonfinite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values with zeros for NaN and Inf."""
    return np.where(np.isfinite(values), values, 0.0)


def length(values: NDArray[np.float64]) -> float:
    """Return the L2 norm, scaled where squares would overflow or vanish."""
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(values @ values)
    if math.isfinite(square) and square > _UNDERFLOW:
        return math.sqrt(square)
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    scaled = values / largest
    return largest * math.sqrt(float(scaled @ scaled))
