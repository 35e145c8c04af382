"""Multiply several arrays of one shape with each other: norms, cosines, and which are finite.

Requirements:
    Elements are scaled by a power of two, so that no square can overflow or vanish.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.records import Products
from pytest_gradcheck.stats import kernels
from pytest_gradcheck.stats.whole import ldexp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView
    from pytest_gradcheck.stats.kernels import Memory

__all__ = ["products", "products_of_pieces"]

_WINDOW: Final = 16 * 1024  # a multiple of `kernels.TRACKS`
_LEAST: Final = -1000  # exponent; the scale of smaller elements would not be finite


def products(views: Sequence[ArrayView]) -> Products:
    """Return what arrays of one shape are to each other.

    Args:
        views: of at least one array; each is read twice, once for its largest element.
    """
    peaks = [_peak(view) for view in views]
    exponents = [max(math.frexp(peak)[1], _LEAST) for peak, _ in peaks]
    scales = [math.ldexp(1.0, -e) for e in exponents]
    sums = np.zeros((len(views), len(views), kernels.TRACKS))
    finite = [finite for _, finite in peaks]
    with nullcontext() if all(finite) else np.errstate(invalid="ignore"):  # a NaN may signal
        for rows in _rows(views):
            kernels.add_products(rows, scales, sums)
    return _products(sums.sum(axis=-1).tolist(), exponents, finite)


def products_of_pieces(
    dots: NDArray[np.float64], exponents: NDArray[np.int64], finite: NDArray[np.bool_]
) -> Products:
    """Return what m arrays are to each other from what k pieces of them are.

    Args:
        dots: shape ``(m * (m + 1) / 2, k)``, inner products of scaled pieces, in the order of
            ``np.triu_indices(m)``.
        exponents: shape ``(m, k)``, of the powers of two that the pieces were divided by.
        finite: shape ``(m, k)``, whether all elements of a piece are.
    """
    size = len(exponents)
    highest = np.maximum(exponents.max(axis=1), _LEAST)
    shifts = exponents - highest[:, None]
    one, other = np.triu_indices(size)
    with np.errstate(under="ignore"):
        sums = np.ldexp(dots, shifts[one] + shifts[other]).sum(axis=1)
    table = np.zeros((size, size))
    table[one, other] = sums
    return _products(table.tolist(), highest.tolist(), list(map(all, finite.tolist())))


def _products(
    dots: Sequence[Sequence[float]], exponents: Sequence[int], finite: Sequence[bool]
) -> Products:
    """Return norms and cosines from inner products of arrays divided by powers of two.

    Args:
        dots: of arrays i and j, where i is not larger.
        exponents: of the powers of two.
        finite: whether all elements of each array are.
    """
    lengths = [math.sqrt(dots[i][i]) for i in range(len(exponents))]
    return Products(
        norms=tuple(map(ldexp, lengths, exponents)),
        cosines={
            (i, j): dots[i][j] / (lengths[i] * lengths[j])
            for i, j in combinations(range(len(lengths)), 2)
            if lengths[i] and lengths[j]
        },
        finite=tuple(finite),
    )


def _peak(view: ArrayView) -> tuple[float, bool]:
    """Return the largest finite absolute value, and whether all are finite."""
    largest, finite = 0.0, True
    if memory := _lying(view):
        peak, _, nonfinite = kernels.compiled.survey(memory)
        if not nonfinite:
            return peak, True
    for _, values in view.chunks(_WINDOW):
        peak, _, nonfinite = kernels.peak_of(values)
        if nonfinite:
            finite, sizes = False, np.abs(values)
            peak = float(sizes.max(initial=0.0, where=np.isfinite(sizes)))
        largest = max(largest, peak)
    return largest, finite


def _rows(views: Sequence[ArrayView]) -> Iterator[Sequence[NDArray[np.floating] | Memory]]:
    """Yield the elements of arrays of one shape: where they lie, or in windows of equal places."""
    lying = [where for view in views if (where := _lying(view))]
    if len(lying) == len(views):
        yield lying
    else:
        yield from zip(*map(_windows, views), strict=True)


def _lying(view: ArrayView) -> Memory | None:
    """Return where the elements lie, ``None`` where no compiled loop can read them there."""
    return None if kernels.compiled is None else getattr(view, "memory", None)


def _windows(view: ArrayView) -> Iterator[NDArray[np.float64]]:
    """Yield the whole array in windows of equal places, zeros where no chunk covers it."""
    window = np.zeros(min(_WINDOW, view.size))
    done = 0
    for first, chunk in view.chunks(_WINDOW):
        start, values = first, chunk
        while values.size:
            while start >= done + window.size:
                yield window
                done += window.size
                window = np.zeros(min(_WINDOW, view.size - done))
            fits = min(values.size, done + window.size - start)
            window[start - done : start - done + fits] = values[:fits]
            start, values = start + fits, values[fits:]
    while window.size:
        yield window
        done += window.size
        window = np.zeros(min(_WINDOW, view.size - done))
