"""Say what changes by more than its limit between two points of a grid."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

from pytest_gradcheck.drift.allowance import NUMERICALLY_ZERO
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Finding
from pytest_gradcheck.stats.sketch import total_cosine
from pytest_gradcheck.sweep.values import factor, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_gradcheck.sweep.values import Stop

__all__ = ["changes"]


def changes(stops: Sequence[Stop], limits: Mapping[str, float]) -> Iterator[Finding]:
    """Yield points that are not finite, then the worst break of each limit along each setting."""
    for stop in stops:
        found = stop.measurement.replicates
        if not stop.measurement.finite or (found is not None and found.lost):
            text = f"the gradient is not finite at {place(stop.setting)}"
            yield Finding(subject=", ".join(stop.setting), text=text)
    worst: dict[tuple[str, str, str], tuple[float, Finding]] = {}
    for a, b in combinations(stops, 2):
        differing = [name for name in a.setting if a.setting[name] != b.setting[name]]
        if len(differing) == 1:
            for key, excess, finding in _broken(a, b, differing[0], limits):
                if key not in worst or excess > worst[key][0]:
                    worst[key] = (excess, finding)
    yield from (finding for _, finding in worst.values())


def _broken(
    a: Stop, b: Stop, name: str, limits: Mapping[str, float]
) -> Iterator[tuple[tuple[str, str, str], float, Finding]]:
    """Yield what breaks a limit between two points, with how far."""
    others = {k: v for k, v in a.setting.items() if k != name}
    where = f" ({place(others)})" if others else ""
    for limit, what, before, after in _numbers(a, b, limits):
        ratio = factor(min(before, after), max(before, after))
        if not ratio <= limits[limit]:
            text = (
                f"{what} {before:.4g} at {name}={a.setting[name]}, {after:.4g} at "
                f"{name}={b.setting[name]}: ratio {ratio:.4g}, {limit} {limits[limit]:g}{where}"
            )
            yield (
                (name, limit, what),
                ratio,
                Finding(subject=name, text=text, observed=ratio, limit=limits[limit]),
            )
    cosine = _cosine(a, b) if "min_cosine" in limits else math.nan
    if cosine < limits.get("min_cosine", -1.0):
        text = (
            f"cosine {cosine:.2g} between the gradients at {name}={a.setting[name]} and "
            f"{name}={b.setting[name]}, min_cosine {limits['min_cosine']:g}{where}"
        )
        yield (
            (name, "min_cosine", ""),
            -cosine,
            Finding(subject=name, text=text, observed=cosine, limit=limits["min_cosine"]),
        )


def _numbers(
    a: Stop, b: Stop, limits: Mapping[str, float]
) -> Iterator[tuple[str, str, float, float]]:
    """Yield the numbers that limits are on: the limit, what it is, here and there."""
    m, n = a.measurement, b.measurement
    if "max_norm_ratio" in limits:
        yield "max_norm_ratio", "gradient norm", a.norm, b.norm
    if "max_parameter_ratio" in limits:
        there = {p.name: p.norm for p in n.native.parameters}
        for p in m.native.parameters:
            least = NUMERICALLY_ZERO * max(m.norm, n.norm)
            if p.name in there and max(p.norm, there[p.name]) > least:
                what = f"gradient norm of {p.name}"
                yield "max_parameter_ratio", what, p.norm, there[p.name]
    if "max_component_ratio" in limits:
        for name in m.components:
            if name in n.components:
                what = f"gradient norm of component {name}"
                pair = m.components[name].norm, n.components[name].norm
                yield "max_component_ratio", what, *pair
    if "max_snr_ratio" in limits and m.replicates and n.replicates:
        pair = m.replicates.snr, n.replicates.snr
        yield "max_snr_ratio", "signal-to-noise ratio", *pair


def _cosine(a: Stop, b: Stop) -> float:
    """Return the cosine of two gradients of equal shapes; ``nan`` where there is none."""
    here = {p.name: p for p in a.measurement.native.parameters}
    there = {p.name: p for p in b.measurement.native.parameters}
    if {n: p.shape for n, p in here.items()} != {n: p.shape for n, p in there.items()}:
        msg = (
            f"min_cosine needs parameters of equal names and shapes at {place(a.setting)} and "
            f"{place(b.setting)}"
        )
        raise UsageError(msg)
    pairs = [
        (here[name].sketch, there[name].sketch)
        for name in here
        if here[name].sketch is not None and there[name].sketch is not None
    ]
    known = [(p, q) for p, q in pairs if p is not None and q is not None]
    return total_cosine(known) if known else math.nan
