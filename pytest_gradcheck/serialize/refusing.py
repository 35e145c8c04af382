"""Refuse measurements that must not become a baseline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.serialize.replicates import refuse_unfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import GradientStats, Measurement

__all__ = ["refuse_unstorable"]


def refuse_unstorable(measurement: Measurement) -> None:
    """Raise where a number is NaN or Inf, or parts of a measurement do not belong together.

    Raises:
        UsageError: with what is wrong.
    """
    _refuse_nonfinite(measurement)
    _refuse_mismatch(measurement)
    if measurement.replicates:
        refuse_unfit(measurement.replicates)


def _refuse_nonfinite(measurement: Measurement) -> None:
    """Raise where a number is NaN or Inf."""
    for tier in filter(None, (measurement.native, measurement.shadow)):
        for parameter in tier.parameters:
            if bad := parameter.nans + parameter.infs:
                msg = f"the gradient of {parameter.name!r} has {bad} elements of NaN or Inf"
                raise UsageError(msg)
        if not (math.isfinite(tier.value) and all(c.finite for c in tier.components)):
            msg = f"the {measurement.sense} or a component is NaN or Inf"
            raise UsageError(msg)
    for sample in measurement.samples:
        if not (sample.finite and math.isfinite(sample.scale)):
            msg = f"NaN or Inf at the point {sample.label!r}"
            raise UsageError(msg)
    plain: tuple[Mapping[str, object], ...] = (
        measurement.facts,
        measurement.structure,
        measurement.policy,
        measurement.allowances,
        measurement.shadow_allowances,
        {"walked": measurement.walked},
    )
    for mapping in filter(None, plain):
        for name, value in mapping.items():
            if isinstance(value, float) and not math.isfinite(value):
                msg = f"{name!r} is {value}"
                raise UsageError(msg)


def _refuse_mismatch(measurement: Measurement) -> None:
    """Raise where the parts of a measurement do not belong together."""
    native, shadow, point = measurement.native, measurement.shadow, measurement.point
    names = [parameter.name for parameter in native.parameters]
    for what, every in (("parameter", names), ("component", [c.name for c in native.components])):
        if len(every) > 1 and len(set(every)) < len(every):
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
