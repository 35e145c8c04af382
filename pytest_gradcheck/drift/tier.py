"""Hold one gradient against another in the precisions both were measured in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_gradcheck.drift.allowance import (
    NUMERICALLY_ZERO,
    VALUE,
    component_key,
    gap_allowed,
    scale,
)
from pytest_gradcheck.records import Finding, GradientStats, ParameterStats, Sketch
from pytest_gradcheck.stats.sketch import cosine, distance

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement

__all__ = ["Tier", "gap", "gradient", "same", "tiers", "values"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Hold one precision of a measurement and of its baseline.

    Attributes:
        label: of the precision, where a line has to name it.
        now: the gradient.
        was: the baseline.
        allowed: what noise explains, as `pytest_gradcheck.drift.allowance` keeps it.
        min_drift: relative distance to ignore.
    """

    label: str
    now: GradientStats
    was: GradientStats
    allowed: Mapping[str, float]
    min_drift: float

    def distance_allowed(self, name: str) -> float:
        """Return the allowed distance of one parameter's gradient."""
        size = scale(self.was[name].norm, self.was.norm)
        return max(self.allowed.get(name, 0.0), self.min_drift) * size

    def change_allowed(self, key: str, size: float) -> float:
        """Return the allowed change of a value or a norm of a certain size."""
        return max(self.allowed.get(key, 0.0), self.min_drift * abs(size))


def tiers(
    measurement: Measurement, baseline: Measurement, min_drift: float | None
) -> tuple[Tier, ...]:
    """Return the precisions to compare in, the sharpest first."""
    ignored = min_drift or 0.0
    native = Tier(
        label="native",
        now=measurement.native,
        was=baseline.native,
        allowed=baseline.allowances,
        min_drift=ignored,
    )
    if measurement.shadow is None or baseline.shadow is None:
        return (native,)
    shadow = Tier(
        label="float64",
        now=measurement.shadow,
        was=baseline.shadow,
        allowed=baseline.shadow_allowances,
        min_drift=ignored,
    )
    return shadow, native


def same(pairs: Sequence[Tier]) -> bool:
    """Whether `gradient`, `values` and `gap` have nothing to say, as what they look at is equal."""
    for tier in pairs:
        numbers, sketches = _seen(tier.now)
        if (numbers, sketches) != _seen(tier.was) or None in sketches:
            return False
    return True


def gradient(pairs: Sequence[Tier]) -> Iterator[Finding]:
    """Yield the parameters whose gradient drifted, in backward order, each in one precision."""
    for i in reversed(range(len(pairs[0].was.parameters))):
        for tier in pairs:
            finding = _parameter(tier, i, alone=len(pairs) == 1)
            if finding is not None:
                yield finding
                break


def values(pairs: Sequence[Tier], sense: str) -> list[Finding]:
    """Return the value and the components that drifted, each in one precision."""
    found: dict[tuple[str, str], Finding] = {}
    for tier in pairs:
        for key, finding in _values(tier, sense):
            found.setdefault(key, finding)
    return list(found.values())


def gap(
    measurement: Measurement, baseline: Measurement, known: Sequence[str] | set[str]
) -> Iterator[Finding]:
    """Yield the parameters whose two precisions moved apart, unless their drift is known."""
    if measurement.shadow is None or baseline.shadow is None:
        return
    now = zip(measurement.native.parameters, measurement.shadow.parameters, strict=True)
    was = zip(baseline.native.parameters, baseline.shadow.parameters, strict=True)
    native = tiers(measurement, baseline, None)[-1]
    for (a, b), (c, d) in zip(now, was, strict=True):
        if a.name in known or not (a.sketch and b.sketch and c.sketch and d.sketch):
            continue
        observed, before = distance(a.sketch, b.sketch), distance(c.sketch, d.sketch)
        limit = max(gap_allowed(before), native.distance_allowed(a.name))
        if observed > limit:
            text = (
                f"{a.dtype} and float64 moved apart: distance {before:.3g} -> {observed:.3g}, "
                f"allowed {limit:.2g}"
            )
            yield Finding(subject=a.name, text=text, observed=observed, limit=limit)


def _seen(stats: GradientStats) -> tuple[list[float], list[Sketch | bool | None]]:
    """Return what is looked at: a parameter's sketch, ``True`` where it is disconnected."""
    numbers = [stats.value]
    for component in stats.components:
        numbers += (component.value, component.norm)
    return numbers, [p.disconnected or p.sketch for p in stats.parameters]


def _parameter(tier: Tier, i: int, *, alone: bool) -> Finding | None:
    """Return what is wrong with one parameter in one precision, if anything is."""
    now, was = tier.now.parameters[i], tier.was.parameters[i]
    if now.disconnected != was.disconnected:
        text = "no longer receives a gradient" if now.disconnected else "now receives a gradient"
        return Finding(subject=now.name, text=f"{text} (norm {was.norm:.6g} -> {now.norm:.6g})")
    if now.sketch is None or was.sketch is None:
        if now.disconnected:
            return None
        text = f"is not finite: norm {now.norm:.4g}, {now.nans} NaN, {now.infs} Inf"
        return Finding(subject=now.name, text=text)
    far, allowed = distance(now.sketch, was.sketch), tier.distance_allowed(now.name)
    if far <= allowed:
        return None
    where = "" if alone or tier.label == "float64" else f" (in {now.dtype} only)"
    finding = _drifted(now, was, far, allowed, tier.was.norm)
    return replace(finding, text=finding.text + where)


def _drifted(
    now: ParameterStats, was: ParameterStats, far: float, allowed: float, whole: float
) -> Finding:
    """Return the line of one drifted parameter: norms, relative distance, allowance, cosine."""
    size = scale(was.norm, whole)
    if size == 0:
        text = f"norm 0 -> {now.norm:.4g}; it was exactly zero"
        return Finding(subject=now.name, text=text, observed=far, limit=allowed)
    text = (
        f"norm {was.norm:.4g} -> {now.norm:.4g}, relative distance {far / size:.3g}, "
        f"allowed {allowed / size:.2g}"
    )
    if was.norm <= NUMERICALLY_ZERO * whole:
        text += ", was numerically zero"
    elif now.norm > 0 and now.sketch is not None and was.sketch is not None:
        text += f", cosine {cosine(now.sketch, was.sketch):.2g}"
    return Finding(subject=now.name, text=text, observed=far / size, limit=allowed / size)


def _values(tier: Tier, sense: str) -> Iterator[tuple[tuple[str, str], Finding]]:
    """Yield what drifted beside the gradients, by subject and quantity."""
    allowed = tier.change_allowed(VALUE, tier.was.value)
    if not abs(tier.now.value - tier.was.value) <= allowed:
        yield (sense, ""), _changed(sense, "", tier.was.value, tier.now.value, allowed)
    for new, old in zip(tier.now.components, tier.was.components, strict=True):
        for what, label, a, b in (
            ("value", "value ", old.value, new.value),
            ("norm", "gradient norm ", old.norm, new.norm),
        ):
            allowed = tier.change_allowed(component_key(old.name, what), a)
            if not abs(b - a) <= allowed:
                subject = f"component {new.name}"
                yield (subject, what), _changed(subject, label, a, b, allowed)


def _changed(subject: str, what: str, was: float, now: float, allowed: float) -> Finding:
    """Return the line of one number that changed."""
    if was == 0:
        text = f"{what}0 -> {now:.7g}, allowed {allowed:.2g}"
        return Finding(subject=subject, text=text, observed=abs(now), limit=allowed)
    change, limit = (now - was) / abs(was), allowed / abs(was)
    text = f"{what}{was:.7g} -> {now:.7g}, relative change {change:.3g}, allowed {limit:.2g}"
    return Finding(subject=subject, text=text, observed=abs(change), limit=limit)
