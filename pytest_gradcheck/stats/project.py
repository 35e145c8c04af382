"""Project the lanes of folds on random signs, which ends their sketches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.records import Sketch
from pytest_gradcheck.stats.fold import GROUP, STEP_BITS
from pytest_gradcheck.stats.signs import LANES, ROWS, row_signs
from pytest_gradcheck.stats.whole import HALF, ldexp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.stats.fold import Fold

__all__ = ["finished", "sketch_of", "sketch_values"]


def finished(folds: Sequence[Fold]) -> list[Sketch | None]:
    """Return the sketches of folds; ``None`` where float64 does not hold one.

    Args:
        folds: each of a whole array; the more of them at a time, the less each costs.
    """
    found: list[Sketch | None] = []
    for first in range(0, len(folds), GROUP):
        group = folds[first : first + GROUP]
        sums = iter(_projected([f for f in group if f.size > ROWS and not f.is_compiled]))
        for fold in group:
            if fold.size > ROWS and not fold.is_compiled:
                values = sketch_values(next(sums), fold.exponent)
            else:
                values = fold.values()
            found.append(sketch_of(fold.norm(), values))
    return found


def sketch_of(norm: float, values: tuple[float, ...]) -> Sketch | None:
    """Return a sketch, ``None`` where float64 does not hold it."""
    usable = math.isfinite(norm) and all(map(math.isfinite, values))
    return Sketch(norm=norm, values=values) if usable else None


def sketch_values(sums: Sequence[int], exponent: int) -> tuple[float, ...]:
    """Return the values of a sketch from its 32 exact sums."""
    root = math.sqrt(ROWS)
    return tuple([ldexp(float(s), exponent - STEP_BITS) / root for s in sums])


def _projected(folds: Sequence[Fold]) -> list[list[int]]:
    """Return the 32 signed sums of the lanes of each fold; no product or sum is ever rounded."""
    if not folds:
        return []
    lanes = np.zeros((2 * len(folds), LANES))
    for i, fold in enumerate(folds):
        halves = fold.halves()
        lanes[2 * i : 2 * i + 2, : halves[0].size] = halves
    sums = lanes @ row_signs()
    return [
        [(int(h) << HALF) + int(lo) for h, lo in zip(high, low, strict=True)]
        for high, low in zip(sums[::2].tolist(), sums[1::2].tolist(), strict=True)
    ]
