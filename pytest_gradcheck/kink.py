"""Tell a gradient that jumped at a kink from one that drifted: a diagnosis, never a pardon.

A ReLU input or a max-pool tie within rounding distance of its switch has two gradients, both right.
Another convolution algorithm may pick the other one. If rounding noise of the size that an
evaluation has anyhow brings the recorded gradient back, that is the likely story.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.checks.drift import compare
from pytest_gradcheck.drift.replicates import other_draws
from pytest_gradcheck.measure import is_wide
from pytest_gradcheck.measure.numeric import EPS
from pytest_gradcheck.moves import jittered
from pytest_gradcheck.records import Jitter
from pytest_gradcheck.stats import gradient_stats

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement, Objective

__all__ = ["on_a_kink"]

DRAWS: Final = 16

_SEED = 1 << 17
_SIZES = (1.0, 4.0)  # units in the last place, in turn


def on_a_kink(
    objective: Objective, measurement: Measurement, baseline: Measurement, min_drift: float | None
) -> tuple[str, ...]:
    """Return the diagnosis, empty where it does not fit.

    Args:
        objective: that was measured.
        measurement: that drifted from its baseline.
        baseline: that it drifted from.
        min_drift: as for the comparison.
    """
    if is_wide(objective) or not measurement.finite or other_draws(measurement, baseline):
        return ()
    was = dataclasses.replace(
        baseline, shadow=None, shadow_allowances={}, samples=(), replicates=None
    )
    now = dataclasses.replace(measurement, shadow=None, samples=(), replicates=None)
    shadows = (measurement.shadow, baseline.shadow)
    if None not in shadows and compare(now, was, min_drift=min_drift).outcome == "passed":
        return ()  # float64 alone drifted, where one unit of a narrower precision says nothing
    eps = max(EPS.get(view.dtype, 0.0) for view in objective.point.values())
    for i in range(DRAWS):
        size, seed = _SIZES[i % len(_SIZES)] * eps, _SEED + i
        evaluation = objective.value_and_grad(
            jittered(objective, eps=size, seed=seed), jitter=Jitter(eps=size, seed=seed)
        )
        stats = gradient_stats(evaluation, objective.point, top=0)
        moved = dataclasses.replace(now, native=stats, point=baseline.point)
        if compare(moved, was, min_drift=min_drift).outcome == "passed":
            back = f"rounding noise brought the recorded gradient back in draw {i + 1} of {DRAWS}"
            return (f"{back}: an activation on a kink, whose two gradients are both right?",)
    return ()
