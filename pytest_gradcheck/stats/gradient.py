"""Turn gradients into numbers: norms, counts, extremes, sketches.

Each gradient is read once: large ones chunk by chunk (`totals`), small ones together (`batch`).

Requirements:
    Every reduction is in float64 whatever the gradient's dtype; counts are exact; no square ever
    overflows. What is not finite is counted, and left out of norms, extremes and means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.records import (
    POINT_STORED,
    ArrayView,
    Collective,
    Evaluation,
    GradientStats,
    ParameterStats,
    PointStats,
    Sketch,
)
from pytest_gradcheck.stats.afar import reduced_afar
from pytest_gradcheck.stats.batch import small_sketches, small_stats, together
from pytest_gradcheck.stats.components import component_stats
from pytest_gradcheck.stats.fold import GROUP
from pytest_gradcheck.stats.joined import joined, joined_sketches, owned
from pytest_gradcheck.stats.largest import Largest
from pytest_gradcheck.stats.once import reduced_at_once, sketches_at_once
from pytest_gradcheck.stats.project import finished
from pytest_gradcheck.stats.totals import CHUNK, Reduced, folded, reduced

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["gradient_stats", "parameter_stats", "point_stats"]


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
    views = [evaluation.grads[name] for name in point]
    largest = Largest(top)
    done = _reduced({i: view for i, view in enumerate(views) if view is not None}, largest)
    parameters, kept = [], largest.by_owner()
    for i, (name, like) in enumerate(point.items()):
        grad = views[i]
        # Which elements are among the largest is known only now.
        parameters.append(
            _disconnected(name, like)
            if grad is None
            else done[i].stats(name, grad, kept.get(i, ()))
        )
    here = GradientStats(
        value=evaluation.value,
        parameters=tuple(parameters),
        components=component_stats(owned(evaluation.components, evaluation.collective)),
    )
    return here if evaluation.collective is None else joined(here, evaluation.collective, top=top)


def parameter_stats(
    name: str, grad: ArrayView | None, *, like: ArrayView, top: int = 0, chunk: int = CHUNK
) -> ParameterStats:
    """Return the statistics of the gradient of one parameter.

    Args:
        name: of the parameter.
        grad: its gradient, ``None`` where disconnected.
        like: the parameter itself.
        top: how many of the largest elements to keep.
        chunk: how many elements to read at a time.
    """
    if grad is None:
        return _disconnected(name, like)
    largest = Largest(top)
    ((_, found),) = reduced([(0, grad)], largest, chunk)
    return found.stats(name, grad, largest.by_owner().get(0, ()))


def _disconnected(name: str, like: ArrayView) -> ParameterStats:
    """Return the statistics of a gradient that is not there."""
    return ParameterStats(name=name, shape=like.shape, dtype=like.dtype, disconnected=True)


def _reduced(views: Mapping[int, ArrayView], largest: Largest) -> dict[int, Reduced]:
    """Return all there is to know of gradients, each in the way that costs least, by number."""
    done, near = reduced_afar(views, largest)
    here = {i: near.get(i, view) for i, view in views.items() if i not in done}
    done |= reduced_at_once(here, largest)
    rest = [(i, view) for i, view in here.items() if i not in done]
    done |= small_stats([(i, view) for i, view in rest if together(view)], largest)
    done.update(reduced([(i, view) for i, view in rest if i not in done], largest))
    return done


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
    parts = _sketches(point)
    if collective is not None:
        parts = joined_sketches(dict(zip(point, parts, strict=True)), collective)
    return PointStats(
        sketches=tuple(parts),
        dtypes=tuple(v.dtype for v in point.values()),
        values=_whole(point) if keep else None,
    )


def _sketches(point: Mapping[str, ArrayView]) -> list[Sketch]:
    """Return the sketch of each parameter's values; zeros stand for NaN and Inf.

    Raises:
        UsageError: the norm of a parameter is beyond float64.
    """
    views = dict(enumerate(point.values()))
    done, near = reduced_afar(views, Largest(0))
    found: dict[int, Sketch | None] = {i: one.sketch for i, one in done.items()}
    here = {i: near.get(i, view) for i, view in views.items() if i not in done}
    found |= sketches_at_once(here)
    found |= small_sketches([(i, v) for i, v in here.items() if i not in found and together(v)])
    rest = [i for i in here if i not in found]
    for first in range(0, len(rest), GROUP):
        group = rest[first : first + GROUP]
        found |= zip(group, finished([folded(here[i])[1] for i in group]), strict=True)
    parts = []
    for i, name in enumerate(point):
        sketch = found[i]
        if sketch is None:
            msg = f"the values of parameter {name!r} are too large: their norm overflows float64"
            raise UsageError(msg)
        parts.append(sketch)
    return parts


def _whole(point: Mapping[str, ArrayView]) -> tuple[float, ...] | None:
    """Return all values of a small point, ``None`` if it is not small or not finite."""
    if sum(v.size for v in point.values()) > POINT_STORED:
        return None
    values = np.concatenate([to_numpy(view).reshape(-1) for view in point.values()])
    return tuple(values.tolist()) if np.isfinite(values).all() else None
