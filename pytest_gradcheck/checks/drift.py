"""The gradient equals its baseline, within what noise explains.

Four questions, in this order, because each makes the next one meaningless: is it the same
structure, is it computed as exactly, is it the same point, is it the same gradient? The last one
is asked twice: of the gradient in float64 (the shadow), whose noise is small, so that small and
direction-only drift shows; and of the gradient in the model's own precision, whose noise is wide,
for what only that shows.

Requirements:
    "The starting point moved" is never reported as "the gradient moved".
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from pytest_gradcheck.drift.allowance import (
    VALUE,
    component_key,
    fixed_allowances,
    point_allowed,
    replicate_allowances,
)
from pytest_gradcheck.drift.diagnose import diagnose
from pytest_gradcheck.drift.mixing import kept, mixed
from pytest_gradcheck.drift.policy import REMEDY, activation_finding, policy_findings
from pytest_gradcheck.drift.replicates import (
    distribution_findings,
    other_draws,
    reordered,
    replicate_findings,
    replicate_structure,
)
from pytest_gradcheck.drift.spread import spread_findings
from pytest_gradcheck.drift.structure import structure_findings
from pytest_gradcheck.drift.tier import gap, gradient, same, tiers, values
from pytest_gradcheck.records import POINT_STORED, CheckResult, Finding
from pytest_gradcheck.stats.sketch import distance

if TYPE_CHECKING:
    from pytest_gradcheck.drift.tier import Tier
    from pytest_gradcheck.records import Measurement

__all__ = ["compare", "moved_parameters", "recordable", "refreshed", "walked"]

_STRANGE = 0.5  # distance of two starts over the norm of one; of two draws it is about 1.4
_PASSED = CheckResult(check="drift", outcome="passed")
ACCEPT = "if the change is intended, run again with --grad-baseline-update and review the diff"


def recordable(measurement: Measurement) -> Measurement:
    """Return the measurement with allowances by dtype alone, where noise cannot be measured."""
    found = measurement.replicates
    if found is not None and not found.allowances:
        found = dataclasses.replace(found, allowances=replicate_allowances(found))
    return dataclasses.replace(
        measurement,
        shadow=None,
        replicates=found,
        allowances=fixed_allowances(measurement.native),
    )


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
        ``structure``, ``policy``, ``point`` or ``drift``.
    """
    structure = structure_findings(measurement, baseline)
    structure += replicate_structure(measurement, baseline)
    policy = policy_findings(measurement, baseline)
    if structure or policy:
        return _failed("structure", structure) if structure else _not_as_exact(policy)
    moved = [
        _moved(measurement, baseline, name) for name in moved_parameters(measurement, baseline)
    ]
    if other_draws(measurement, baseline):
        return _failed("point", moved) if moved else _as_distributions(measurement, baseline)
    pairs, findings = tiers(measurement, baseline, min_drift), []
    if not same(pairs):
        findings = [*gradient(pairs), *values(pairs, measurement.sense)]
        findings += gap(measurement, baseline, {f.subject for f in findings})
    findings += spread_findings(measurement, baseline)
    known = {f.subject for f in findings}
    findings += replicate_findings(measurement, baseline, min_drift, known)
    if not findings:
        return dataclasses.replace(_PASSED, findings=tuple(moved)) if moved else _PASSED
    if moved:
        drawn = _drawn(measurement, baseline, [f.subject for f in moved])
        return _failed("point", moved, (*drawn, *_forgotten(baseline)))
    sharp, made = _sharp(pairs, measurement.sense), activation_finding(measurement, baseline)
    if made is not None and not sharp:
        return _not_as_exact([made])
    said = diagnose(measurement, baseline, [f.subject for f in findings], native=not sharp)
    return _failed("drift", findings, (*said, *reordered(measurement, baseline)))


def refreshed(
    new: Measurement, baseline: Measurement, *, min_drift: float | None = None
) -> Measurement:
    """Return what to store for a baseline: what drifted is new, the rest stays as it was.

    Args:
        new: to be recorded, with its allowances.
        baseline: that it replaces.
        min_drift: as for `compare`.
    """
    new = dataclasses.replace(new, walked=walked(new, baseline))
    if structure_findings(new, baseline) or new.policy != baseline.policy:
        return new
    if moved_parameters(new, baseline):
        return new
    if other_draws(new, baseline) or any(replicate_structure(new, baseline)):
        return new
    if (new.shadow is None) != (baseline.shadow is None):
        return new
    pairs = tiers(new, baseline, min_drift)
    gone = {f.subject for f in gradient(pairs)}
    gone |= {f.subject for f in gap(new, baseline, gone)}
    gone |= {f.subject for f in values(pairs, new.sense)}
    keep = {p.name for p in new.native.parameters} - gone
    again = not new.replicates or any(replicate_findings(new, baseline, min_drift, ()))
    if new.sense not in gone:
        keep.add(VALUE)
    for c in new.native.components:
        if f"component {c.name}" not in gone:
            keep |= {component_key(c.name, what) for what in ("value", "norm")}
    return dataclasses.replace(
        new,
        native=mixed(new.native, baseline.native, keep),
        shadow=new.shadow and baseline.shadow and mixed(new.shadow, baseline.shadow, keep),
        allowances=kept(new.allowances, baseline.allowances, keep),
        shadow_allowances=kept(new.shadow_allowances, baseline.shadow_allowances, keep),
        replicates=new.replicates if again else baseline.replicates,
        point=baseline.point,
    )


def walked(measurement: Measurement, baseline: Measurement) -> float:
    """Return how far the whole gradient is from its baseline, relative; 1 where nobody can say."""
    if structure_findings(measurement, baseline):
        return 1.0
    now, was = measurement.native, baseline.native
    if measurement.shadow is not None and baseline.shadow is not None:
        now, was = measurement.shadow, baseline.shadow
    far = math.hypot(
        *(
            distance(p.sketch, q.sketch) if p.sketch and q.sketch else max(p.norm, q.norm)
            for p, q in zip(now.parameters, was.parameters, strict=True)
        )
    )
    return far / was.norm if was.norm > 0 else float(far > 0)


def moved_parameters(measurement: Measurement, baseline: Measurement) -> list[str]:
    """Return the parameters whose values are not those of the baseline."""
    names = [p.name for p in baseline.native.parameters]
    now, was = measurement.point, baseline.point
    pairs = zip(names, now.sketches, was.sketches, was.dtypes, strict=True)
    return [name for name, a, b, dtype in pairs if distance(a, b) > point_allowed(dtype, b.norm)]


def _as_distributions(measurement: Measurement, baseline: Measurement) -> CheckResult:
    """Compare replicates whose draws are others than the baseline's."""
    findings, said = distribution_findings(measurement, baseline)
    if findings:
        return _failed("drift", [*findings, said])
    return CheckResult(check="drift", outcome="passed", findings=(said,))


def _sharp(pairs: tuple[Tier, ...], sense: str) -> bool:
    """Whether something drifted in float64, which no precision of the model's own explains."""
    return len(pairs) > 1 and (any(gradient(pairs[:1])) or bool(values(pairs[:1], sense)))


def _not_as_exact(findings: list[Finding]) -> CheckResult:
    """Return the check that failed because something is computed by other rules."""
    return dataclasses.replace(_failed("policy", findings), hints=(REMEDY,))


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


def _drawn(measurement: Measurement, baseline: Measurement, moved: list[str]) -> tuple[str, ...]:
    """Say so where most parameters seem to have been drawn anew: as far apart as strangers are."""
    names = [p.name for p in baseline.native.parameters]
    starts = zip(names, measurement.point.sketches, baseline.point.sketches, strict=True)
    far = [name in moved and distance(a, b) > _STRANGE * b.norm > 0 for name, a, b in starts]
    if sum(far) <= max(len(names) // 2, 1):
        return ()
    return ("most parameters start elsewhere: is a seed set before they are drawn?",)


def _forgotten(baseline: Measurement) -> tuple[str, ...]:
    """Say so where the gradient cannot be compared at the old point because that is too large."""
    if baseline.point.values is not None or baseline.native.size <= POINT_STORED:
        return ()
    said = (
        f"no comparison at the old point is possible: of {baseline.native.size:,} values a "
        f"baseline keeps a sketch and the seed ({baseline.seed}), the values themselves only up to "
        f"{POINT_STORED:,}"
    )
    return (said,)


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
