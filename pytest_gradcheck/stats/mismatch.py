"""Hold a gradient against the sum of its components, where they come from two functions.

Requirements:
    What rounding explains is no mismatch. Two ways to compute one gradient agree to some 1e-14 of
    the terms that are added up, to 1e-10 where a matrix is badly conditioned; a rewrite that makes
    one of them wrong shows from 1e-3 on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.records import Mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView, Evaluation

__all__ = ["EXPLAINED", "mismatches"]

EXPLAINED = 1e-4
"""The relative distance that rounding may explain, in the worst-conditioned model."""

_NEGLIGIBLE = 1e-9  # of the whole gradient: a parameter of which less is left has none


def mismatches(evaluation: Evaluation, sense: str) -> tuple[Mismatch, ...]:
    """Return where a gradient and the sum of its components differ by more than rounding.

    Args:
        evaluation: value, gradient and components of one point.
        sense: what the value is called.
    """
    if not evaluation.components:
        return ()
    whole = {name: to_numpy(g) for name, g in evaluation.grads.items() if g is not None}
    floor = _NEGLIGIBLE * math.hypot(*map(_norm, whole.values()))
    parts = {name: [to_numpy(g) for g in _gradients(evaluation, name)] for name in evaluation.grads}
    found = [_value(evaluation, sense)]
    for name, terms in parts.items():
        if name in whole:
            found.append(_parameter(name, whole[name], terms, floor))
    return tuple(m for m in found if m.distance or m.only_whole or m.only_sum)


def _value(evaluation: Evaluation, sense: str) -> Mismatch:
    """Hold the value against the sum of the components' values."""
    values = [c.value for c in evaluation.components.values()]
    total, size = sum(values), sum(map(abs, values))
    bad, worse = not math.isfinite(evaluation.value), not math.isfinite(total)
    if bad or worse:
        return Mismatch(subject=sense, only_whole=int(bad > worse), only_sum=int(worse > bad))
    return Mismatch(subject=sense, distance=_beyond(abs(evaluation.value - total), size))


def _parameter(
    name: str, whole: NDArray[np.float64], terms: list[NDArray[np.float64]], floor: float
) -> Mismatch:
    """Hold the gradient of one parameter against the sum of its components'."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.sum(terms, axis=0) if terms else np.zeros_like(whole)
    one, other = np.isfinite(whole), np.isfinite(total)
    both = one & other
    far = _norm(np.where(both, whole, 0.0) - np.where(both, total, 0.0))
    size = max(sum(map(_norm, terms)), _norm(whole), floor)
    return Mismatch(
        subject=name,
        distance=_beyond(far, size),
        only_whole=int(np.count_nonzero(~one & other)),
        only_sum=int(np.count_nonzero(one & ~other)),
    )


def _beyond(far: float, size: float) -> float:
    """Return a relative distance, 0 where rounding explains it."""
    return far / size if far > EXPLAINED * size else 0.0


def _gradients(evaluation: Evaluation, name: str) -> Iterator[ArrayView]:
    """Yield the components' gradients in one parameter."""
    for component in evaluation.components.values():
        grads: Mapping[str, ArrayView | None] = component.grads
        view = grads.get(name)
        if view is not None:
            yield view


def _norm(values: NDArray[np.float64]) -> float:
    """Return the L2 norm over the finite elements, however large they are."""
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max(initial=0.0))
    return largest * float(np.linalg.norm(finite / largest)) if largest else 0.0
