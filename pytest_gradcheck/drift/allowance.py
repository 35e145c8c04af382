"""Say how large a change noise explains, and where a parameter counts as zero.

The allowed distance ``T`` of a parameter's gradient from its baseline, with ``g_p`` the norm of the
parameter's gradient, ``g`` that of the whole, ``P`` the number of parameters, ``n1`` and ``n256``
the root mean square distances under draws of 1 and 256 units in the last place::

    float64     T^2 = (32 n1)^2                + (1e-7 g_p)^2     + (1e-9 g)^2
    narrower    T^2 = max(32 n1, 3 n256)^2     + (32 eps g_p)^2   + (32 eps g)^2 / P
    coarse      T^2 = (8 n1)^2                 + (32 eps g_p)^2   + (32 eps g)^2 / P

A float64 tier, a shadow or a model that is in float64 itself, has noise between 1e-16 and 1e-9 and
real faults from 1e-6 up, so it is narrow. The native tier of a narrower model is wide: one unit
that sits within rounding of its threshold moves the gradient of a convolutional network by 4e-3,
and only draws of 256 units find it. Coarse is what computes in half precision, whose one unit is as
wide already. What a kept sketch cannot tell apart (`sketch`) is far below each of these.

Requirements:
    Every constant of the drift rule is here, once.
    Allowances are kept relative to the larger of ``g_p`` and `NUMERICALLY_ZERO` of ``g``: below
    that a parameter's gradient is rounding noise (a bias in front of a batch normalisation has a
    true gradient of zero) and never a denominator.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.records import GradientStats, Replicates, TierNoise

__all__ = [
    "ESS",
    "NUMERICALLY_ZERO",
    "VALUE",
    "allowances",
    "component_key",
    "fixed_allowances",
    "gap_allowed",
    "point_allowed",
    "replicate_allowances",
    "scale",
    "spread_allowed",
]

NUMERICALLY_ZERO: Final = 1e-5
VALUE: Final = "[value]"
ESS: Final = "[ess]"

_K = 32.0  # times the noise of one unit
_K_WIDE = 3.0  # times the noise of 256 units
_K_COARSE = 8.0  # times the noise of one unit of half precision
_FLOOR = 1e-7  # of the parameter's own gradient, in float64
_FLOOR_WHOLE = 1e-9  # of the whole gradient, in float64
_ROUNDING = 32.0  # units of rounding in a narrower precision
_COARSE = 2.0**-10
_FLOAT64 = 2.0**-52
_GAP = 4.0  # times the distance between the tiers when the baseline was recorded

_SPREAD_FACTOR = 2.0  # a log spread of norms that doubles has become fragile
_SPREAD_FLOOR = 0.01

_POINT = {"float64": 1e-7, "float32": 3e-5, "float16": 2e-2, "bfloat16": 2e-2}
_FIXED = _POINT  # where the noise could not be measured
_EPS = {"float64": _FLOAT64, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def allowances(stats: GradientStats, noise: TierNoise) -> dict[str, float]:
    """Return what noise explains in one tier.

    Args:
        stats: the baseline in that tier.
        noise: measured there.

    Returns:
        The allowed distance of every parameter by name, relative to its scale (see above), and of
        the value and of each component's value and norm (`component_key`), absolute.
    """
    count = max(len(stats.parameters), 1)
    found = {}
    for p in stats.parameters:
        floors = _floors(noise.eps, p.norm, stats.norm, count)
        found[p.name] = _relative(math.hypot(_noise(noise, p.name), *floors), p.norm, stats.norm)
    whole = math.fsum(c.norm for c in stats.components)
    for key, size, beside in [
        (VALUE, abs(stats.value), 0.0),
        *((component_key(c.name, "value"), abs(c.value), 0.0) for c in stats.components),
        *((component_key(c.name, "norm"), c.norm, whole) for c in stats.components),
    ]:
        floors = _floors(noise.eps, size, beside, count)
        found[key] = math.hypot(_noise(noise, key), *floors)
    return found


def fixed_allowances(stats: GradientStats) -> dict[str, float]:
    """Return allowances for a gradient whose noise cannot be measured, by dtype alone.

    For those who hold a measurement and not its objective (the bridge to syrupy).
    """
    whole, count = stats.norm, max(len(stats.parameters), 1)
    found = {}
    for p in stats.parameters:
        dtype = _real(p.dtype)
        rounding = _ROUNDING * _EPS[dtype] * whole / math.sqrt(count)
        wide = 1.0 if p.norm <= NUMERICALLY_ZERO * whole else 0.0
        relative = _relative(math.hypot(_FIXED[dtype] * p.norm, rounding), p.norm, whole)
        found[p.name] = max(relative, wide)
    rtol = max((_FIXED[_real(p.dtype)] for p in stats.parameters), default=0.0)
    found[VALUE] = rtol * max(abs(stats.value), math.fsum(abs(c.value) for c in stats.components))
    for c in stats.components:
        found[component_key(c.name, "value")] = rtol * max(abs(c.value), abs(stats.value))
        found[component_key(c.name, "norm")] = rtol * max(c.norm, NUMERICALLY_ZERO * whole)
    return found


def replicate_allowances(
    replicates: Replicates, noise: Sequence[TierNoise] = ()
) -> dict[str, float]:
    """Return what noise explains of any replicate: the most under any seed, all relative.

    Args:
        replicates: of the baseline.
        noise: of each of them; by fixed rules for float32 where it is not known.
    """
    found = dict.fromkeys((*(p.name for p in replicates.parameters), VALUE, ESS), 0.0)
    if not noise:
        return dict.fromkeys(found, _FIXED["float32"])
    count = max(len(replicates.parameters), 1)
    largest = max(abs(one.value) for one in replicates.each)
    for r, (one, tier) in enumerate(zip(replicates.each, noise, strict=True)):
        for p in replicates.parameters:
            floors = _floors(tier.eps, p.norms[r], one.norm, count)
            far = math.hypot(_noise(tier, p.name), *floors)
            found[p.name] = max(found[p.name], _relative(far, p.norms[r], one.norm))
        ess = one.weights.ess if one.weights else 0.0
        for key, size, of in ((VALUE, abs(one.value), largest), (ESS, ess, replicates.ess or 0.0)):
            far = math.hypot(_noise(tier, key), *_floors(tier.eps, size, 0.0, count))
            found[key] = max(found[key], far / of if of > 0 else 0.0)
    return found


def component_key(name: str, what: str) -> str:
    """Return the key of a component's value or norm; no parameter has brackets around its name."""
    return f"[{name} {what}]"


def scale(norm: float, whole: float) -> float:
    """Return what an allowance is relative to."""
    return max(norm, NUMERICALLY_ZERO * whole)


def gap_allowed(distance: float) -> float:
    """Return the largest distance between the tiers beside the one that was recorded."""
    return _GAP * distance


def point_allowed(dtype: str, norm: float) -> float:
    """Return the allowed distance between two values of one parameter of this norm."""
    return _POINT[_real(dtype)] * norm


def spread_allowed(log_spread: float) -> float:
    """Return the largest log spread of perturbed norms that is not fragile beside this one."""
    return _SPREAD_FACTOR * log_spread + _SPREAD_FLOOR


def _noise(noise: TierNoise, key: str) -> float:
    """Return the multiple of the measured noise that is allowed."""
    one = noise.one.get(key, 0.0)
    if noise.eps >= _COARSE:
        return _K_COARSE * one
    return max(_K * one, _K_WIDE * noise.wide.get(key, 0.0))


def _floors(eps: float, own: float, whole: float, count: int) -> tuple[float, float]:
    """Return what is allowed of the size itself and of the whole."""
    if eps <= _FLOAT64:
        return _FLOOR * own, _FLOOR_WHOLE * whole
    return _ROUNDING * eps * own, _ROUNDING * eps * whole / math.sqrt(count)


def _relative(distance: float, norm: float, whole: float) -> float:
    """Return an allowed distance relative to its scale."""
    size = scale(norm, whole)
    return distance / size if size > 0 else 0.0


def _real(dtype: str) -> str:
    """Return the real dtype behind a complex one; float32 for one that is not known."""
    known = {"complex128": "float64", "complex64": "float32", "complex32": "float16"}
    real = known.get(dtype, dtype)
    return real if real in _EPS else "float32"
