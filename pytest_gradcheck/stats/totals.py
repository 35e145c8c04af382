"""Reduce one array, chunk by chunk, so that the memory needed does not grow with it.

An array is read twice: first for what is in it, then, with its largest element known, to be
folded. One that fits into a single chunk is shown once and kept in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pytest_gradcheck.records import ArrayView, Element, ParameterStats, Sketch
from pytest_gradcheck.stats.fold import GROUP, Fold
from pytest_gradcheck.stats.kernels import peak_of
from pytest_gradcheck.stats.largest import Largest, index_of
from pytest_gradcheck.stats.project import finished
from pytest_gradcheck.stats.signs import LANES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["CHUNK", "NONFINITE_SHOWN", "Reduced", "Survey", "folded", "reduced"]

CHUNK: Final = 16 * LANES
NONFINITE_SHOWN: Final = 5

Chunk = tuple[int, "NDArray[np.floating]"]


class Survey:
    """Count and compare the elements of one array."""

    def __init__(self, size: int) -> None:
        """Start with nothing seen of `size` elements."""
        self.max_abs = 0.0
        self.zeros = size  # elements that no chunk covers are zeros
        self.nans = self.infs = 0
        self.nonfinite: list[int] = []

    @property
    def finite(self) -> bool:
        """Whether no element is NaN or Inf."""
        return self.nans + self.infs == 0

    def add(self, start: int, values: NDArray[np.floating]) -> float:
        """Count one chunk and return its largest finite absolute element."""
        largest, zeros, nonfinite = peak_of(values)
        if nonfinite:
            largest, _, _ = peak_of(self._count_nonfinite(start, values))
        self.zeros -= values.size - zeros
        self.max_abs = max(self.max_abs, largest)
        return largest

    def reduced(self, norm: float, mean: float, sketch: Sketch | None) -> Reduced:
        """Return what was seen, with what was summed up."""
        counts = (self.zeros, self.nans, self.infs)
        return Reduced(norm, mean, sketch, self.max_abs, *counts, self.nonfinite)

    def _count_nonfinite(self, start: int, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Count what is not finite and return the chunk with zeros in its place."""
        bad = ~np.isfinite(values)
        nans = int(np.count_nonzero(np.isnan(values)))
        self.nans += nans
        self.infs += int(np.count_nonzero(bad)) - nans
        room = NONFINITE_SHOWN - len(self.nonfinite)
        self.nonfinite.extend((start + np.flatnonzero(bad)[:room]).tolist())
        return without_nonfinite(values)


def folded(
    view: ArrayView, *, owner: int = 0, largest: Largest | None = None, chunk: int = CHUNK
) -> tuple[Survey, Fold]:
    """Return what is in an array and the sums of its sketch; NaN and Inf count as zeros there.

    Args:
        view: of the array.
        owner: the number of the parameter.
        largest: keeps the largest elements; without it none are kept.
        chunk: how many elements to read at a time.
    """
    survey, chunks = Survey(view.size), _reader(view, chunk)
    for start, values in chunks():
        peak = survey.add(start, values)
        if largest is not None and largest.wants(owner, peak):
            finite = values if survey.finite else without_nonfinite(values)
            largest.add(owner, start, finite, peak)
    fold = Fold(view.size, survey.max_abs)
    for start, values in chunks():
        fold.add(start, values if survey.finite else without_nonfinite(values))
    return survey, fold


class Reduced(NamedTuple):
    """Hold what is known of one gradient until the largest elements of all are found.

    Attributes:
        nonfinite: flat indices of the first elements that are not finite.
        others: as in `ParameterStats`.
    """

    norm: float
    mean: float
    sketch: Sketch | None
    max_abs: float
    zeros: int
    nans: int = 0
    infs: int = 0
    nonfinite: Sequence[int] = ()

    def stats(
        self, name: str, grad: ArrayView, kept: Sequence[tuple[int, float]]
    ) -> ParameterStats:
        """Return the statistics, with the largest elements by flat index and value."""
        shape = grad.shape
        return ParameterStats(
            name=name,
            shape=shape,
            dtype=grad.dtype,
            norm=self.norm,
            max_abs=self.max_abs,
            mean=self.mean,
            zeros=self.zeros,
            nans=self.nans,
            infs=self.infs,
            nonfinite=tuple([index_of(i, shape) for i in self.nonfinite]) if self.nonfinite else (),
            sketch=self.sketch if self.nans + self.infs == 0 else None,
            top=tuple([Element(index=index_of(i, shape), value=value) for i, value in kept]),
        )


def reduced(
    views: Sequence[tuple[int, ArrayView]], largest: Largest, chunk: int = CHUNK
) -> Iterator[tuple[int, Reduced]]:
    """Yield number and all else of arrays that are read chunk by chunk.

    Args:
        views: number and view of each.
        largest: keeps the largest elements.
        chunk: how many elements to read at a time.
    """
    for first in range(0, len(views), GROUP):
        group = views[first : first + GROUP]
        both = [folded(view, owner=i, largest=largest, chunk=chunk) for i, view in group]
        sketches = finished([fold for _, fold in both])
        for (i, _), (survey, fold), sketch in zip(group, both, sketches, strict=True):
            norm = sketch.norm if sketch else fold.norm()
            yield i, survey.reduced(norm, fold.mean(), sketch)


def without_nonfinite(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the values with zeros for NaN and Inf."""
    return np.where(np.isfinite(values), values, values.dtype.type(0))


def _reader(view: ArrayView, chunk: int) -> Callable[[], Iterable[Chunk]]:
    """Return what shows the chunks of an array, as often as asked."""
    if view.size > chunk:
        return lambda: view.chunks(chunk)
    kept = list(view.chunks(chunk))
    return lambda: kept
