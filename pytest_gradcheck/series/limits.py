"""Turn what a call asks for into rules: rules of its own, and the limits that gradients share.

Requirements:
    The limits are those of `pytest_gradcheck.limits`. Those that make no sense for a series are
    refused where the call itself says them; from markers and the ini file, where they are meant
    for gradients, they do not apply here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.series.judge import ranges
from pytest_gradcheck.series.rules import RULES, Rule

if TYPE_CHECKING:
    from pytest_gradcheck.limits import Limits

__all__ = ["APPLICABLE", "SeriesLimits", "refuse_idle", "series_limits"]

APPLICABLE = ("finite", "max_norm", "min_norm", "max_share", "per_parameter", "drift", "min_drift")
"""The limits that also hold for a training run."""

_BOUNDS = ("max_norm", "min_norm")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLimits:
    """Hold what a series is held against.

    Attributes:
        rules: in the order in which they are reported.
        drift: whether the baseline is compared.
        min_drift: relative change below which drift is ignored, or ``None``.
    """

    rules: tuple[Rule, ...]
    drift: bool = True
    min_drift: float | None = None

    def text(self) -> dict[str, str]:
        """Return the rules as text, for reports."""
        shown = {r.name: f"{r.observe} of {r.metric}: {ranges(r)}" for r in self.rules}
        return shown | {"drift": "on" if self.drift else "off"}


def series_limits(
    limits: Limits,
    rules: object = (),
    *,
    without: str | Iterable[str] = (),
    written: Mapping[str, object] | None = None,
) -> SeriesLimits:
    """Return what a series is held against.

    Args:
        limits: in force, from call, markers and ini file.
        rules: of the call; one of the name of another takes its place.
        without: names of rules that are not to hold.
        written: the limits that the call itself says.

    Raises:
        UsageError: a rule is none, two have one name, or a limit does not apply to a series.
    """
    refuse_idle(written or {})
    own = _own(rules)
    dropped = [*((without,) if isinstance(without, str) else without)]
    if limits.given.get("finite") is False:
        dropped.append("finite")
    found = {rule.name: rule for rule in (*RULES, *_from_limits(limits.given))}
    found |= {rule.name: rule for rule in own}
    for name in dropped:
        if name not in found:
            msg = f"without={name!r}: there is no such rule; known: {', '.join(found)}"
            raise UsageError(msg)
        del found[name]
    return SeriesLimits(rules=tuple(found.values()), drift=limits.drift, min_drift=limits.min_drift)


def refuse_idle(written: Mapping[str, object]) -> None:
    """Refuse limits that were written for a training run and cannot hold for one.

    Raises:
        UsageError: a limit is for single gradients; the message lists those that are not.
    """
    for name in written:
        if name not in APPLICABLE:
            msg = (
                f"the limit {name} is for single gradients and does not apply to a training run; "
                f"these do: {', '.join(APPLICABLE)}; for others write a Rule"
            )
            raise UsageError(msg)
    bounds = written.get("per_parameter")
    for pattern, given in bounds.items() if isinstance(bounds, Mapping) else ():
        for name in given if isinstance(given, Mapping) else ():
            if name not in _BOUNDS:
                msg = (
                    f"{name} of per_parameter is for single gradients and does not apply to a "
                    f"training run ({pattern!r}); these do: {', '.join(_BOUNDS)}"
                )
                raise UsageError(msg)


def _own(rules: object) -> tuple[Rule, ...]:
    """Return the rules of a call, checked."""
    items: Sequence[Any] = (
        (rules,) if isinstance(rules, Rule) else tuple(rules) if isinstance(rules, Iterable) else ()
    )
    wrong = [item for item in items if not isinstance(item, Rule)]
    if wrong or not isinstance(rules, Rule | Iterable):
        msg = f"rules= takes a Rule or several, not {wrong[0] if wrong else rules!r}"
        raise UsageTypeError(msg)
    names = [item.name for item in items]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"two rules are called {twice!r}; give each its own name="
        raise UsageError(msg)
    return tuple(items)


def _from_limits(given: Mapping[str, Any]) -> list[Rule]:
    """Return the rules that limits stand for."""
    rules = list(_bounds("norm", "norm", given))
    for pattern, bounds in (given.get("per_parameter") or {}).items():
        rules += _bounds(f"norm.{pattern}", f"norm.{pattern}", bounds)
    if given.get("max_share") is not None:
        rules.append(
            Rule(
                name="max_share",
                metric="component.*",
                observe="share",
                healthy=(0, given["max_share"]),
                next_step=("component weight", "loss reduction"),
            )
        )
    return rules


def _bounds(name: str, metric: str, given: Mapping[str, Any]) -> Iterable[Rule]:
    """Yield a rule for the largest, and one for the smallest norm."""
    steps = ("input scale", "loss reduction", "component weight", "clipping", "learning rate")
    if given.get("max_norm") is not None:
        yield Rule(
            name="max_norm" if name == "norm" else f"{name} max_norm",
            metric=metric,
            observe="max",
            healthy=(0, given["max_norm"]),
            next_step=steps,
        )
    if given.get("min_norm") is not None:
        yield Rule(
            name="min_norm" if name == "norm" else f"{name} min_norm",
            metric=metric,
            observe="min",
            healthy=(given["min_norm"], math.inf),
            next_step=("loss reduction", "input scale"),
        )
