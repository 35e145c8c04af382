"""Say what probably happened to a gradient, from two measurements; nothing where nothing fits.

Each hypothesis is tested on the sketches of the whole gradient (`resemblance`), and accepted only
if it leaves next to nothing of the drift unexplained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.drift.allowance import NUMERICALLY_ZERO
from pytest_gradcheck.drift.meaning import meaning, size_of
from pytest_gradcheck.drift.resemblance import EQUAL, FITS, Pair, factor_of, is_scaled, kind
from pytest_gradcheck.records import ComponentStats, GradientStats, Scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.records import Measurement

__all__ = ["diagnose"]

_SAME_VALUE = 1e-8  # a change of the backward pass alone leaves the value as it was
_SHOWN = 3
_PLAIN = 5  # letters of a factor up to which nobody asks what it is one over: x0.5, x0.25


def diagnose(
    measurement: Measurement,
    baseline: Measurement,
    drifted: Sequence[str],
    *,
    native: bool = False,
) -> tuple[str, ...]:
    """Return the probable causes, the most telling first.

    Args:
        measurement: what the gradient is now.
        baseline: what it was; same structure.
        drifted: subjects of the findings: parameters, ``component NAME``, ``loss``.
        native: whether only the gradient in the model's own precision drifted.
    """
    case = _case(measurement, baseline, drifted, native=native)
    if not case.pairs:
        return _valued(case)
    said = [*_broken(case), *_lost(case.pairs), *(_silent(case) or _components(case))]
    if not said:
        said = [*_whole(case)] or [*_single(case)]
    said += [*_reach(case), *_apart(measurement, baseline)]
    return tuple(dict.fromkeys(said))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Hold what there is to explain, in the sharper of the two precisions that shows it."""

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


def _case(
    measurement: Measurement, baseline: Measurement, drifted: Sequence[str], *, native: bool
) -> _Case:
    """Return the case to explain."""
    now, was = measurement.native, baseline.native
    if not native and measurement.shadow is not None and baseline.shadow is not None:
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


def _valued(case: _Case) -> tuple[str, ...]:
    """Say which values moved where no gradient did, not even that of a component."""
    pairs = zip(case.now.components, case.was.components, strict=True)
    changed = [(now, was) for now, was in pairs if f"component {now.name}" in case.drifted]
    if not all(math.isclose(now.norm, was.norm, rel_tol=EQUAL) for now, was in changed):
        return ()
    moved = f"the {case.sense}" if case.sense in case.drifted else ""
    if changed:
        names = _listed([f"component {now.name}" for now, _ in changed])
        moved = f"the value{'s' if len(changed) > 1 else ''} of {names}"
    return (f"only {moved} moved; every gradient is unchanged",) if moved else ()


def _broken(case: _Case) -> list[str]:
    """Say which parameters are not finite though they were, and in which pass that arose."""
    broken = [now.name for now, was in case.pairs if not now.finite and was.finite]
    if not broken:
        return []
    said = f"{_listed(broken)} {'was' if len(broken) == 1 else 'were'} finite in the baseline"
    if math.isfinite(case.now.value):
        return [f"{said}; the {case.sense} still is: NaN or Inf arose in the backward pass"]
    return [f"{said}, and so was the {case.sense}: NaN or Inf arose in the forward pass"]


def _lost(pairs: Sequence[Pair]) -> list[str]:
    """Say which parameters no longer receive a gradient."""
    lost = [now.name for now, was in pairs if now.dead and not was.dead]
    if not lost:
        return []
    return [f"{_listed(lost)} no longer {'receives' if len(lost) == 1 else 'receive'} a gradient"]


def _silent(case: _Case) -> list[str]:
    """Say which components have no gradient any more, where others changed as well."""
    pairs = zip(case.now.components, case.was.components, strict=True)
    changed = [(now, was) for now, was in pairs if f"component {now.name}" in case.drifted]
    gone = [f"component {now.name}" for now, was in changed if _gone(now, was)]
    if len(changed) == 1 or not 0 < len(gone) < len(case.now.components):
        return []
    return [f"{_listed(gone)} no longer {'has' if len(gone) == 1 else 'have'} a gradient"]


def _components(case: _Case) -> list[str]:
    """Say which component was scaled while the others stayed as they were."""
    pairs = list(zip(case.now.components, case.was.components, strict=True))
    changed = [(now, was) for now, was in pairs if f"component {now.name}" in case.drifted]
    if len(changed) != 1 or len(pairs) == 1:
        return []
    now, was = changed[0]
    others = "the other one" if len(pairs) == 2 else "the others"  # noqa: PLR2004 - a pair
    text = ""
    if not now.finite:
        text = "is not finite"
    elif _gone(now, was):
        text = "no longer has a gradient"
    elif was.norm == 0:
        text = f"changed (gradient norm 0 -> {now.norm:.4g})"
    if text:
        return [f"component {now.name} {text}, {others} unchanged"]
    factor, by_value = now.norm / was.norm, now.value / was.value if was.value else math.nan
    if abs(by_value - factor) <= FITS * abs(factor - 1.0):
        times, beside = _weighed(factor, case.facts)
        return [f"component {now.name} {times}, {others} unchanged: a weight changed{beside}?"]
    if abs(by_value - 1.0) <= FITS * abs(factor - 1.0):
        said = f"gradient of component {now.name} changed (norm x{factor:.6g}), its value did not"
        return [f"{said}; {others} unchanged"]
    return [f"component {now.name} changed (gradient norm x{factor:.6g}), {others} unchanged"]


def _gone(now: ComponentStats, was: ComponentStats) -> bool:
    """Whether a component lost its gradient; a norm leaves out what is not finite."""
    return was.norm > 0 and now.norm == 0 and now.finite


def _weighed(factor: float, facts: Mapping[str, Scalar]) -> tuple[str, str]:
    """Return a factor as text, and what else than a weight it may be: a size of the test's data."""
    shown = f"x{factor:.6g}"
    for whole, became in ((factor, "a mean became a sum"), (1 / factor, "a sum became a mean")):
        n = round(whole)
        if n < 2 or not math.isclose(whole, n, rel_tol=EQUAL):  # noqa: PLR2004 - a real factor
            continue
        size = size_of(n, facts, 0).strip(", ")
        if len(shown) > _PLAIN and whole != factor:
            shown = f"{shown} (1/{n})"
        return shown, f", or, {n} being {size}, {became}" if size else ""
    return shown, ""


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
    stands_for = meaning(factor, case.facts, len(case.now.components))
    return [f"{said}: {stands_for}" if stands_for else said]


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
        layers = {name.rpartition(".")[0] or name for name in touched}
        where = f" of {layers.pop()} alone" if len(layers) == 1 else ""
        said.append(
            f"the {case.sense} is unchanged: look at the backward pass{where} "
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
