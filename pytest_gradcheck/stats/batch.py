"""Reduce many small arrays at once: one call of numpy for all of them, not ten for each.

A model has more biases and norms than matrices, and for an array of a hundred elements the calls
cost a hundred times what the arithmetic does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.records import ArrayView, Sketch
from pytest_gradcheck.stats import kernels
from pytest_gradcheck.stats.fold import SQUARE_BITS, STEP_BITS, mean_of
from pytest_gradcheck.stats.signs import LANES, ROWS, row_signs
from pytest_gradcheck.stats.totals import Reduced
from pytest_gradcheck.stats.whole import mean_of_few

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.stats.largest import Largest

__all__ = ["small_sketches", "small_stats", "together"]

_BATCH = 16 * 1024  # elements at a time
_SMALLEST = 1e-120  # below, squares may have lost some of their bits
_LARGEST = 1e120
_SPLIT = 25  # bits of the lower half: sums of 4,093 halves are exact

Small = tuple[int, ArrayView]


def together(view: ArrayView) -> bool:
    """Whether an array is one of those that are reduced together: none where loops are compiled."""
    return kernels.compiled is None and 0 < view.size <= LANES


def small_stats(views: Sequence[Small], largest: Largest) -> dict[int, Reduced]:
    """Return what there is to know of small gradients, by number.

    Args:
        views: number and gradient of the small ones.
        largest: keeps the largest elements.

    Returns:
        What could be reduced together: not a sparse gradient, nor one with NaN, Inf or numbers
        whose squares float64 does not hold; these are left to `pytest_gradcheck.stats.totals`.
    """
    found = {}
    for batch, flat, starts in _batches(views):
        zeros = np.add.reduceat(flat == 0, starts, dtype=np.intp).tolist()
        highest, means, sketches = _sketches(batch, flat, starts)
        for k, (number, view) in enumerate(batch):
            sketch = sketches[k]
            if sketch is None:
                continue
            peak = highest[k]
            if largest.wants(number, peak):
                largest.add(number, 0, flat[starts[k] : starts[k] + view.size], peak)
            found[number] = Reduced(sketch.norm, means[k], sketch, peak, zeros[k])
    return found


def small_sketches(views: Sequence[Small]) -> dict[int, Sketch]:
    """Return the sketches of small arrays, by number; without those `small_stats` leaves out."""
    found = {}
    for batch, flat, starts in _batches(views):
        _, _, sketches = _sketches(batch, flat, starts)
        found.update({n: s for (n, _), s in zip(batch, sketches, strict=True) if s is not None})
    return found


def _sketches(
    batch: Sequence[Small], flat: NDArray[np.float64], starts: NDArray[np.intp]
) -> tuple[list[float], list[float], list[Sketch | None]]:
    """Return the largest absolute element, the mean and the sketch of each array of a batch.

    The sketch is ``None`` where an array has NaN, Inf or numbers out of the usual range.
    """
    sizes = [view.size for _, view in batch]
    highest = np.maximum.reduceat(np.abs(flat), starts)
    usable = (highest > _SMALLEST) & (highest < _LARGEST) | (highest == 0)
    exponents = np.frexp(np.where(usable, highest, 0.0))[1]
    with np.errstate(over="ignore", invalid="ignore"):
        unit = flat * np.repeat(np.ldexp(1.0, -exponents), sizes)
        squares = np.rint(unit * unit * 2.0**SQUARE_BITS)
        steps = np.rint(unit * 2.0**STEP_BITS)
        high = np.rint(steps * 2.0**-_SPLIT)
        halves = np.stack([high, steps - high * 2.0**_SPLIT])
        norms = np.sqrt(np.add.reduceat(squares.astype(np.int64), starts))
        sums = np.add.reduceat(steps.astype(np.int64), starts).tolist()
    found: list[Sketch | None] = []
    means = [
        mean_of(total, size, int(exponent))
        for total, size, exponent in zip(sums, sizes, exponents, strict=True)
    ]
    for k, (start, size) in enumerate(zip(starts.tolist(), sizes, strict=True)):
        stop, exponent = start + size, int(exponents[k])
        if not usable[k]:
            found.append(None)
        elif size <= ROWS:
            own = unit[start:stop]
            norm = math.ldexp(math.sqrt(math.fsum((own * own).tolist())), exponent)
            means[k] = mean_of_few(flat[start:stop].tolist(), exponent)
            found.append(Sketch(norm=norm, values=tuple(flat[start:stop].tolist())))
        else:
            norm = math.ldexp(float(norms[k]), exponent - SQUARE_BITS // 2)
            sums = (halves[:, start:stop] @ row_signs()[:size]).astype(np.int64)
            whole = ((sums[0] << _SPLIT) + sums[1]).astype(np.float64)
            values = np.ldexp(whole, exponent - STEP_BITS) / math.sqrt(ROWS)
            found.append(Sketch(norm=norm, values=tuple(values.tolist())))
    return highest.tolist(), means, found


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
