"""Move the point of an objective: nearby, along a direction, by a unit in the last place.

Requirements:
    Every random choice comes from ``numpy.random.default_rng(seed)``, parameter by parameter in
    the objective's own order, so that a seed names one point for ever.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.point import to_numpy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pytest_gradcheck.records import Collective, Objective

__all__ = ["direction", "jittered", "perturbation_scales", "perturbed"]


def perturbed(objective: Objective, *, scale: float, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return a point nearby: Gaussian noise of `scale` times each parameter's RMS added.

    A parameter whose RMS is below ``objective.min_scale`` moves as if it had that one, so that
    zeros move too.
    """
    # Each parameter is read once: where it lies on an accelerator, that waits for it.
    moved = {name: to_numpy(view) for name, view in objective.point.items()}
    rng = np.random.default_rng(seed)
    for name, unit in _scales(objective, moved.items()).items():
        moved[name] += scale * (unit * rng.standard_normal(moved[name].shape))
    return moved


def direction(objective: Objective, *, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return a Gaussian direction, each parameter's part scaled by its RMS."""
    rng = np.random.default_rng(seed)
    return {
        name: unit * rng.standard_normal(objective.point[name].shape)
        for name, unit in perturbation_scales(objective).items()
    }


def perturbation_scales(objective: Objective) -> dict[str, float]:
    """Return the RMS of every parameter's finite values, at least ``objective.min_scale``."""
    return _scales(objective, ((name, to_numpy(view)) for name, view in objective.point.items()))


def _scales(
    objective: Objective, point: Iterable[tuple[str, NDArray[np.float64]]]
) -> dict[str, float]:
    """Return the RMS of every parameter, from its values, which are looked at one by one."""
    if objective.collective is not None:
        return _joined_scales(objective, objective.collective, point)
    return {name: max(_rms(values), objective.min_scale) for name, values in point}


def _joined_scales(
    objective: Objective, ranks: Collective, point: Iterable[tuple[str, NDArray[np.float64]]]
) -> dict[str, float]:
    """Return the RMS of every parameter over all ranks."""
    from pytest_gradcheck.stats.joined import added_lengths

    parts = []
    for name, values in point:
        finite = values[np.isfinite(values)]
        length, gone = _rms(values) * math.sqrt(finite.size), float(values.size - finite.size)
        parts.append((length, gone) if ranks.owns(name) else (0.0, 0.0))
    rows = zip(objective.point.items(), added_lengths(parts, ranks), strict=True)
    return {
        name: max(length / math.sqrt(max(view.size - gone, 1)), objective.min_scale)
        for (name, view), (length, gone) in rows
    }


def jittered(objective: Objective, *, eps: float, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return the point moved by about one unit in the last place of a precision.

    Every value is multiplied by ``1 + eps * U(-1, 1)``; a parameter that is zero everywhere, and
    every one in a space of unit scale, moves by ``eps * max(|x|, 1) * U(-1, 1)``.
    """
    rng = np.random.default_rng(seed)
    ranks = objective.collective
    points = {name: to_numpy(view) for name, view in objective.point.items()}
    some = np.array([float(values.any()) for values in points.values()])
    some = some if ranks is None else ranks.largest(some)
    moved = {}
    for (name, view), anywhere in zip(objective.point.items(), some, strict=True):
        values = points.pop(name)
        size = np.abs(values)
        if objective.min_scale >= 1.0 or not anywhere:
            size = np.maximum(size, 1.0)
        moved[name] = values + eps * size * rng.uniform(-1.0, 1.0, view.shape)
    return moved


def _rms(values: NDArray[np.float64]) -> float:
    """Return the root mean square of the finite values, 0 where there are none."""
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max(initial=0.0))
    if largest == 0:
        return 0.0
    return largest * float(np.linalg.norm(finite / largest)) / math.sqrt(finite.size)
