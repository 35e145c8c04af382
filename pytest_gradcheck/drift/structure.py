"""Say in what two measurements differ before any number can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.drift.variables import SAME, variable_findings
from pytest_gradcheck.records import Finding, GradientStats, Measurement, ParameterStats
from pytest_gradcheck.stats.sketch import distance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["structure_findings"]


def structure_findings(measurement: Measurement, baseline: Measurement) -> list[Finding]:
    """Return one finding for each structural difference; empty when numbers can be compared."""
    if measurement.backend != baseline.backend:
        text = f"backend {baseline.backend} -> {measurement.backend}"
        return [Finding(subject="total", text=text)]
    if _outline(measurement) == _outline(baseline):
        return []
    variables, told = variable_findings(measurement, baseline)
    parts = [
        *_names(measurement.native, baseline.native),
        *_shapes(measurement.native, baseline.native),
        *_components(measurement.native, baseline.native),
    ]
    return [*variables, *(f for f in parts if f.subject not in told or _of_its_own(f))]


def _outline(measurement: Measurement) -> tuple[object, ...]:
    """Return all that is looked at."""
    parameters, components = measurement.native.parameters, measurement.native.components
    return (
        [(p.name, p.shape, p.dtype) for p in parameters],
        [c.name for c in components],
        measurement.structure,
    )


def _of_its_own(finding: Finding) -> bool:
    """Return whether a finding says more than that a variable came, went or has a new name."""
    return finding.text.startswith(("shape ", "dtype "))


def _names(now: GradientStats, was: GradientStats) -> Iterator[Finding]:
    """Yield parameters that were added, removed, renamed, or stand in another order."""
    new = [p for p in now.parameters if p.name not in {q.name for q in was.parameters}]
    old = [p for p in was.parameters if p.name not in {q.name for q in now.parameters}]
    renamed = _renamed(new, old)
    for p in old:
        if p.name in renamed:
            text = f"parameter renamed to {renamed[p.name]}"
        else:
            text = f"parameter removed (shape {list(p.shape)}, norm was {p.norm:.4g})"
        yield Finding(subject=p.name, text=text)
    for p in new:
        if p.name not in renamed.values():
            yield Finding(subject=p.name, text=f"parameter added (shape {list(p.shape)})")
    common = {p.name for p in now.parameters} & {q.name for q in was.parameters}
    if not (new or old) and [p.name for p in now.parameters] != [p.name for p in was.parameters]:
        text = f"the {len(common)} parameters stand in another order"
        yield Finding(subject="total", text=text)


def _renamed(new: Sequence[ParameterStats], old: Sequence[ParameterStats]) -> dict[str, str]:
    """Return old name to new name where shape and gradient are the same."""
    pairs: dict[str, str] = {}
    for p in old:
        for q in new:
            if q.name in pairs.values() or p.shape != q.shape:
                continue
            if p.sketch is None or q.sketch is None or p.norm == 0:
                continue
            if distance(p.sketch, q.sketch) <= SAME * p.norm:
                pairs[p.name] = q.name
                break
    return pairs


def _shapes(now: GradientStats, was: GradientStats) -> Iterator[Finding]:
    """Yield parameters whose shape or dtype changed."""
    known = {p.name: p for p in was.parameters}
    for p in now.parameters:
        q = known.get(p.name)
        if q is not None and p.shape != q.shape:
            yield Finding(subject=p.name, text=f"shape {list(q.shape)} -> {list(p.shape)}")
        if q is not None and p.dtype != q.dtype:
            yield Finding(subject=p.name, text=f"dtype {q.dtype} -> {p.dtype}")


def _components(now: GradientStats, was: GradientStats) -> Iterator[Finding]:
    """Yield components that were added, removed or stand in another order."""
    new, old = [c.name for c in now.components], [c.name for c in was.components]
    for name in old:
        if name not in new:
            yield Finding(subject=f"component {name}", text="component removed")
    for name in new:
        if name not in old:
            yield Finding(subject=f"component {name}", text="component added")
    if set(new) == set(old) and new != old:
        yield Finding(subject="total", text=f"components stand in another order: {', '.join(new)}")
