"""Make a baseline of a measurement: measure its noise, and say how small a drift it will see."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.checks.drift import moved_parameters
from pytest_gradcheck.drift.allowance import (
    NUMERICALLY_ZERO,
    allowances,
    replicate_allowances,
)
from pytest_gradcheck.drift.structure import structure_findings
from pytest_gradcheck.measure import measure
from pytest_gradcheck.measure.noise import measure_noise, replicate_noise

if TYPE_CHECKING:
    from pytest_gradcheck.limits import Limits
    from pytest_gradcheck.records import Measurement, Objective

__all__ = ["record", "recorded", "sensitivity", "stored_point"]


def record(objective: Objective, limits: Limits) -> Measurement:
    """Measure an objective, and return what becomes its baseline.

    Args:
        objective: to measure.
        limits: that say which evaluations are needed.
    """
    return recorded(objective, measure(objective, limits.plan()))


def recorded(objective: Objective, measurement: Measurement) -> Measurement:
    """Return a measurement with the allowances that its noise leads to.

    Args:
        objective: that was measured.
        measurement: of it. One that is not finite comes back as it is: it is never stored.
    """
    if not measurement.finite or (measurement.shadow and not measurement.shadow.finite):
        return measurement
    noise = measure_noise(objective, measurement)
    shadow, found = measurement.shadow, measurement.replicates
    if found is not None and not found.lost:
        allowed = replicate_allowances(found, replicate_noise(objective, found))
        found = dataclasses.replace(found, allowances=allowed)
    return dataclasses.replace(
        measurement,
        replicates=found,
        allowances=allowances(measurement.native, noise.native),
        shadow_allowances=(
            allowances(shadow, noise.shadow) if shadow is not None and noise.shadow else {}
        ),
    )


def sensitivity(baseline: Measurement) -> tuple[float, str]:
    """Return the largest allowance of a parameter that counts, and that parameter's name.

    Drift of any parameter below that share of its own gradient may go unseen.
    """
    tier, allowed = baseline.native, baseline.allowances
    if baseline.shadow is not None:
        tier, allowed = baseline.shadow, baseline.shadow_allowances
    counting = [p.name for p in tier.parameters if p.norm > NUMERICALLY_ZERO * tier.norm]
    return max(((allowed.get(name, 0.0), name) for name in counting), default=(0.0, ""))


def stored_point(
    objective: Objective, measurement: Measurement, baseline: Measurement
) -> dict[str, object] | None:
    """Return the baseline's own point if the model no longer starts there and it was kept."""
    values = baseline.point.values
    if values is None or structure_findings(measurement, baseline):
        return None
    if not moved_parameters(measurement, baseline):
        return None
    point: dict[str, object] = {}
    start = 0
    for name, view in objective.point.items():
        point[name] = np.array(values[start : start + view.size]).reshape(view.shape)
        start += view.size
    return point
