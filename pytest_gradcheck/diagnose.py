"""Say what probably happened to a gradient, from two measurements; nothing where nothing fits.

Sketches are linear, so hypotheses about the whole gradient can be tested on them: a gradient is
minus the old one exactly if the two sketches add up to zero, and ``k`` times the old one if the
difference with ``k`` times the old sketch vanishes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.allowance import NUMERICALLY_ZERO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.records import ComponentStats, Measurement, ParameterStats, Sketch

__all__ = ["diagnose"]

Pair = tuple["ParameterStats", "ParameterStats"]

_FITS = 1e-3  # residual of a hypothesis, relative to the drift it explains
_EQUAL = 1e-4  # two statistics that hypothesis holds equal, relative
_SAME_VALUE = 1e-6  # a change of the backward pass alone leaves the value as it was
_SHOWN = 3


def diagnose(
    measurement: Measurement, baseline: Measurement, drifted: Sequence[str]
) -> tuple[str, ...]:
    """Return the probable causes, the most telling first.

    Args:
        measurement: what the gradient is now.
        baseline: what it was; same structure.
        drifted: subjects of the findings: parameters, ``component NAME``, ``loss``.
    """
    every = list(zip(measurement.native.parameters, baseline.native.parameters, strict=True))
    pairs = [(now, was) for now, was in every if now.name in drifted]
    if not pairs:
        if measurement.sense in drifted and not any(c.startswith("component") for c in drifted):
            return (f"only the {measurement.sense} moved; every gradient is unchanged",)
        return ()
    said = [*_lost(pairs), *_components(measurement, baseline)]
    if not said:
        said = [*_whole(pairs, every, measurement, baseline)] or [*_single(pairs, every)]
    said += _reach(pairs, every, measurement, baseline)
    return tuple(dict.fromkeys(said))


def _lost(pairs: Sequence[Pair]) -> list[str]:
    """Say which parameters no longer receive a gradient."""
    lost = [now.name for now, was in pairs if now.dead and not was.dead]
    if not lost:
        return []
    return [f"{_listed(lost)} no longer {'receives' if len(lost) == 1 else 'receive'} a gradient"]


def _components(measurement: Measurement, baseline: Measurement) -> list[str]:
    """Say which component was scaled while the others stayed as they were."""
    pairs = list(zip(measurement.native.components, baseline.native.components, strict=True))
    changed = [(now, was) for now, was in pairs if not _same_component(now, was)]
    if len(changed) != 1 or len(pairs) == 1:
        return []
    now, was = changed[0]
    others = "the other one" if len(pairs) == 2 else "the others"  # noqa: PLR2004 - a pair
    if was.norm > 0 and now.norm == 0:
        return [f"component {now.name} no longer has a gradient, {others} unchanged"]
    if was.norm == 0:
        return []
    factor, by_value = now.norm / was.norm, now.value / was.value if was.value else math.nan
    if math.isclose(abs(by_value), factor, rel_tol=_EQUAL * 0.1) and by_value > 0:
        return [f"component {now.name} x{factor:.6g}, {others} unchanged: a weight changed?"]
    if _close(now.value, was.value):
        said = f"gradient of component {now.name} changed (norm x{factor:.6g}), its value did not"
        return [f"{said}; {others} unchanged"]
    return [f"component {now.name} changed (gradient norm x{factor:.6g}), {others} unchanged"]


def _same_component(now: ComponentStats, was: ComponentStats) -> bool:
    """Whether a component is unchanged as far as its value and norm show."""
    return _close(now.value, was.value) and _close(now.norm, was.norm)


def _close(a: float, b: float) -> bool:
    """Whether two statistics are the same but for rounding."""
    return math.isclose(a, b, rel_tol=_EQUAL, abs_tol=1e-300)


def _whole(
    pairs: Sequence[Pair], every: Sequence[Pair], measurement: Measurement, baseline: Measurement
) -> list[str]:
    """Say by which one factor the whole gradient was scaled."""
    floor = NUMERICALLY_ZERO * baseline.norm
    solid = [(now, was) for now, was in every if was.norm > floor]
    if len(solid) < 2 or len([p for p in pairs if p[1].norm > floor]) < len(solid):  # noqa: PLR2004
        return []
    factor = _factor(solid)
    if factor is None or not all(_is_scaled(p, factor) for p in solid):
        return []
    if math.isclose(factor, -1.0, rel_tol=_EQUAL):
        return ["every gradient has its sign flipped"]
    ratio = measurement.value / baseline.value if baseline.value else math.nan
    along = math.isclose(ratio, factor, rel_tol=_EQUAL * 10)
    value = f"and so is the {measurement.sense}" if along else f"the {measurement.sense} is not"
    said = f"every gradient is scaled by {factor:.6g}, {value}"
    meaning = _meaning(factor)
    return [f"{said}: {meaning}" if meaning else said]


def _meaning(factor: float) -> str:
    """Say what a factor usually stands for."""
    for whole, text in (
        (factor, "a mean over {n} became a sum (batch size, accumulation steps, components?)"),
        (1.0 / factor, "a sum over {n} became a mean, or an average is taken twice"),
    ):
        n = round(whole)
        if n >= 2 and math.isclose(whole, n, rel_tol=_EQUAL):  # noqa: PLR2004 - a real factor
            if n >= 1024 and n & (n - 1) == 0:  # noqa: PLR2004 - GradScaler's range
                return f"{n} is a power of two: a loss scale that was not divided out?"
            return text.format(n=n)
    return ""


def _single(pairs: Sequence[Pair], every: Sequence[Pair]) -> list[str]:
    """Say what happened to single parameters."""
    kinds: dict[str, list[str]] = {}
    for pair in pairs:
        kind = _kind(pair, every)
        if kind:
            kinds.setdefault(kind, []).append(pair[0].name)
    return [f"{_listed(names)}: {kind}" for kind, names in list(kinds.items())[:_SHOWN]]


def _kind(pair: Pair, every: Sequence[Pair]) -> str:
    """Return what happened to one parameter, empty where nothing fits."""
    now, was = pair
    if now.sketch is None or was.sketch is None or was.norm == 0 or now.norm == 0:
        return ""
    factor = _factor([pair])
    if factor is not None and _is_scaled(pair, factor):
        if math.isclose(factor, -1.0, rel_tol=_EQUAL):
            return "sign flipped"
        if was.size > 1:  # one number is always a multiple of another
            return f"scaled by {factor:.6g}"
    for _, other in every:
        swapped = other.name != was.name and other.shape == was.shape and other.norm > 0
        if (
            swapped
            and other.sketch is not None
            and _residual(now.sketch, other.sketch, 1.0) < _FITS
        ):
            return f"has the gradient that was {other.name}'s: swapped?"
    same = all(
        math.isclose(a, b, rel_tol=_EQUAL)
        for a, b in ((now.norm, was.norm), (now.max_abs, was.max_abs))
    )
    if same and now.zeros == was.zeros and abs(now.mean - was.mean) <= _EQUAL * was.rms:
        return "same values in another order: rows permuted?"
    return ""


def _factor(pairs: Sequence[Pair]) -> float | None:
    """Return the factor that carries the old gradient closest to the new one."""
    dot = square = 0.0
    for now, was in pairs:
        if now.sketch is None or was.sketch is None or was.norm == 0:
            return None
        scale = 1.0 / was.norm
        both = zip(now.sketch.values, was.sketch.values, strict=True)
        dot += sum((a * scale) * (b * scale) for a, b in both)
        square += sum((b * scale) ** 2 for b in was.sketch.values)
    return dot / square if square > 0 else None


def _is_scaled(pair: Pair, factor: float) -> bool:
    """Whether a gradient is the old one times the factor, which is not 1."""
    now, was = pair
    if now.sketch is None or was.sketch is None or factor == 0:
        return False
    explained = max(abs(factor - 1.0) / max(abs(factor), 1.0), 1e-12)
    return (
        _residual(now.sketch, was.sketch, factor) <= max(_FITS * 10, 1e-6 / explained) * explained
    )


def _residual(now: Sketch, was: Sketch, factor: float) -> float:
    """Return what is left of the new gradient after ``factor`` times the old one, relative."""
    left = math.dist(now.values, [factor * v for v in was.values])
    size = max(math.hypot(*now.values), abs(factor) * math.hypot(*was.values))
    return left / size if size > 0 else 0.0


def _reach(
    pairs: Sequence[Pair], every: Sequence[Pair], measurement: Measurement, baseline: Measurement
) -> list[str]:
    """Say how far back the change reaches, and whether the forward pass changed at all."""
    floor = NUMERICALLY_ZERO * baseline.norm
    solid = [now.name for now, was in every if was.norm > floor]
    names = {now.name for now, _ in pairs}
    touched = [name for name in solid if name in names]
    if not 0 < len(touched) < len(solid):
        return []
    said = []
    last = touched[-1]
    if len(touched) > 1 and touched == solid[: len(touched)]:
        said.append(f"everything from {last} backwards changed, nothing after it")
    value = measurement.value
    if math.isclose(value, baseline.value, rel_tol=_SAME_VALUE) and not _components(
        measurement, baseline
    ):
        said.append(
            f"the {measurement.sense} is unchanged: look at the backward pass "
            "(detach, hooks, custom functions)"
        )
    return said


def _listed(names: Sequence[str]) -> str:
    """Return the first names and how many more."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
