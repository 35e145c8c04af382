"""Tell in what way one gradient resembles another, from their sketches and statistics.

Sketches are linear: a gradient is minus the old one exactly if the two sketches add up to zero, and
``k`` times the old one if the difference with ``k`` times the old sketch vanishes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from pytest_gradcheck.records import ParameterStats, Sketch
from pytest_gradcheck.stats.sketch import distance

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EQUAL", "FITS", "Pair", "factor_of", "is_scaled", "kind"]

Pair: TypeAlias = tuple[ParameterStats, ParameterStats]
"""A gradient now, and as it was."""

FITS = 0.02  # residual of a hypothesis, relative to the drift it explains
EQUAL = 1e-4  # two statistics that a hypothesis holds equal, relative

_TURNED = 1e-3  # relative distance from which an order can have changed
_ROUNDED = 2e-6  # what a baseline shows is rounded to six digits


def kind(pair: Pair, every: Sequence[Pair]) -> str:
    """Return what happened to one parameter, empty where nothing fits."""
    now, was = pair
    if now.sketch is None or was.sketch is None or was.norm == 0 or now.norm == 0:
        return ""
    factor = factor_of([pair])
    if factor is not None and is_scaled(pair, factor):
        if math.isclose(factor, -1.0, rel_tol=EQUAL):
            return "sign flipped"
        if now.size > 1:  # one number is always some multiple of another
            return f"scaled by {factor:.6g}"
    for _, other in every:
        swapped = other.name != was.name and other.shape == was.shape and other.norm > 0
        if not swapped or other.sketch is None:
            continue
        if _residual(now.sketch, other.sketch, 1.0) < EQUAL:
            return f"has the gradient that was {other.name}'s: swapped?"
    far = distance(now.sketch, was.sketch) / was.norm
    equal = max(EQUAL * far, _ROUNDED)
    same = far > _TURNED and all(
        math.isclose(a, b, rel_tol=equal)
        for a, b in ((now.norm, was.norm), (now.max_abs, was.max_abs))
    )
    if same and now.zeros == was.zeros and abs(now.mean - was.mean) <= equal * was.rms:
        return "same values in another order: rows permuted?"
    return ""


def factor_of(pairs: Sequence[Pair]) -> float | None:
    """Return the factor that carries the old gradient closest to the new one."""
    dot = square = 0.0
    for now, was in pairs:
        if now.sketch is None or was.sketch is None or was.norm == 0:
            return None
        scale = 1.0 / was.norm
        both = zip(now.sketch.values, was.sketch.values, strict=True)
        dot += sum((a * scale) * (b * scale) for a, b in both)
        square += sum((b * scale) ** 2 for b in was.sketch.values)
    return dot / square if square > 0 else None


def is_scaled(pair: Pair, factor: float) -> bool:
    """Whether a gradient is the old one times the factor, which is not 1."""
    now, was = pair
    if now.sketch is None or was.sketch is None or factor == 0:
        return False
    explained = abs(factor - 1.0) / max(abs(factor), 1.0)
    return _residual(now.sketch, was.sketch, factor) <= FITS * explained


def _residual(now: Sketch, was: Sketch, factor: float) -> float:
    """Return what is left of the new gradient after ``factor`` times the old one, relative."""
    left = math.dist(now.values, [factor * v for v in was.values])
    size = max(math.hypot(*now.values), abs(factor) * math.hypot(*was.values))
    return left / size if size > 0 else 0.0
