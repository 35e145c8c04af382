"""What other tools compare, given the same gradients, and our own rule.

Each rule is asked for every harmless change and every fault; it answers with an alarm or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.power.observed import Answer, norm

__all__ = ["OTHERS", "OURS", "Rule", "Seen"]

OURS = "pytest-gradcheck"
STEPS = 20
"""Steps of plain gradient descent whose losses the trajectory rule compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Hold what rules may look at.

    Attributes:
        answer: value and full gradient, in the model's own precision.
        dtypes: of the gradients, by parameter.
        losses: runs the descent and yields its losses, one after the other.
    """

    answer: Answer
    dtypes: Mapping[str, str]
    losses: Callable[[], Iterable[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Hold one rule: ``alarm(now, before)``."""

    name: str
    alarm: Callable[[Seen, Seen], bool]


def parameter_norms(rtol: float) -> Rule:
    """Return the rule that compares the norm of every parameter's gradient."""

    def alarm(now: Seen, before: Seen) -> bool:
        pairs = ((_norm(now, name), _norm(before, name)) for name in before.answer.grads)
        return any(not abs(a - b) <= rtol * b for a, b in pairs)

    return Rule(name=f"norm of each parameter, rtol {rtol:.0e}", alarm=alarm)


def total_norm(rtol: float) -> Rule:
    """Return the rule that compares the norm of the whole gradient."""

    def alarm(now: Seen, before: Seen) -> bool:
        a, b = norm(now.answer.grads), norm(before.answer.grads)
        return not abs(a - b) <= rtol * b

    return Rule(name=f"total norm within {rtol:.0%}", alarm=alarm)


def allclose() -> Rule:
    """Return the rule that compares every element, with the defaults of ``torch.testing``."""
    defaults = {"float64": (1e-7, 1e-7), "float32": (1.3e-6, 1e-5)}

    def alarm(now: Seen, before: Seen) -> bool:
        for name, b in before.answer.grads.items():
            a = now.answer.grads[name]
            rtol, atol = defaults[before.dtypes[name]]
            if (a is None) != (b is None):
                return True
            if a is not None and b is not None and not np.allclose(a, b, rtol=rtol, atol=atol):
                return True
        return False

    return Rule(name="every element, allclose", alarm=alarm)


def trajectory(decimals: int = 5) -> Rule:
    """Return the rule that compares the losses of a short descent as they would be printed."""

    def alarm(now: Seen, before: Seen) -> bool:
        pairs = zip(now.losses(), before.losses(), strict=True)
        return any(f"{a:.{decimals}f}" != f"{b:.{decimals}f}" for a, b in pairs)

    return Rule(name=f"losses of {STEPS} steps, {decimals} decimals", alarm=alarm)


def _norm(seen: Seen, name: str) -> float:
    """Return the norm of one gradient; that of a disconnected one is zero."""
    grad = seen.answer.grads[name]
    if grad is None:
        return 0.0
    size = float(np.linalg.norm(grad))
    return size if math.isfinite(size) else math.nan


OTHERS = (
    parameter_norms(1e-5),
    parameter_norms(1e-3),
    parameter_norms(5e-2),
    total_norm(0.01),
    total_norm(0.10),
    allclose(),
    trajectory(),
)
