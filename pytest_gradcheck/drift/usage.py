"""Say how much of its allowance each parameter used, those that did not drift included."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.drift.allowance import scale
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
    found: dict[str, Usage] = {}
    for tier in tiers(measurement, baseline, min_drift):
        whole, old = tier.was.norm, {p.name: p for p in tier.was.parameters}
        pairs = [(p, old[p.name]) for p in tier.now.parameters if p.name in old]
        fit = [(now, was) for now, was in pairs if _comparable(now, was)]
        for (now, was), far in zip(fit, _distances(fit), strict=True):
            one = _usage(tier, now, was, far, whole)
            if now.name not in found or one.share > found[now.name].share:
                found[now.name] = one
    return found


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


def _usage(tier: Tier, now: ParameterStats, was: ParameterStats, far: float, whole: float) -> Usage:
    """Return what one parameter used in one precision."""
    size = scale(was.norm, whole)
    unit = size or 1.0
    return Usage(
        precision=tier.label,
        observed=far / unit,
        allowed=max(tier.allowed.get(now.name, 0.0), tier.min_drift) * (size / unit),
        cosine=_cosine(far, now.norm, was.norm),
    )


def _cosine(far: float, now: float, was: float) -> float:
    """Return the cosine of two arrays of these norms that are this far apart."""
    if now == 0 or was == 0:
        return math.nan
    turn = (far + (now - was)) * (far - (now - was)) / now / was
    return min(1.0, max(-1.0, 1.0 - turn / 2.0))
