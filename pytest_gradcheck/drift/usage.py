"""Say how much of its allowance each parameter used, those that did not drift included."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.drift.allowance import scale
from pytest_gradcheck.drift.tier import tiers
from pytest_gradcheck.stats.sketch import distance

if TYPE_CHECKING:
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
        for now in tier.now.parameters:
            was = old.get(now.name)
            one = _usage(tier, now, was, whole) if was is not None else None
            if one and (now.name not in found or one.share > found[now.name].share):
                found[now.name] = one
    return found


def _usage(tier: Tier, now: ParameterStats, was: ParameterStats, whole: float) -> Usage | None:
    """Return what one parameter used in one precision, ``None`` where nobody can say."""
    if now.sketch is None or was.sketch is None or now.shape != was.shape:
        return None
    far, size = distance(now.sketch, was.sketch), scale(was.norm, whole)
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
