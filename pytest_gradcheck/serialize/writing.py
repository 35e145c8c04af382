"""Turn a measurement into the entry that shows and keeps it, as JSON data.

`pytest_gradcheck.serialize.shapes` says what stands there. The data are made at once, without its
classes in between: every entry that is read is made anew, to see that its numbers agree.

Requirements:
    NaN and Inf are never stored. What says nothing about the gradient at the point is left out:
    the largest elements, the directional derivatives, package versions, notes, seconds. Writing
    what was read gives the same entry, whatever was rounded the first time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.serialize.packing import packed, packed_coarse, packed_near
from pytest_gradcheck.serialize.refusing import refuse_unstorable
from pytest_gradcheck.serialize.replicates import replicates_block
from pytest_gradcheck.serialize.rounding import six, three
from pytest_gradcheck.serialize.shapes import lean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_gradcheck.records import GradientStats, Measurement, ParameterStats, Sample

__all__ = ["DTYPE", "SHADOW_DTYPE", "entry_data"]

DTYPE, SHADOW_DTYPE = "float32", "float64"
"""What the gradient and its shadow are in unless an entry says otherwise."""

_POINT_BYTES = {"bfloat16": 2, "float16": 2, "float32": 3}  # well within what may move; others 4


def entry_data(measurement: Measurement, packs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the entry of a measurement, without the fields that hold their default.

    Args:
        measurement: to show and keep.
        packs: the entry that it was read from, whose packed numbers stand for themselves.

    Raises:
        UsageError: the measurement cannot be stored, and why.
    """
    refuse_unstorable(measurement)
    native, point = _kept(measurement.native), measurement.point
    shadow = _kept(measurement.shadow) if measurement.shadow else None
    data = _identity(measurement)
    data["total"] = _total(native)
    if shadow:
        data["shadow"] = _total(shadow)
    if native.components:
        data["components"] = _component_lines(native)
    if measurement.samples:
        data["samples"] = list(map(_sample_line, measurement.samples))
    if measurement.replicates:
        data["replicates"] = lean(replicates_block(measurement.replicates))
    names = {parameter.name for parameter in native.parameters}
    for name in ("allowances", "shadow_allowances"):
        if others := _others(getattr(measurement, name), names):
            data[name] = others
    data["exact"] = packs["exact"] if packs else packed(_exact(measurement))
    if point.values is not None:
        data["point"] = packs["point"] if packs else packed(point.values)
    data["parameters"] = lines = {}
    for i, parameter in enumerate(native.parameters):
        other = shadow.parameters[i] if shadow else None
        lines[parameter.name] = line = _shown(measurement, i, parameter, other)
        if packs:
            line |= _packs(packs["parameters"][parameter.name])
        else:
            line |= _packed(measurement, i, parameter, other)
    return data


def _identity(measurement: Measurement) -> dict[str, Any]:
    """Return what an entry says of the model, and of how it was measured."""
    data: dict[str, Any] = {
        "objective": measurement.objective,
        "backend": measurement.backend,
        "device": measurement.device,
        "sense": measurement.sense,
        "seed": measurement.seed,
    }
    if measurement.walked:
        data["walked"] = three(measurement.walked)
    for name in ("structure", "policy", "facts"):
        if plain := getattr(measurement, name):
            data[name] = dict(plain)
    return data


def _allowances(measurement: Measurement, name: str) -> list[float | None]:
    """Return a parameter's allowances as shown: in its own precision, and in float64."""
    own, wide = measurement.allowances.get(name), measurement.shadow_allowances.get(name)
    if wide is None:
        return [] if own is None else [three(own)]
    return [None if own is None else three(own), three(wide)]


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


def _total(tier: GradientStats) -> dict[str, float]:
    """Show the whole gradient."""
    return {"value": six(tier.value), "norm": six(tier.norm), "max_abs": six(tier.max_abs)}


def _component_lines(tier: GradientStats) -> dict[str, dict[str, Any]]:
    """Show the components."""
    lines: dict[str, dict[str, Any]] = {}
    for c in tier.components:
        lines[c.name] = {"value": six(c.value), "norm": six(c.norm), "share": six(c.share)}
        if c.cosines:
            lines[c.name]["cosines"] = list(map(six, c.cosines))
    return lines


def _sample_line(sample: Sample) -> dict[str, Any]:
    """Show one perturbed point."""
    line: dict[str, Any] = {
        "label": sample.label,
        "seed": sample.seed,
        "scale": float(sample.scale),
        "value": six(sample.value),
        "norm": six(sample.norm),
    }
    if not math.isnan(sample.cosine):
        line["cosine"] = six(sample.cosine)
    if sample.dead:
        line["dead"] = list(sample.dead)
    return line


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


def _shown(
    measurement: Measurement, i: int, parameter: ParameterStats, other: ParameterStats | None
) -> dict[str, Any]:
    """Show one parameter in its own precision and, where there is one, in float64."""
    point = measurement.point
    line = _numbers(parameter)
    if allowed := _allowances(measurement, parameter.name):
        line["allowance"] = allowed
    if point.dtypes[i] != parameter.dtype:
        line["point_dtype"] = point.dtypes[i]
    if other is not None:
        line |= _differences(parameter, other)
    return line


def _packs(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the packed numbers in the lines of one parameter."""
    return {name: line[name] for name in ("sketch", "shadow", "point") if name in line}


def _packed(
    measurement: Measurement, i: int, parameter: ParameterStats, other: ParameterStats | None
) -> dict[str, Any]:
    """Keep one parameter in its own precision and, where there is one, in float64."""
    point, sketch = measurement.point, parameter.sketch
    line: dict[str, Any] = {}
    if other is None or other.sketch is None:
        if sketch:
            line["sketch"] = packed((sketch.norm, *sketch.values))
    else:
        if sketch:
            line["sketch"] = packed_near(sketch, other.sketch)
        line["shadow"] = packed((other.norm, other.max_abs, other.mean, *other.sketch.values))
    line["point"] = packed_coarse(point.sketches[i], _POINT_BYTES.get(point.dtypes[i], 4))
    return line


def _numbers(parameter: ParameterStats) -> dict[str, Any]:
    """Show one parameter in its own precision."""
    line: dict[str, Any] = {"shape": list(parameter.shape)}
    if parameter.dtype != DTYPE:
        line["dtype"] = parameter.dtype
    line["norm"] = six(parameter.norm)
    line["max_abs"] = six(parameter.max_abs)
    line["mean"] = six(parameter.mean)
    if parameter.zeros:
        line["zeros"] = parameter.zeros
    if parameter.disconnected:
        line["disconnected"] = True
    return line


def _differences(parameter: ParameterStats, other: ParameterStats) -> dict[str, Any]:
    """Show in what one parameter is another one in float64."""
    line: dict[str, Any] = {}
    if other.dtype != SHADOW_DTYPE:
        line["shadow_dtype"] = other.dtype
    if other.zeros != parameter.zeros:
        line["shadow_zeros"] = other.zeros
    if other.disconnected != parameter.disconnected:
        line["shadow_disconnected"] = other.disconnected
    return line
