"""Turn gradients into numbers: norms, counts, extremes, sketches.

Each gradient is read once: large ones chunk by chunk (`totals`), small ones together (`batch`).

Requirements:
    Every reduction is in float64 whatever the gradient's dtype; counts are exact; no square ever
    overflows. What is not finite is counted, and left out of norms, extremes and means.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.records import (
    ArrayView,
    Collective,
    Evaluation,
    GradientStats,
    ParameterStats,
    PointStats,
    Sketch,
)
from pytest_gradcheck.stats.batch import is_small, small_sketches, small_stats
from pytest_gradcheck.stats.components import component_stats
from pytest_gradcheck.stats.joined import joined, joined_sketches, owned
from pytest_gradcheck.stats.largest import Largest
from pytest_gradcheck.stats.sketch import LANES, Fold
from pytest_gradcheck.stats.totals import Totals, length, without_nonfinite

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["gradient_stats", "parameter_stats", "point_stats"]

POINT_STORED = 4096

_SMALL_CHUNK = 4 * LANES  # 131 kB in float64: a small model's measurement stays small
_LARGE_CHUNK = 16 * LANES
_LARGE = 4_000_000  # elements from which the larger chunk no longer shows


def gradient_stats(
    evaluation: Evaluation, point: Mapping[str, ArrayView], *, top: int
) -> GradientStats:
    """Return the statistics of a gradient, parameters in the order of the point.

    Args:
        evaluation: what the backend returned.
        point: the parameters, for the shapes of those that no gradient reaches.
        top: how many of the largest elements to keep over all parameters; each keeps at least
            its own largest one.
    """
    names, views = list(point), [evaluation.grads[name] for name in point]
    chunk = _LARGE_CHUNK if sum(v.size for v in point.values()) > _LARGE else _SMALL_CHUNK
    largest = Largest(top)
    small = [(i, v) for i, v in enumerate(views) if v is not None and is_small(v)]
    done = small_stats(names, small, largest)
    for i, (name, like) in enumerate(point.items()):
        if i not in done:
            done[i] = _reduced(name, views[i], like, (i, largest), chunk)
    here = GradientStats(
        value=evaluation.value,
        # Which elements are among the largest is known only now.
        parameters=tuple(
            [replace(done[i], top=largest.of(i, done[i].shape)) for i in sorted(done)]
        ),
        components=component_stats(owned(evaluation.components, evaluation.collective)),
    )
    return here if evaluation.collective is None else joined(here, evaluation.collective, top=top)


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
    return _reduced(name, grad, like, (0, Largest(top)), chunk)


def _reduced(
    name: str, grad: ArrayView | None, like: ArrayView, kept: tuple[int, Largest], chunk: int
) -> ParameterStats:
    """Return the statistics of one gradient, read chunk by chunk."""
    if grad is None:
        return ParameterStats(name=name, shape=like.shape, dtype=like.dtype, disconnected=True)
    totals = Totals(grad.size, *kept)
    for start, values in grad.chunks(chunk):
        totals.add(start, values)
    return totals.finish(name, grad)


def point_stats(
    point: Mapping[str, ArrayView], *, keep: bool, collective: Collective | None = None
) -> PointStats:
    """Return what identifies a point.

    Args:
        point: the parameters.
        keep: also keep every value, if all are finite and there are at most 4,096.
        collective: the ranks that hold the point together, ``None`` where it lies here whole.

    Raises:
        UsageError: the norm of a parameter is beyond float64.
    """
    small = [(i, v) for i, v in enumerate(point.values()) if is_small(v)]
    found = small_sketches(small)
    for i, (name, view) in enumerate(point.items()):
        if i not in found:
            sketch = _sketched(view)
            if sketch is None:
                msg = (
                    f"the values of parameter {name!r} are too large: their norm overflows float64"
                )
                raise UsageError(msg)
            found[i] = sketch
    sketches = [found[i] for i in sorted(found)]
    if collective is not None:
        sketches = joined_sketches(dict(zip(point, sketches, strict=True)), collective)
    return PointStats(
        sketches=tuple(sketches),
        dtypes=tuple(v.dtype for v in point.values()),
        values=_whole(point) if keep else None,
    )


def _sketched(view: ArrayView) -> Sketch | None:
    """Return the sketch of the finite values of an array, ``None`` if its norm overflows."""
    fold, norms = Fold(view.size), []
    for start, values in view.chunks(_SMALL_CHUNK):
        wide = values.astype(np.float64)
        norm = length(wide)
        if not math.isfinite(norm):
            wide = without_nonfinite(wide)
            norm = length(wide)
        fold.add(start, wide)
        norms.append(norm)
    return fold.finish(math.hypot(*norms))


def _whole(point: Mapping[str, ArrayView]) -> tuple[float, ...] | None:
    """Return all values of a small point, ``None`` if it is not small or not finite."""
    if sum(v.size for v in point.values()) > POINT_STORED:
        return None
    values = np.concatenate([to_numpy(view).reshape(-1) for view in point.values()])
    return tuple(values.tolist()) if np.isfinite(values).all() else None
