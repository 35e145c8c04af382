"""Say what probably happened to a gradient, from two measurements; nothing where nothing fits.

Each hypothesis is tested on the sketches of the whole gradient (`resemblance`), and accepted only
if it leaves next to nothing of the drift unexplained.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.drift.allowance import NUMERICALLY_ZERO
from pytest_gradcheck.drift.resemblance import EQUAL, FITS, Pair, factor_of, is_scaled, kind
from pytest_gradcheck.records import (
    GradientStats,
    Scalar,
)

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement

__all__ = ["diagnose"]

_SAME_VALUE = 1e-8  # a change of the backward pass alone leaves the value as it was
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
    case = _case(measurement, baseline, drifted)
    if not case.pairs:
        if measurement.sense in drifted and not any(c.startswith("component") for c in drifted):
            return (f"only the {measurement.sense} moved; every gradient is unchanged",)
        return ()
    said = [*_lost(case.pairs), *_components(case)]
    if not said:
        said = [*_whole(case)] or [*_single(case)]
    said += [*_reach(case), *_apart(measurement, baseline)]
    return tuple(dict.fromkeys(said))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Hold what there is to explain, in the sharper of the two precisions."""

    now: GradientStats
    was: GradientStats
    every: tuple[Pair, ...]
    pairs: tuple[Pair, ...]
    drifted: frozenset[str]
    sense: str
    facts: Mapping[str, Scalar]

    @property
    def solid(self) -> list[Pair]:
        """Return the parameters whose gradient was not numerically zero."""
        floor = NUMERICALLY_ZERO * self.was.norm
        return [(now, was) for now, was in self.every if was.norm > floor]


def _case(measurement: Measurement, baseline: Measurement, drifted: Sequence[str]) -> _Case:
    """Return the case to explain."""
    now, was = measurement.native, baseline.native
    if measurement.shadow is not None and baseline.shadow is not None:
        now, was = measurement.shadow, baseline.shadow
    every = tuple(zip(now.parameters, was.parameters, strict=True))
    return _Case(
        now=now,
        was=was,
        every=every,
        pairs=tuple((p, q) for p, q in every if p.name in drifted),
        drifted=frozenset(drifted),
        sense=measurement.sense,
        facts=measurement.facts,
    )


def _lost(pairs: Sequence[Pair]) -> list[str]:
    """Say which parameters no longer receive a gradient."""
    lost = [now.name for now, was in pairs if now.dead and not was.dead]
    if not lost:
        return []
    return [f"{_listed(lost)} no longer {'receives' if len(lost) == 1 else 'receive'} a gradient"]


def _components(case: _Case) -> list[str]:
    """Say which component was scaled while the others stayed as they were."""
    pairs = list(zip(case.now.components, case.was.components, strict=True))
    changed = [(now, was) for now, was in pairs if f"component {now.name}" in case.drifted]
    if len(changed) != 1 or len(pairs) == 1:
        return []
    now, was = changed[0]
    others = "the other one" if len(pairs) == 2 else "the others"  # noqa: PLR2004 - a pair
    if was.norm > 0 and now.norm == 0:
        return [f"component {now.name} no longer has a gradient, {others} unchanged"]
    if was.norm == 0:
        return []
    factor, by_value = now.norm / was.norm, now.value / was.value if was.value else math.nan
    if abs(by_value - factor) <= FITS * abs(factor - 1.0):
        n = round(factor)
        batch = math.isclose(factor, n, rel_tol=EQUAL) and n in _sizes(case)
        meaning = f", or, {n} being the batch size, a mean became a sum" if batch else ""
        said = f"component {now.name} x{factor:.6g}, {others} unchanged"
        return [f"{said}: a weight changed{meaning}?"]
    if abs(by_value - 1.0) <= FITS * abs(factor - 1.0):
        said = f"gradient of component {now.name} changed (norm x{factor:.6g}), its value did not"
        return [f"{said}; {others} unchanged"]
    return [f"component {now.name} changed (gradient norm x{factor:.6g}), {others} unchanged"]


def _whole(case: _Case) -> list[str]:
    """Say by which one factor the whole gradient was scaled."""
    solid = case.solid
    if len(solid) < 2 or not {p.name for p, _ in solid} <= case.drifted:  # noqa: PLR2004 - one alone
        return []
    factor = factor_of(solid)
    if factor is None or not all(is_scaled(p, factor) for p in solid):
        return []
    if math.isclose(factor, -1.0, rel_tol=EQUAL):
        return ["every gradient has its sign flipped"]
    ratio = case.now.value / case.was.value if case.was.value else math.nan
    along = abs(ratio - factor) <= FITS * abs(factor - 1.0)
    value = f"and so is the {case.sense}" if along else f"the {case.sense} is not"
    said = f"every gradient is scaled by {factor:.6g}, {value}"
    meaning = _meaning(factor, case)
    return [f"{said}: {meaning}" if meaning else said]


def _meaning(factor: float, case: _Case) -> str:
    """Say what a factor usually stands for."""
    for whole, text in (
        (factor, "{n}: a mean that became a sum?"),
        (1.0 / factor, "1/{n}: a sum that became a mean, or an average taken twice?"),
    ):
        n = round(whole)
        if n >= 2 and math.isclose(whole, n, rel_tol=EQUAL):  # noqa: PLR2004 - a real factor
            if n >= 1024 and n & (n - 1) == 0:  # noqa: PLR2004 - GradScaler's range
                return f"{n} is a power of two: a loss scale that was not divided out?"
            return _named(n, case) + text.format(n=n)
    return ""


def _named(n: int, case: _Case) -> str:
    """Say what in the test has that size."""
    if n == case.facts.get("ranks"):
        return "the number of ranks, "
    if n in _sizes(case):
        return "the batch size, "
    if n == len(case.now.components):
        return "the number of components, "
    return "batch size, accumulation steps? "


def _sizes(case: _Case) -> set[int]:
    """Return the first sizes of the data that the test was seen to use."""
    return {int(size) for size in re.findall(r"[(](\d+)", str(case.facts.get("data", "")))}


def _single(case: _Case) -> list[str]:
    """Say what happened to single parameters."""
    kinds: dict[str, list[str]] = {}
    for pair in case.pairs:
        what = kind(pair, case.every)
        if what:
            kinds.setdefault(what, []).append(pair[0].name)
    said = [f"{_listed(names)}: {what}" for what, names in kinds.items()]
    return said[:_SHOWN]


def _reach(case: _Case) -> list[str]:
    """Say how far back the change reaches, and whether the forward pass changed at all."""
    solid = [now.name for now, _ in case.solid]
    touched = [name for name in solid if name in case.drifted]
    if not 0 < len(touched) < len(solid):
        return []
    said = []
    last = touched[-1]
    if len(touched) > 1 and touched == solid[: len(touched)]:
        said.append(f"everything from {last} backwards changed, nothing after it")
    components = zip(case.now.components, case.was.components, strict=True)
    values = [(case.now.value, case.was.value), *((a.value, b.value) for a, b in components)]
    if all(math.isclose(a, b, rel_tol=_SAME_VALUE) for a, b in values):
        said.append(
            f"the {case.sense} is unchanged: look at the backward pass "
            "(detach, hooks, custom functions)"
        )
    return said


def _apart(measurement: Measurement, baseline: Measurement) -> list[str]:
    """Say what computes something else once its batch is spread over more ranks."""
    facts = measurement.facts
    alone = facts.get("unsynchronised")
    if not alone or baseline.facts.get("ranks") == facts.get("ranks"):
        return []
    each = f"the batch of each of the {facts['ranks']} ranks alone"
    return [f"{alone} in training mode normalises over {each}: SyncBatchNorm?"]


def _listed(names: Sequence[str]) -> str:
    """Return the first names and how many more."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
