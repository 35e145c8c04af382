"""Statistics of a gradient, whether it is there whole or was reduced parameter by parameter.

Requirements:
    Both ways lead to the same bits: each parameter is reduced by itself either way, and only the
    largest elements of all are chosen together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Element, Evaluation, GradientStats, ParameterStats
from pytest_gradcheck.stats import gradient as whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView

__all__ = ["KEPT", "Reducer", "gradient_stats"]

KEPT: Final = 100
"""How many of the largest elements can be asked for of a gradient that is gone."""


def gradient_stats(
    evaluation: Evaluation, point: Mapping[str, ArrayView], *, top: int
) -> GradientStats:
    """Return the statistics of a gradient, parameters in the order of the point.

    Args:
        evaluation: what the backend returned.
        point: the parameters, for the shapes of those that no gradient reaches.
        top: how many of the largest elements to keep over all parameters; each keeps at least
            its own largest one.

    Raises:
        UsageError: the gradient is gone, and fewer of its elements were kept.
    """
    if evaluation.reduced is None:
        return whole.gradient_stats(evaluation, point, top=top)
    if top > KEPT:
        msg = f"--grad-top={top}: with streaming=True at most {KEPT} largest elements are kept"
        raise UsageError(msg)
    return replace(evaluation.reduced, parameters=_with_top(evaluation.reduced.parameters, top))


@dataclass(frozen=True, slots=True)
class _Gone:
    """Stand for a gradient that was reduced and is gone (see `ArrayView`)."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of real elements."""
        return math.prod(self.shape)

    def chunks(self, size: int) -> Iterator[tuple[int, NDArray[np.floating]]]:  # noqa: ARG002 - a view's
        """Refuse: there is nothing to show.

        Raises:
            UsageError: always.
        """
        msg = (
            f"streaming=True: the gradient of {self.name!r} was reduced as it was accumulated, and "
            "is gone; numeric= and replicates= need it whole: leave one or the other out"
        )
        raise UsageError(msg)


class Reducer:
    """Reduce the gradients of one evaluation, one after the other."""

    def __init__(self, point: Mapping[str, ArrayView], *, top: int) -> None:
        """Keep `top` elements of each parameter."""
        self._point: Final = point
        self._top: Final = top
        self._found: Final[dict[str, ParameterStats]] = {}

    def take(self, name: str, view: ArrayView) -> None:
        """Reduce the gradient of one parameter."""
        alone = Evaluation(value=0.0, grads={name: view})
        stats = whole.gradient_stats(alone, {name: self._point[name]}, top=self._top)
        (self._found[name],) = stats.parameters

    def finish(self, evaluation: Evaluation) -> Evaluation:
        """Return the evaluation with all that was reduced, in the order of the point."""
        parameters = tuple(
            self._found.get(name)
            or ParameterStats(name=name, shape=like.shape, dtype=like.dtype, disconnected=True)
            for name, like in self._point.items()
        )
        grads = {
            p.name: None if p.disconnected else _Gone(p.name, p.shape, p.dtype) for p in parameters
        }
        reduced = GradientStats(value=evaluation.value, parameters=parameters)
        return replace(evaluation, grads=grads, reduced=reduced)


def _with_top(parameters: Sequence[ParameterStats], top: int) -> tuple[ParameterStats, ...]:
    """Return parameters with their share of the largest elements, or their own largest one."""
    every = [
        (-abs(element.value), owner, place, element)
        for owner, stats in enumerate(parameters)
        for place, element in enumerate(stats.top)  # the largest first, then by index
    ]
    every.sort(key=lambda row: row[:3])
    shares: dict[int, list[Element]] = {}
    for _, owner, _, element in every[:top]:
        shares.setdefault(owner, []).append(element)
    most = 1 if top else 0
    return tuple(
        replace(stats, top=tuple(shares.get(owner, stats.top[:most])))
        for owner, stats in enumerate(parameters)
    )
