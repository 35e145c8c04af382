"""Turn a measurement into the entry that shows and keeps it.

Requirements:
    NaN and Inf are never stored. What says nothing about the gradient at the point is left out:
    the largest elements, the directional derivatives, package versions, notes, seconds. Writing
    what was read gives the same entry, whatever was rounded the first time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.serialize.packing import packed, packed_coarse, packed_near
from pytest_gradcheck.serialize.replicates import refuse_unfit, replicates_block
from pytest_gradcheck.serialize.rounding import six, three
from pytest_gradcheck.serialize.shapes import (
    ComponentLine,
    Entry,
    ParameterLines,
    SampleLine,
    Total,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_gradcheck.records import GradientStats, Measurement, ParameterStats, Sample

__all__ = ["SHADOW_DTYPE", "entry_of"]

SHADOW_DTYPE = "float64"
"""What the shadow's gradient is in unless an entry says otherwise."""

_POINT_BYTES = {"bfloat16": 2, "float16": 2, "float32": 3}  # well within what may move; others 4


def entry_of(measurement: Measurement) -> Entry:
    """Return the entry of a measurement.

    Raises:
        UsageError: the measurement cannot be stored, and why.
    """
    _refuse_nonfinite(measurement)
    _refuse_mismatch(measurement)
    if measurement.replicates:
        refuse_unfit(measurement.replicates)
    native, point = _kept(measurement.native), measurement.point
    shadow = _kept(measurement.shadow) if measurement.shadow else None
    names = {parameter.name for parameter in native.parameters}
    others = shadow.parameters if shadow else (None,) * len(names)
    parameters = {}
    for i, (parameter, other) in enumerate(zip(native.parameters, others, strict=True)):
        dtype = point.dtypes[i]
        parameters[parameter.name] = _parameter_lines(
            parameter,
            other,
            allowance=_allowances(measurement, parameter.name),
            point_dtype=None if dtype == parameter.dtype else dtype,
            point=packed_coarse(point.sketches[i], _POINT_BYTES.get(dtype, 4)),
        )
    return Entry(
        objective=measurement.objective,
        backend=measurement.backend,
        device=measurement.device,
        sense=measurement.sense,
        seed=measurement.seed,
        walked=three(measurement.walked),
        structure=measurement.structure,
        policy=measurement.policy,
        facts=measurement.facts,
        total=_total(native),
        shadow=_total(shadow) if shadow else None,
        components=_component_lines(native),
        samples=tuple(map(_sample_line, measurement.samples)),
        replicates=replicates_block(measurement.replicates) if measurement.replicates else None,
        allowances=_others(measurement.allowances, names),
        shadow_allowances=_others(measurement.shadow_allowances, names),
        exact=packed(_exact(measurement)),
        point=None if point.values is None else packed(point.values),
        parameters=parameters,
    )


def _allowances(measurement: Measurement, name: str) -> tuple[float | None, ...]:
    """Return a parameter's allowances as shown: in its own precision, and in float64."""
    tiers = (measurement.allowances, measurement.shadow_allowances)
    found = [three(tier[name]) if name in tier else None for tier in tiers]
    while found and found[-1] is None:
        found.pop()
    return tuple(found)


def _others(allowed: Mapping[str, float], names: set[str]) -> dict[str, float]:
    """Return the allowances of what is no parameter, as shown."""
    return {key: three(a) for key, a in allowed.items() if key not in names}


def _kept(tier: GradientStats) -> GradientStats:
    """Return a tier in the numbers that an entry keeps: norms of sketches, zeros without one."""
    if all(p.sketch and p.norm == p.sketch.norm for p in tier.parameters):
        return tier  # as what was read from an entry
    parameters = (
        replace(p, norm=p.sketch.norm) if p.sketch else replace(p, norm=0.0, max_abs=0.0, mean=0.0)
        for p in tier.parameters
    )
    return replace(tier, parameters=tuple(parameters))


def _total(tier: GradientStats) -> Total:
    """Show the whole gradient."""
    return Total(value=six(tier.value), norm=six(tier.norm), max_abs=six(tier.max_abs))


def _component_lines(tier: GradientStats) -> dict[str, ComponentLine]:
    """Show the components."""
    return {
        c.name: ComponentLine(
            value=six(c.value),
            norm=six(c.norm),
            share=six(c.share),
            cosines=tuple(map(six, c.cosines)),
        )
        for c in tier.components
    }


def _sample_line(sample: Sample) -> SampleLine:
    """Show one perturbed point."""
    return SampleLine(
        label=sample.label,
        seed=sample.seed,
        scale=sample.scale,
        value=six(sample.value),
        norm=six(sample.norm),
        cosine=None if math.isnan(sample.cosine) else six(sample.cosine),
        dead=sample.dead,
    )


def _exact(measurement: Measurement) -> Iterator[float]:
    """Yield the numbers to compare with, in the order in which they are read back."""
    yield from _tier_numbers(measurement.native)
    for sample in measurement.samples:
        yield sample.value
        yield sample.norm
        if not math.isnan(sample.cosine):
            yield sample.cosine
    if measurement.shadow:
        yield from _tier_numbers(measurement.shadow)


def _tier_numbers(tier: GradientStats) -> Iterator[float]:
    """Yield the loss, and the numbers of each component."""
    yield tier.value
    for component in tier.components:
        yield from (component.value, component.norm, component.share, *component.cosines)


def _parameter_lines(
    parameter: ParameterStats,
    other: ParameterStats | None,
    **beside: Any,  # noqa: ANN401 - the other fields
) -> ParameterLines:
    """Show one parameter in its own precision and, where there is one, in float64."""
    sketch, alone = parameter.sketch, other is None or other.sketch is None
    lines = ParameterLines(
        shape=parameter.shape,
        dtype=parameter.dtype,
        norm=six(parameter.norm),
        max_abs=six(parameter.max_abs),
        mean=six(parameter.mean),
        zeros=parameter.zeros,
        disconnected=parameter.disconnected,
        sketch=packed((sketch.norm, *sketch.values)) if sketch and alone else None,
        **beside,
    )
    if other is None:
        return lines
    lost = None if other.disconnected == parameter.disconnected else other.disconnected
    lines = replace(
        lines,
        shadow_dtype=None if other.dtype == SHADOW_DTYPE else other.dtype,
        shadow_zeros=None if other.zeros == parameter.zeros else other.zeros,
        shadow_disconnected=lost,
    )
    if other.sketch is None:
        return lines
    numbers = (other.norm, other.max_abs, other.mean, *other.sketch.values)
    near = packed_near(sketch, other.sketch) if sketch else None
    return replace(lines, sketch=near, shadow=packed(numbers))


def _refuse_nonfinite(measurement: Measurement) -> None:
    """Raise where a number is NaN or Inf."""
    for tier in filter(None, (measurement.native, measurement.shadow)):
        for parameter in tier.parameters:
            if not parameter.finite:
                bad = parameter.nans + parameter.infs
                msg = f"the gradient of {parameter.name!r} has {bad} elements of NaN or Inf"
                raise UsageError(msg)
        if not tier.finite:
            msg = f"the {measurement.sense} or a component is NaN or Inf"
            raise UsageError(msg)
    for sample in measurement.samples:
        if not (sample.finite and math.isfinite(sample.scale)):
            msg = f"NaN or Inf at the point {sample.label!r}"
            raise UsageError(msg)
    plain: Mapping[str, object] = {
        **measurement.facts,
        **measurement.structure,
        **measurement.policy,
        **measurement.allowances,
        **measurement.shadow_allowances,
        "walked": measurement.walked,
    }
    for name, value in plain.items():
        if isinstance(value, float) and not math.isfinite(value):
            msg = f"{name!r} is {value}"
            raise UsageError(msg)


def _refuse_mismatch(measurement: Measurement) -> None:
    """Raise where the parts of a measurement do not belong together."""
    native, shadow, point = measurement.native, measurement.shadow, measurement.point
    names = [parameter.name for parameter in native.parameters]
    for what, every in (("parameter", names), ("component", [c.name for c in native.components])):
        if len(set(every)) < len(every):
            msg = f"two {what}s have the same name: {', '.join(every)}"
            raise UsageError(msg)
    if not len(names) == len(point.sketches) == len(point.dtypes):
        msg = "a parameter's own values are not finite"
        raise UsageError(msg)
    for parameter in (*native.parameters, *(shadow.parameters if shadow else ())):
        if parameter.sketch is None and not parameter.disconnected:
            msg = f"the gradient of {parameter.name!r} has no sketch"
            raise UsageError(msg)
    if shadow and _outline(native) != _outline(shadow):
        msg = "the float64 gradient has other parameters or components than the native one"
        raise UsageError(msg)


def _outline(tier: GradientStats) -> tuple[object, object]:
    """Return what both tiers must have in common."""
    return (
        [(p.name, p.shape) for p in tier.parameters],
        [(c.name, len(c.cosines)) for c in tier.components],
    )
