"""Turn gradients into numbers: norms, counts, extremes, sketches.

Each gradient is read once, chunk by chunk, so that the memory needed does not grow with it.

Requirements:
    Every reduction is in float64 whatever the gradient's dtype; counts are exact; no square ever
    overflows. What is not finite is counted, and left out of norms, extremes and means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.components import component_stats
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import (
    ArrayView,
    Element,
    Evaluation,
    GradientStats,
    ParameterStats,
    PointStats,
)
from pytest_gradcheck.sketch import LANES, Fold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["gradient_stats", "parameter_stats", "point_stats"]

NONFINITE_SHOWN = 5
POINT_STORED = 4096

_SMALL_CHUNK = 4 * LANES  # 131 kB in float64: a small model's measurement stays small
_LARGE_CHUNK = 16 * LANES
_UNDERFLOW = 1e-290  # sums of squares below this have lost some of their terms
_OVERFLOW = 1e290  # arrays longer than this may have no sum
_LARGE = 4_000_000  # elements from which the larger chunk no longer shows


def gradient_stats(
    evaluation: Evaluation, point: Mapping[str, ArrayView], *, top: int
) -> GradientStats:
    """Return the statistics of a gradient, parameters in the order of the point.

    Args:
        evaluation: what the backend returned.
        point: the parameters, for the shapes of those that no gradient reaches.
        top: how many of the largest elements to keep for each parameter.
    """
    chunk = _LARGE_CHUNK if sum(v.size for v in point.values()) > _LARGE else _SMALL_CHUNK
    return GradientStats(
        value=evaluation.value,
        parameters=tuple(
            parameter_stats(name, evaluation.grads[name], like=view, top=top, chunk=chunk)
            for name, view in point.items()
        ),
        components=component_stats(evaluation.components),
    )


def parameter_stats(
    name: str, grad: ArrayView | None, *, like: ArrayView, top: int = 0, chunk: int = _SMALL_CHUNK
) -> ParameterStats:
    """Return the statistics of the gradient of one parameter.

    Args:
        name: of the parameter.
        grad: its gradient, ``None`` where disconnected.
        like: the parameter itself.
        top: how many of the largest elements to keep.
        chunk: how many elements to read at a time.
    """
    if grad is None:
        return ParameterStats(name=name, shape=like.shape, dtype=like.dtype, disconnected=True)
    totals = _Totals(grad.size, top)
    for start, values in grad.chunks(chunk):
        totals.add(start, values)
    return totals.finish(name, grad)


def point_stats(point: Mapping[str, ArrayView], *, keep: bool) -> PointStats:
    """Return what identifies a point.

    Args:
        point: the parameters.
        keep: also keep every value, if all are finite and there are at most 4,096.

    Raises:
        UsageError: the norm of a parameter is beyond float64.
    """
    whole: list[float] | None = (
        [] if keep and sum(v.size for v in point.values()) <= POINT_STORED else None
    )
    sketches = []
    for name, view in point.items():
        fold, norms = Fold(view.size), []
        for start, values in view.chunks(_SMALL_CHUNK):
            wide = values.astype(np.float64)
            length = _length(wide)
            if not math.isfinite(length):
                wide, whole = np.where(np.isfinite(wide), wide, 0.0), None
                length = _length(wide)
            fold.add(start, wide)
            norms.append(length)
            if whole is not None:
                whole.extend(values.tolist())
        sketch = fold.finish(math.hypot(*norms))
        if sketch is None:
            msg = f"the values of parameter {name!r} are too large: their norm overflows float64"
            raise UsageError(msg)
        sketches.append(sketch)
    return PointStats(
        sketches=tuple(sketches),
        dtypes=tuple(v.dtype for v in point.values()),
        values=None if whole is None else tuple(whole),
    )


class _Totals:
    """Accumulate the statistics of one gradient from its chunks."""

    def __init__(self, size: int, top: int) -> None:
        """Start with nothing seen of `size` elements."""
        self.fold: Final = Fold(size)
        self.size: Final = size
        self.norms: list[float] = []
        self.means: list[float] = []  # of each chunk, weighted by its share of the elements
        self.max_abs = 0.0
        self.nonzero = self.nans = self.infs = 0
        self.nonfinite: list[int] = []
        self.top: Final = _Top(top)

    def add(self, start: int, values: NDArray[np.floating]) -> None:
        """Add one chunk."""
        wide = values.astype(np.float64)
        length = _length(wide)
        self.nonzero += int(np.count_nonzero(values != 0))
        if not math.isfinite(length):
            wide = self._without_nonfinite(start, wide)
            length = _length(wide)
        sizes = np.abs(wide)
        largest = float(sizes.max(initial=0.0))
        self.max_abs = max(self.max_abs, largest)
        self.norms.append(length)
        scale = 1.0 if length < _OVERFLOW else largest
        total = float((wide if scale == 1.0 else wide / scale).sum())
        self.means.append(scale * (total / self.size))
        self.top.add(start, wide, sizes, largest)
        self.fold.add(start, wide)

    def _without_nonfinite(self, start: int, wide: NDArray[np.float64]) -> NDArray[np.float64]:
        """Count what is not finite and return the chunk with zeros in its place."""
        bad = ~np.isfinite(wide)
        nans = int(np.count_nonzero(np.isnan(wide)))
        self.nans += nans
        self.infs += int(np.count_nonzero(bad)) - nans
        room = NONFINITE_SHOWN - len(self.nonfinite)
        self.nonfinite.extend((start + np.flatnonzero(bad)[:room]).tolist())
        return np.where(bad, 0.0, wide)

    def finish(self, name: str, grad: ArrayView) -> ParameterStats:
        """Return the statistics."""
        norm, shape = math.hypot(*self.norms), grad.shape
        largest = self.top.finish()
        return ParameterStats(
            name=name,
            shape=shape,
            dtype=grad.dtype,
            norm=norm,
            max_abs=self.max_abs,
            mean=math.fsum(self.means),
            zeros=self.size - self.nonzero,
            nans=self.nans,
            infs=self.infs,
            top=tuple(
                Element(index=index, value=value)
                for index, (_, value) in zip(
                    _indices([i for i, _ in largest], shape), largest, strict=True
                )
            ),
            nonfinite=tuple(_indices(self.nonfinite, shape)),
            sketch=None if self.nans or self.infs else self.fold.finish(norm),
        )


class _Top:
    """Keep the elements of largest absolute value, without sorting what cannot matter."""

    def __init__(self, count: int) -> None:
        """Keep `count` elements."""
        self.count: Final = count
        self.found: list[tuple[float, int, float]] = []  # (-size, index, value): sorts best first

    def add(
        self, start: int, values: NDArray[np.float64], sizes: NDArray[np.float64], largest: float
    ) -> None:
        """Look at one chunk: its values, their absolute values and the largest of these."""
        full = len(self.found) >= self.count
        if not self.count or largest == 0 or (full and largest <= -self.found[-1][0]):
            return
        threshold = -self.found[-1][0] if full else largest / 2
        where = np.flatnonzero(sizes >= threshold)
        if not full:  # lower the bar until enough elements, or all that are not zero, pass it
            while where.size < self.count and threshold > 0:
                threshold = threshold / 4 if threshold > largest * 1e-3 else 0.0
                where = np.flatnonzero(sizes > threshold)
        if where.size > self.count:
            where = self._first(where, sizes[where])
        picked = values[where].tolist()
        self.found += [(-abs(v), start + i, v) for i, v in zip(where.tolist(), picked, strict=True)]
        self.found.sort()
        del self.found[self.count :]

    def _first(self, where: NDArray[np.intp], sizes: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the indices of the largest sizes, the lowest indices among equal ones."""
        bar = np.partition(sizes, -self.count)[-self.count]
        above = where[sizes > bar]
        return np.concatenate([above, where[sizes == bar][: self.count - above.size]])

    def finish(self) -> list[tuple[int, float]]:
        """Return flat index and value, largest first."""
        return [(index, value) for _, index, value in self.found]


def _indices(flat: list[int], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the multi-indices of flat C-order indices."""
    if not shape:
        return [()] * len(flat)
    axes = np.unravel_index(np.array(flat, dtype=np.intp), shape)
    return list(zip(*(axis.tolist() for axis in axes), strict=True))


def _length(values: NDArray[np.float64]) -> float:
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
