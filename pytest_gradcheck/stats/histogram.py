"""Count the elements of a gradient by size, in half decades, for reports that show it.

Bin ``i`` of `BINS` counts the elements with ``LOWEST + i / 2 <= log10 |g| < LOWEST + (i + 1) / 2``;
what is smaller or larger is in the first or the last bin. Zeros and what is not finite are in none:
the statistics count them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from pytest_gradcheck.records import ArrayView, Evaluation

__all__ = ["BINS", "LOWEST", "PER_DECADE", "histogram", "histograms"]

LOWEST: Final = -20  # log10 of the lower edge of the first bin
PER_DECADE: Final = 2
BINS: Final = 64

_CHUNK = 1 << 16


def histograms(evaluation: Evaluation) -> dict[str, tuple[int, ...]]:
    """Return the histogram of every gradient that is here and not disconnected, by parameter."""
    if evaluation.reduced is not None:
        return {}
    return {name: histogram(view) for name, view in evaluation.grads.items() if view is not None}


def histogram(view: ArrayView) -> tuple[int, ...]:
    """Return how many elements of an array are of which size, `BINS` counts."""
    counts = np.zeros(BINS, dtype=np.int64)
    for _, values in view.chunks(_CHUNK):
        wide = np.abs(values.astype(np.float64))
        wide = wide[np.isfinite(wide) & (wide > 0)]
        bins = np.floor(PER_DECADE * (np.log10(wide) - LOWEST)).clip(0, BINS - 1).astype(np.intp)
        counts += np.bincount(bins, minlength=BINS)
    return tuple(counts.tolist())
