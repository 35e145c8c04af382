"""The gradient equals its baseline, within what rounding explains.

Three questions, in this order, because each makes the next one meaningless: is it the same
structure, is it the same point, is it the same gradient?

Requirements:
    "The starting point moved" is never reported as "the gradient moved".
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pytest_gradcheck.allowance import (
    NUMERICALLY_ZERO,
    allowances,
    allowed_distance,
    component_norm_allowed,
    point_allowed,
    spread_allowed,
    value_allowed,
)
from pytest_gradcheck.diagnose import diagnose
from pytest_gradcheck.records import CheckResult, Finding
from pytest_gradcheck.sketch import cosine, distance
from pytest_gradcheck.structure import structure_findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import Measurement, ParameterStats

__all__ = ["compare", "moved_parameters", "recordable", "refreshed"]

ACCEPT = "if the change is intended, run again with --grad-baseline-update and review the diff"


def recordable(measurement: Measurement) -> Measurement:
    """Return the measurement with its allowances, ready to be stored."""
    return dataclasses.replace(measurement, allowances=allowances(measurement.native))


def compare(
    measurement: Measurement, baseline: Measurement, *, min_drift: float | None = None
) -> CheckResult:
    """Hold a measurement against its baseline.

    Args:
        measurement: what the gradient is now.
        baseline: what it was, with its allowances.
        min_drift: relative distance that the user wants ignored.

    Returns:
        The result of the check ``drift``; when it failed, ``reason`` says what moved:
        ``structure``, ``point`` or ``drift``.
    """
    structure = structure_findings(measurement, baseline)
    if structure:
        return _failed("structure", structure)
    findings = [
        *_gradient(measurement, baseline, min_drift),
        *_values(measurement, baseline, min_drift),
        *_spread(measurement, baseline),
    ]
    moved = [
        _moved(measurement, baseline, name) for name in moved_parameters(measurement, baseline)
    ]
    if not findings:
        return CheckResult(check="drift", outcome="passed", findings=tuple(moved))
    if moved:
        return _failed("point", moved)
    drifted = tuple(f.subject for f in findings)
    return _failed("drift", findings, diagnose(measurement, baseline, drifted))


def refreshed(
    measurement: Measurement, baseline: Measurement, *, min_drift: float | None = None
) -> Measurement:
    """Return what to store for a baseline: what drifted is new, the rest stays as it was."""
    new = recordable(measurement)
    if structure_findings(measurement, baseline) or moved_parameters(measurement, baseline):
        return new
    moved = {f.subject for f in _gradient(measurement, baseline, min_drift)}
    loss = {f.subject for f in _values(measurement, baseline, min_drift)}
    was = baseline.native
    kept = [
        new_p if new_p.name in moved else old_p
        for new_p, old_p in zip(new.native.parameters, was.parameters, strict=True)
    ]
    components = [
        new_c
        if f"component {new_c.name}" in loss
        else dataclasses.replace(new_c, value=old_c.value, norm=old_c.norm)
        for new_c, old_c in zip(new.native.components, was.components, strict=True)
    ]
    native = dataclasses.replace(
        new.native,
        parameters=tuple(kept),
        value=new.native.value if measurement.sense in loss else was.value,
        components=tuple(components) if moved or loss else was.components,
    )
    stored = {p.name: baseline.allowances[p.name] for p in kept if p.name not in moved}
    fitting = {**new.allowances, **stored}
    return dataclasses.replace(new, native=native, allowances=fitting, point=baseline.point)


def moved_parameters(measurement: Measurement, baseline: Measurement) -> list[str]:
    """Return the parameters whose values are not those of the baseline."""
    names = [p.name for p in baseline.native.parameters]
    now, was = measurement.point, baseline.point
    pairs = zip(names, now.sketches, was.sketches, was.dtypes, strict=True)
    return [name for name, a, b, dtype in pairs if distance(a, b) > point_allowed(dtype, b.norm)]


def _failed(reason: str, findings: list[Finding], diagnosis: tuple[str, ...] = ()) -> CheckResult:
    """Return the failed check."""
    return CheckResult(
        check="drift",
        outcome="failed",
        reason=reason,
        findings=tuple(findings),
        diagnosis=diagnosis,
        hints=(ACCEPT,),
    )


def _gradient(
    measurement: Measurement, baseline: Measurement, min_drift: float | None
) -> Iterator[Finding]:
    """Yield the parameters whose gradient drifted, in backward order."""
    pairs = zip(measurement.native.parameters, baseline.native.parameters, strict=True)
    for now, was in reversed(list(pairs)):
        if now.disconnected != was.disconnected:
            text = (
                "no longer receives a gradient" if now.disconnected else "now receives a gradient"
            )
            yield Finding(subject=now.name, text=f"{text} (norm {was.norm:.6g} -> {now.norm:.6g})")
        elif now.sketch is None or was.sketch is None:
            if not now.disconnected:  # what no sketch can show was never recorded
                text = f"is not finite: norm {now.norm:.4g}, {now.nans} NaN, {now.infs} Inf"
                yield Finding(subject=now.name, text=text)
        else:
            far = distance(now.sketch, was.sketch)
            allowed = allowed_distance(baseline, now.name, min_drift)
            if not far <= allowed:
                yield _drifted(now, was, far, allowed, baseline.norm)


def _drifted(
    now: ParameterStats, was: ParameterStats, far: float, allowed: float, whole: float
) -> Finding:
    """Return the line of one drifted parameter: norms, relative distance, allowance, cosine."""
    scale = max(was.norm, NUMERICALLY_ZERO * whole)
    if scale == 0:
        text = f"norm 0 -> {now.norm:.4g}; it was exactly zero"
        return Finding(subject=now.name, text=text, observed=far, limit=allowed)
    text = (
        f"norm {was.norm:.4g} -> {now.norm:.4g}, relative distance {far / scale:.3g}, "
        f"allowed {allowed / scale:.2g}"
    )
    if was.norm <= NUMERICALLY_ZERO * whole:
        text += ", was numerically zero"
    elif now.norm > 0 and now.sketch is not None and was.sketch is not None:
        text += f", cosine {cosine(now.sketch, was.sketch):.2g}"
    return Finding(subject=now.name, text=text, observed=far / scale, limit=allowed / scale)


def _values(
    measurement: Measurement, baseline: Measurement, min_drift: float | None
) -> Iterator[Finding]:
    """Yield the value and the components that drifted."""
    now, was = measurement.native, baseline.native
    allowed = value_allowed(baseline, was.value, was.norm, min_drift)
    if not abs(now.value - was.value) <= allowed:
        yield _changed(measurement.sense, "", was.value, now.value, allowed)
    for new, old in zip(now.components, was.components, strict=True):
        allowed = value_allowed(baseline, old.value, old.norm, min_drift)
        if not abs(new.value - old.value) <= allowed:
            yield _changed(f"component {new.name}", "value ", old.value, new.value, allowed)
        allowed = component_norm_allowed(baseline, old.norm, min_drift)
        if not abs(new.norm - old.norm) <= allowed:
            yield _changed(f"component {new.name}", "gradient norm ", old.norm, new.norm, allowed)


def _changed(subject: str, what: str, was: float, now: float, allowed: float) -> Finding:
    """Return the line of one number that changed."""
    if was == 0:
        text = f"{what}0 -> {now:.7g}, allowed {allowed:.2g}"
        return Finding(subject=subject, text=text, observed=abs(now), limit=allowed)
    change, limit = (now - was) / abs(was), allowed / abs(was)
    text = f"{what}{was:.7g} -> {now:.7g}, relative change {change:.3g}, allowed {limit:.2g}"
    return Finding(subject=subject, text=text, observed=abs(change), limit=limit)


def _spread(measurement: Measurement, baseline: Measurement) -> Iterator[Finding]:
    """Yield the spread of norms over the perturbed points if the model went fragile."""
    asked = [(s.seed, s.scale) for s in measurement.samples]
    if not asked or asked != [(s.seed, s.scale) for s in baseline.samples]:
        return
    observed, limit = measurement.log_spread, spread_allowed(baseline.log_spread)
    if observed > limit:
        text = (
            f"log(max/min) of the norm over {len(asked)} perturbed points "
            f"{baseline.log_spread:.3g} -> {observed:.3g}, allowed {limit:.3g}"
        )
        yield Finding(subject="perturbed norms", text=text, observed=observed, limit=limit)


def _moved(measurement: Measurement, baseline: Measurement, name: str) -> Finding:
    """Return the line of one parameter whose value moved."""
    at = [p.name for p in baseline.native.parameters].index(name)
    now, was = measurement.point.sketches[at], baseline.point.sketches[at]
    far = distance(now, was)
    relative = (
        f"relative distance {far / was.norm:.3g}" if was.norm else f"distance {far:.3g} from 0"
    )
    text = f"the value at the start moved: norm {was.norm:.6g} -> {now.norm:.6g}, {relative}"
    return Finding(subject=name, text=text)
