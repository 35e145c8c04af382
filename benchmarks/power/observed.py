"""A gradient as plain arrays, where faults are easy to write, and the size of a change of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_gradcheck.drift.allowance import NUMERICALLY_ZERO
from pytest_gradcheck.point import NumpyView, to_numpy
from pytest_gradcheck.records import ArrayView, ComponentEvaluation, Evaluation, Objective

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Answer", "Gradients", "answer", "memoised", "norm", "relative_change", "through"]

Gradients = Mapping[str, "NDArray[np.float64] | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Hold an evaluation in float64 arrays.

    Attributes:
        value: of the loss or the log-density.
        grads: by parameter, ``None`` where disconnected.
        components: value and gradients by name.
    """

    value: float
    grads: Gradients
    components: Mapping[str, tuple[float, Gradients]]


def answer(evaluation: Evaluation) -> Answer:
    """Return an evaluation as plain arrays."""
    return Answer(
        value=evaluation.value,
        grads=_arrays(evaluation.grads),
        components={k: (c.value, _arrays(c.grads)) for k, c in evaluation.components.items()},
    )


def through(
    objective: Objective, change: Callable[[Answer], Answer], *, components: bool
) -> Objective:
    """Return the objective with every evaluation changed, in both precisions alike.

    Args:
        objective: to break.
        change: what is done to each of its answers.
        components: whether the change needs the components.
    """

    def value_and_grad(
        point: Any = None,  # noqa: ANN401 - passed on
        *,
        components: bool = True,
        needed: bool = components,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> Evaluation:
        healthy = objective.value_and_grad(point, components=components or needed, **options)
        broken = _evaluation(change(answer(healthy)), healthy)
        return broken if components else replace(broken, components={})

    def value(point: Any = None, **options: Any) -> float:  # noqa: ANN401 - passed on
        return value_and_grad(point, **options).value

    return replace(objective, value_and_grad=value_and_grad, value=value)


def memoised(objective: Objective, *, room: int = 16) -> Objective:
    """Return the objective with its first evaluations remembered: faults share the healthy ones."""
    known: dict[object, Evaluation] = {}

    def value_and_grad(
        point: Mapping[str, NDArray[Any]] | None = None,
        **options: Any,  # noqa: ANN401 - passed on
    ) -> Evaluation:
        where = tuple((name, np.asarray(v).tobytes()) for name, v in (point or {}).items())
        key = (where, tuple(sorted(options.items())))
        found = known.get(key) or objective.value_and_grad(point, **options)
        if len(known) < room:
            known[key] = found
        return found

    return replace(objective, value_and_grad=value_and_grad)


def norm(grads: Gradients) -> float:
    """Return the length of a whole gradient."""
    return math.hypot(*(float(np.linalg.norm(g)) for g in grads.values() if g is not None))


def relative_change(broken: Answer, healthy: Answer) -> float:
    """Return how large a change is: the largest relative one of any parameter or of the value.

    A parameter counts relative to its own gradient, unless that is numerically zero beside the
    whole one. What is no longer finite, or no longer connected, has changed without bound.
    """
    whole = norm(healthy.grads)
    sizes = [_ratio(abs(broken.value - healthy.value), abs(healthy.value))]
    for name, before in healthy.grads.items():
        after = broken.grads[name]
        if before is None or after is None:
            sizes.append(0.0 if before is after else math.inf)
            continue
        scale = max(float(np.linalg.norm(before)), NUMERICALLY_ZERO * whole)
        sizes.append(_ratio(float(np.linalg.norm(after - before)), scale))
    return max(math.inf if math.isnan(size) else size for size in sizes)


def _ratio(change: float, scale: float) -> float:
    """Return a change relative to a scale that may be zero."""
    if change == 0:
        return 0.0
    return change / scale if scale > 0 else math.inf


def _arrays(views: Mapping[str, ArrayView | None]) -> Gradients:
    """Return views as arrays."""
    return {name: None if view is None else to_numpy(view) for name, view in views.items()}


def _evaluation(changed: Answer, like: Evaluation) -> Evaluation:
    """Return an answer as an evaluation, each gradient in the type that it had."""
    return Evaluation(
        value=changed.value,
        grads=_views(changed.grads, like.grads),
        components={
            name: ComponentEvaluation(value=value, grads=_views(grads, like.components[name].grads))
            for name, (value, grads) in changed.components.items()
        },
    )


def _views(arrays: Gradients, like: Mapping[str, ArrayView | None]) -> dict[str, ArrayView | None]:
    """Return arrays as views, in the types of others."""
    views: dict[str, ArrayView | None] = {}
    for name, array in arrays.items():
        healthy = like[name]
        if array is None or healthy is None:
            views[name] = None
            continue
        with np.errstate(over="ignore"):
            views[name] = NumpyView(array.astype(healthy.dtype))
    return views
