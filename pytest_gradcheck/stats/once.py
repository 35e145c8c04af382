"""Reduce an array that lies in one row by a single call, where loops are compiled.

What it returns is what `pytest_gradcheck.stats.totals` returns, bit for bit; that is where every
array goes that cannot be reduced here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.records import ArrayView, Sketch
from pytest_gradcheck.stats import kernels
from pytest_gradcheck.stats.fold import SQUARE_BITS, STEP_BITS
from pytest_gradcheck.stats.signs import ROWS
from pytest_gradcheck.stats.totals import Reduced, Survey
from pytest_gradcheck.stats.whole import HALF, lanes_of

if TYPE_CHECKING:
    from pytest_gradcheck.stats.largest import Largest

__all__ = ["reduced_at_once", "sketch_at_once"]


def reduced_at_once(view: ArrayView, owner: int, largest: Largest) -> Reduced | None:
    """Return all there is to know of a gradient, ``None`` where that takes more than one call.

    Args:
        view: of the gradient.
        owner: number of the parameter.
        largest: keeps the largest elements.
    """
    flat = getattr(view, "flat", None)
    if flat is None or not ROWS < flat.size <= kernels.BLOCK or not kernels.fits(flat):
        return None
    found = kernels.compiled.reduce(flat, lanes_of(flat.size))
    if found is None:
        return None
    peak, zeros, exponent, values, *squares, steps_high, steps_low = found
    if largest.wants(owner, peak):
        largest.add(owner, 0, flat, peak)
    survey = Survey(flat.size)
    survey.max_abs, survey.zeros = peak, zeros
    sketch = Sketch(norm=_norm(squares, exponent), values=values)
    mean = math.ldexp(((steps_high << HALF) + steps_low) / flat.size, exponent - STEP_BITS)
    return Reduced(survey=survey, norm=sketch.norm, mean=mean, sketch=sketch)


def sketch_at_once(view: ArrayView) -> Sketch | None:
    """Return the sketch of an array, ``None`` where that takes more than one call."""
    flat = getattr(view, "flat", None)
    if flat is None or not ROWS < flat.size <= kernels.BLOCK or not kernels.fits(flat):
        return None
    found = kernels.compiled.reduce(flat, lanes_of(flat.size))
    if found is None:
        return None
    _, _, exponent, values, *squares, _, _ = found
    return Sketch(norm=_norm(squares, exponent), values=values)


def _norm(squares: list[int], exponent: int) -> float:
    """Return the L2 norm from the halves of the sum of squares."""
    high, low = squares
    return math.ldexp(math.sqrt((high << HALF) + low), exponent - SQUARE_BITS // 2)
