"""Say how much of its allowance each parameter used, those that did not drift included."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.drift.allowance import NUMERICALLY_ZERO
from pytest_gradcheck.drift.tier import tiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.drift.tier import Tier
    from pytest_gradcheck.records import Measurement, ParameterStats

__all__ = ["Usage", "usages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Hold how far one parameter's gradient is from its baseline, where it is farthest.

    Attributes:
        precision: in which that is: ``float64`` or ``native``.
        observed, allowed: distances, relative to the size of the gradient (`scale`).
        cosine: with the baseline; ``nan`` where one of the two is zero.
    """

    precision: str
    observed: float
    allowed: float
    cosine: float

    @property
    def share(self) -> float:
        """The part of the allowance that is used; above 1 the parameter drifted."""
        if self.allowed > 0:
            return self.observed / self.allowed
        return math.inf if self.observed > 0 else 0.0


def usages(
    measurement: Measurement, baseline: Measurement, *, min_drift: float | None = None
) -> dict[str, Usage]:
    """Return what each parameter used of its allowance, by name.

    Args:
        measurement: what the gradient is now.
        baseline: what it was, with its allowances.
        min_drift: relative distance that the user wants ignored.

    Returns:
        The parameters that can be compared: in both measurements, of one shape, finite, connected.
    """
    found: dict[str, tuple[float, tuple[str, float, float, float]]] = {}
    for tier in tiers(measurement, baseline, min_drift):
        old = {p.name: p for p in tier.was.parameters}
        pairs = [(p, old[p.name]) for p in tier.now.parameters if p.name in old]
        fit = [(now, was) for now, was in pairs if _comparable(now, was)]
        for (now, _), share, *numbers in zip(fit, *_used(tier, fit), strict=True):
            if now.name not in found or share > found[now.name][0]:
                found[now.name] = share, (tier.label, *numbers)
    return {
        name: Usage(precision=label, observed=observed, allowed=allowed, cosine=cosine)
        for name, (_, (label, observed, allowed, cosine)) in found.items()
    }


def _comparable(now: ParameterStats, was: ParameterStats) -> bool:
    """Return whether two gradients can be held against each other."""
    return now.sketch is not None and was.sketch is not None and now.shape == was.shape


def _distances(pairs: Sequence[tuple[ParameterStats, ParameterStats]]) -> list[float]:
    """Return the distance of each pair, as `stats.sketch.distance`, those of one length at once."""
    found = [0.0] * len(pairs)
    lengths: dict[int, list[int]] = {}
    for i, (now, _) in enumerate(pairs):
        lengths.setdefault(len(now.sketch.values) if now.sketch else 0, []).append(i)
    for rows in lengths.values():
        sides = [[pairs[i][side].sketch for i in rows] for side in (0, 1)]
        values = [np.array([s.values for s in side if s], dtype=np.float64) for side in sides]
        norms = [np.array([s.norm for s in side if s], dtype=np.float64) for side in sides]
        both = (norms[0] > 0) & (norms[1] > 0)
        a, b = (np.where(both, norm, 1.0) for norm in norms)
        turn = np.linalg.norm(values[0] / a[:, None] - values[1] / b[:, None], axis=1)
        turned = np.where(both, np.sqrt(a) * np.sqrt(b) * turn, 0.0)
        for i, far in zip(rows, np.hypot(norms[0] - norms[1], turned).tolist(), strict=True):
            found[i] = far
    return found


@np.errstate(over="ignore", invalid="ignore")  # a change beyond all floats is infinitely large
def _used(tier: Tier, pairs: Sequence[tuple[ParameterStats, ParameterStats]]) -> list[list[float]]:
    """Return share, observed, allowed and cosine of each pair in one precision."""
    far, least = np.array(_distances(pairs)), NUMERICALLY_ZERO * tier.was.norm
    now, was = (np.array([pair[side].norm for pair in pairs]) for side in (0, 1))
    allowed = np.array([tier.allowed.get(p.name, 0.0) for p, _ in pairs])
    size = np.maximum(was, least)  # as `scale` has it
    unit, both = np.where(size > 0, size, 1.0), (now > 0) & (was > 0)
    observed, allowed = far / unit, np.maximum(allowed, tier.min_drift) * (size / unit)
    a, b = (np.where(both, norm, 1.0) for norm in (now, was))
    turn = (far + (now - was)) * (far - (now - was)) / a / b  # by the law of cosines
    cosine = np.where(both, np.clip(1.0 - turn / 2.0, -1.0, 1.0), np.nan)
    share = np.where(observed > 0, np.inf, 0.0)
    np.divide(observed, allowed, out=share, where=allowed > 0)
    return [column.tolist() for column in (share, observed, allowed, cosine)]
