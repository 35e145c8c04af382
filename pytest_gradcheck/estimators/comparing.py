"""Take replicates of every estimator, and hold them against the first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pytest_gradcheck import backends
from pytest_gradcheck.checks.replicates import FEWEST
from pytest_gradcheck.checks.validate import count, number
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.estimators.values import Comparison, Pair
from pytest_gradcheck.measure import measure
from pytest_gradcheck.measure import replicates as taken
from pytest_gradcheck.measure.numeric import EPS
from pytest_gradcheck.point import at_point
from pytest_gradcheck.records import Estimate, Replicates
from pytest_gradcheck.stats.comparison import paired
from pytest_gradcheck.stats.distributions import normal_quantile, t_quantile
from pytest_gradcheck.stats.replicates import log_estimate, projections, total_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_gradcheck.records import Objective

__all__ = ["LEVEL", "compared"]

LEVEL: Final = 1e-4
"""Chance at which two equal means are called different."""

_POWER = 0.9
_ROUNDING = 32.0  # units of rounding that are no difference


def compared(
    model: object,
    losses: Mapping[str, object],
    *,
    replicates: int,
    level: float,
    at: Mapping[str, object] | None = None,
    **options: Any,  # noqa: ANN401 - the backend knows them
) -> Comparison:
    """Take replicates of every estimator, and hold them against the first.

    Args:
        model: whose gradient they estimate.
        losses: functions of no arguments by name; of the point for arrays (``value_and_grad``).
        replicates: how many seeds.
        level: chance at which equal means are called different.
        at: the point.
        **options: as for `pytest_gradcheck.backends.objective`.
    """
    count("replicates", replicates, low=FEWEST)
    number("level", level, high=0.5, strict=True)
    if not isinstance(losses, Mapping) or len(losses) < 2:  # noqa: PLR2004 - one against another
        msg = f"compare takes a mapping of at least two names to losses, not {losses!r:.60}"
        raise UsageTypeError(msg)
    if "value_and_grad" in options:
        msg = "compare takes each value_and_grad as a member of the mapping, not as an option"
        raise UsageError(msg)
    role, objectives = backends.takes(model), {}
    for name, loss in losses.items():
        own: dict[str, Any] = {**options, role: _function(name, loss)}
        objectives[name] = at_point(backends.objective(model, **own), at)
    estimators = {name: taken(objective, replicates) for name, objective in objectives.items()}
    for name, found in estimators.items():
        if found.lost:
            seeds = ", ".join(map(str, found.lost))
            msg = f"estimator {name!r} is not finite under seed {seeds}: nothing to compare"
            raise UsageError(msg)
    first, *others = estimators
    return Comparison(
        measurement=replace(measure(objectives[first]), replicates=estimators[first]),
        estimators=estimators,
        pairs=tuple(
            _pair(
                (first, estimators[first]), (name, estimators[name]), objectives[first], level=level
            )
            for name in others
        ),
    )


def _function(name: str, loss: object) -> Callable[..., object]:
    """Return a loss that can be called."""
    if not callable(loss):
        msg = f"the estimator {name!r} must be a function, not {loss!r:.60}"
        raise UsageTypeError(msg)
    return loss


def _pair(
    first: tuple[str, Replicates],
    other: tuple[str, Replicates],
    objective: Objective,
    *,
    level: float,
) -> Pair:
    """Hold one estimator against the first."""
    (reference, a), (name, b) = first, other
    rows = [projections(r.parameters) for r in (a, b)]
    ignored = np.concatenate(
        [
            np.full(len(p.sketches[0]), _ROUNDING * EPS.get(view.dtype, EPS["float32"]) * size)
            for p, view in zip(a.parameters, objective.point.values(), strict=True)
            for size in [float(np.mean(p.norms))]
        ]
    )
    chance = min(1.0, rows[0].shape[1] * float(paired(rows[1], rows[0], ignored).min()))
    difference = rows[1] - rows[0]
    replicates, numbers = difference.shape
    reach = t_quantile(level / numbers, replicates - 1) + normal_quantile(_POWER)
    unit = a.mean_norm or math.inf
    return Pair(
        name=name,
        reference=reference,
        chance=chance,
        level=level,
        distance=float(np.linalg.norm(difference.mean(axis=0))) / unit,
        smallest=reach * math.sqrt(total_variance(difference) / replicates) / unit,
        variance_ratio=_ratio(a, b, rows),
    )


def _ratio(a: Replicates, b: Replicates, rows: list[NDArray[np.float64]]) -> Estimate:
    """Return the ratio of two variances; undefined where the first is zero."""
    below, above = a.variance.value, b.variance.value
    if not below or above is None:
        return Estimate(value=None)
    width = rows[0].shape[1]

    def statistic(kept: NDArray[np.float64]) -> float:
        noise = total_variance(kept[:, :width])
        return total_variance(kept[:, width:]) / noise if noise > 0 else math.inf

    return log_estimate(above / below, np.concatenate(rows, axis=1), statistic)
