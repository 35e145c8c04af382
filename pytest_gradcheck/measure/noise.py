"""Measure how far rounding moves a gradient, so that drift can be told from it.

The gradient is taken again with the parameters, and the float inputs a backend can see, moved by
about one unit in the last place of the coarsest precision that any operation used. That
re-randomises every rounding on the way and carries the conditioning of the problem; it is what a
processor, a library version or another order of summation can do. A wider draw in the native
precision finds the switches (a ReLU, a max-pool) that lie within rounding of their threshold.

Requirements:
    At most 13 evaluations: one more of the same, to see whether it repeats, and four draws of each
    kind; and one draw of each kind for every replicate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.moves import jittered
from pytest_gradcheck.progress import working
from pytest_gradcheck.records import Jitter, Noise, Sketch, TierNoise
from pytest_gradcheck.stats import gradient_stats
from pytest_gradcheck.stats.replicates import short
from pytest_gradcheck.stats.sketch import distance
from pytest_gradcheck.weighing import collecting

if TYPE_CHECKING:
    from pytest_gradcheck.records import (
        GradientStats,
        Measurement,
        Objective,
        Precision,
        Replicates,
    )

__all__ = ["measure_noise", "replicate_noise"]

DRAWS: Final = 4
WIDE_DRAW: Final = 256.0  # units in the last place
COARSE: Final = 2.0**-10  # float16 and coarser: a wide draw would leave the neighbourhood

_FLOAT64 = 2.0**-52
_REPEAT_SEED = 1 << 16  # the draws' seeds begin here, away from those of perturbations


def measure_noise(objective: Objective, measurement: Measurement) -> Noise:
    """Return the noise of a gradient that was measured.

    Args:
        objective: that was measured.
        measurement: its statistics, finite.
    """
    native = _tier(objective, measurement.native, "native")
    if measurement.shadow is None:
        return Noise(native=native, shadow=None)
    return Noise(native=native, shadow=_tier(objective, measurement.shadow, "float64"))


def replicate_noise(objective: Objective, replicates: Replicates) -> tuple[TierNoise, ...]:
    """Return the noise of every replicate, of one draw of each kind.

    Args:
        objective: that was measured.
        replicates: of it, none lost.
    """
    eps = objective.value_and_grad(components=False, jitter=Jitter()).eps
    eps = eps or _coarsest(objective, "native")
    sizes = [eps] + [WIDE_DRAW * eps] * (_FLOAT64 < eps < COARSE)
    found = []
    doing = f"measuring the noise of the replicates of {objective.name!r}"
    with working(doing, total=len(replicates.each)) as advance:
        for r, _one in enumerate(replicates.each):
            far = [_replicate_distances(objective, replicates, r, size) for size in sizes]
            found.append(TierNoise(eps=eps, one=far[0], wide=far[1] if len(far) > 1 else {}))
            advance()
    return tuple(found)


def _replicate_distances(
    objective: Objective, replicates: Replicates, r: int, size: float
) -> dict[str, float]:
    """Return how far one draw moves one replicate, by subject."""
    one, seed = replicates.each[r], _REPEAT_SEED + r
    with collecting() as tally:
        moved = objective.value_and_grad(
            jittered(objective, eps=size, seed=seed),
            components=False,
            jitter=Jitter(eps=size, seed=seed),
            seed=one.seed,
        )
    stats, weights = gradient_stats(moved, objective.point, top=0), tally.finish()
    found = {
        p.name: distance(
            Sketch(norm=q.norm, values=short(q.sketch, q.size)),
            Sketch(norm=p.norms[r], values=p.sketches[r]),
        )
        for p, q in zip(replicates.parameters, stats.parameters, strict=True)
    }
    found["[value]"] = abs(stats.value - one.value)
    if weights is not None and one.weights is not None:
        found["[ess]"] = abs(weights.ess - one.weights.ess)
    return found


def _tier(objective: Objective, home: GradientStats, precision: Precision) -> TierNoise:
    """Return the noise of one tier."""
    watched = objective.value_and_grad(precision=precision, jitter=Jitter())
    eps = watched.eps or _coarsest(objective, precision)
    again = _distances(home, gradient_stats(watched, objective.point, top=0))

    def draws(size: float) -> dict[str, float]:
        found = []
        for i in range(DRAWS):
            seed = _REPEAT_SEED + i
            moved = objective.value_and_grad(
                jittered(objective, eps=size, seed=seed),
                precision=precision,
                jitter=Jitter(eps=size, seed=seed),
            )
            found.append(_distances(home, gradient_stats(moved, objective.point, top=0)))
        return {key: math.hypot(*(f[key] for f in found)) / math.sqrt(DRAWS) for key in again}

    one = draws(eps)
    return TierNoise(
        eps=eps,
        one={key: max(one[key], again[key]) for key in one},
        wide=draws(WIDE_DRAW * eps) if precision == "native" and _FLOAT64 < eps < COARSE else {},
    )


def _coarsest(objective: Objective, precision: Precision) -> float:
    """Return the epsilon of the parameters' coarsest dtype, for backends that watch nothing."""
    from pytest_gradcheck.measure.numeric import EPS

    if precision == "float64":
        return _FLOAT64
    return max(EPS.get(view.dtype, _FLOAT64) for view in objective.point.values())


def _distances(home: GradientStats, moved: GradientStats) -> dict[str, float]:
    """Return how far apart two evaluations of one gradient are, by subject."""
    pairs = zip(home.parameters, moved.parameters, strict=True)
    found = {
        a.name: distance(a.sketch, b.sketch) if a.sketch and b.sketch else abs(a.norm - b.norm)
        for a, b in pairs
    }
    found["[value]"] = abs(home.value - moved.value)
    for c, d in zip(home.components, moved.components, strict=True):
        found[f"[{c.name} value]"] = abs(c.value - d.value)
        found[f"[{c.name} norm]"] = abs(c.norm - d.norm)
    return found
