"""Reduce many small arrays at once: one call of numpy for all of them, not ten for each.

A model has more biases and norms than matrices, and for an array of a hundred elements the calls
cost a hundred times what the arithmetic does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.records import ArrayView, ParameterStats, Sketch
from pytest_gradcheck.stats.sketch import LANES, short_sketch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.stats.largest import Largest

__all__ = ["is_small", "small_sketches", "small_stats"]

_BATCH = 16 * 1024  # elements at a time
_SMALLEST = 1e-140  # norms below have squares that may have lost some of their terms
_LARGEST = 1e140

Small = tuple[int, ArrayView]


def is_small(view: ArrayView) -> bool:
    """Whether an array is one of those that are reduced together."""
    return 0 < view.size <= LANES


def small_stats(
    names: Sequence[str], views: Sequence[Small], largest: Largest
) -> dict[int, ParameterStats]:
    """Return the statistics of small gradients, by number.

    Args:
        names: of all parameters.
        views: number and gradient of the small ones.
        largest: keeps the largest elements.

    Returns:
        What could be reduced together: not a sparse gradient, nor one with NaN, Inf or squares
        that float64 cannot hold; these are left to `pytest_gradcheck.stats.totals`.
    """
    found = {}
    for batch, flat, starts in _batches(views):
        norms = _norms(flat, starts)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.add.reduceat(flat, starts).tolist()
        highest = np.maximum.reduceat(np.abs(flat), starts).tolist()
        zeros = np.add.reduceat(flat == 0, starts, dtype=np.intp).tolist()
        for k, (number, view) in enumerate(batch):
            norm = norms[k]
            if not (_SMALLEST < norm < _LARGEST or (norm == 0 and highest[k] == 0)):
                continue
            values = flat[starts[k] : starts[k] + view.size]
            largest.add(number, 0, values, highest[k])
            found[number] = ParameterStats(
                name=names[number],
                shape=view.shape,
                dtype=view.dtype,
                norm=norm,
                max_abs=highest[k],
                mean=sums[k] / view.size,
                zeros=zeros[k],
                sketch=Sketch(norm=norm, values=short_sketch(values)),
            )
    return found


def small_sketches(views: Sequence[Small]) -> dict[int, Sketch]:
    """Return the sketches of small arrays, by number; without those `small_stats` leaves out."""
    found = {}
    for batch, flat, starts in _batches(views):
        norms = _norms(flat, starts)
        for k, (number, view) in enumerate(batch):
            values = flat[starts[k] : starts[k] + view.size]
            if _SMALLEST < norms[k] < _LARGEST or not values.any():
                found[number] = Sketch(norm=norms[k], values=short_sketch(values))
    return found


def _batches(
    views: Sequence[Small],
) -> Iterator[tuple[list[Small], NDArray[np.float64], NDArray[np.intp]]]:
    """Yield arrays, all their elements in one row, and where each begins."""
    batch: list[Small] = []
    parts: list[NDArray[np.floating]] = []
    size = 0
    for number, view in views:
        pieces = list(view.chunks(LANES))
        if len(pieces) != 1 or pieces[0][1].size != view.size:
            continue  # a sparse gradient, or one that is not contiguous
        batch.append((number, view))
        parts.append(pieces[0][1])
        size += view.size
        if size >= _BATCH:
            yield batch, *_row(parts)
            batch, parts, size = [], [], 0
    if batch:
        yield batch, *_row(parts)


def _row(
    parts: Sequence[NDArray[np.floating]],
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return all elements in one row, and where each part begins."""
    sizes = [part.size for part in parts]
    starts = np.cumsum([0, *sizes[:-1]], dtype=np.intp)
    return np.concatenate(parts, dtype=np.float64, casting="same_kind"), starts


def _norms(flat: NDArray[np.float64], starts: NDArray[np.intp]) -> list[float]:
    """Return the norm of each part; not a number, infinite or 0 where that needs a closer look."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms: list[float] = np.sqrt(np.add.reduceat(flat * flat, starts)).tolist()
    return norms
