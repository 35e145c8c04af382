"""Say how large a change rounding explains, and where a parameter counts as zero.

Requirements:
    Every constant of the drift rule is here, once. A parameter whose gradient is below
    `NUMERICALLY_ZERO` of the whole gradient carries rounding noise (a bias in front of a batch
    normalisation has a true gradient of zero) and is never a denominator.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import GradientStats, Measurement, ParameterStats

__all__ = [
    "NUMERICALLY_ZERO",
    "allowances",
    "allowed_distance",
    "component_norm_allowed",
    "point_allowed",
    "spread_allowed",
    "value_allowed",
]

NUMERICALLY_ZERO: Final = 1e-5

RTOL: Final[Mapping[str, float]] = MappingProxyType(
    {
        "float64": 1e-7,
        "complex128": 1e-7,
        "float32": 3e-5,
        "complex64": 3e-5,
        "float16": 2e-2,
        "bfloat16": 2e-2,
    }
)

_EPS: Final = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_ROUNDING = 32.0  # units of rounding, spread evenly over the parameters
_SPREAD_FACTOR = 2.0  # a log spread of norms that doubles has become fragile
_SPREAD_FLOOR = 0.01


def allowances(stats: GradientStats) -> dict[str, float]:
    """Return the allowed relative distance of every parameter, by name.

    Relative to the larger of the parameter's norm and `NUMERICALLY_ZERO` of the whole norm:
    a fixed tolerance for the dtype, joined in quadrature with the rounding of the whole gradient.
    """
    whole, count = stats.norm, max(len(stats.parameters), 1)
    return {p.name: _relative(p, whole, count) for p in stats.parameters}


def _relative(parameter: ParameterStats, whole: float, count: int) -> float:
    """Return the allowed relative distance of one parameter."""
    floor = NUMERICALLY_ZERO * whole
    if parameter.norm <= floor:
        return 1.0
    dtype = _real(parameter.dtype)
    rounding = _ROUNDING * _EPS[dtype] * whole / math.sqrt(count)
    return math.hypot(RTOL[dtype], rounding / parameter.norm)


def allowed_distance(baseline: Measurement, name: str, min_drift: float | None) -> float:
    """Return the allowed absolute distance of one parameter's gradient from its baseline.

    Args:
        baseline: with its allowances.
        name: of the parameter.
        min_drift: relative distance that the user wants ignored, or ``None``.
    """
    stats = baseline.native
    scale = max(stats[name].norm, NUMERICALLY_ZERO * stats.norm)
    return max(baseline.allowances.get(name, 0.0), min_drift or 0.0) * scale


def value_allowed(
    baseline: Measurement, value: float, norm: float, min_drift: float | None
) -> float:
    """Return the allowed change of the loss or of a component's value.

    The rounding of a value that is a small difference of large terms scales with how fast it moves
    when the parameters do, so the reach ``norm x point`` counts beside the value itself.
    """
    rtol = max(RTOL[_real(p.dtype)] for p in baseline.native.parameters)
    eps = max(_EPS[_real(p.dtype)] for p in baseline.native.parameters)
    reach = norm * math.hypot(*(s.norm for s in baseline.point.sketches))
    return max(rtol, min_drift or 0.0) * abs(value) + _ROUNDING * eps * reach


def component_norm_allowed(baseline: Measurement, norm: float, min_drift: float | None) -> float:
    """Return the allowed change of the norm of a component's gradient."""
    rtol = max(RTOL[_real(p.dtype)] for p in baseline.native.parameters)
    whole = math.fsum(c.norm for c in baseline.native.components)
    return max(rtol, min_drift or 0.0) * norm + NUMERICALLY_ZERO * rtol * whole


def point_allowed(dtype: str, norm: float) -> float:
    """Return the allowed distance between two values of one parameter of this norm."""
    return RTOL[_real(dtype)] * norm


def spread_allowed(log_spread: float) -> float:
    """Return the largest log spread of perturbed norms that is not fragile beside this one."""
    return _SPREAD_FACTOR * log_spread + _SPREAD_FLOOR


def _real(dtype: str) -> str:
    """Return the real dtype behind a complex one; float32 for one that is not known."""
    known = {"complex128": "float64", "complex64": "float32", "complex32": "float16"}.get(
        dtype, dtype
    )
    return known if known in _EPS else "float32"
