"""For every check one objective that is wrong in exactly one way, which no other check notices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_gradcheck.api import judged
from pytest_gradcheck.backends import objective
from pytest_gradcheck.limits import parse
from pytest_gradcheck.recording import record
from tests.gradients import noise

if TYPE_CHECKING:
    from pytest_gradcheck.records import Objective, Verdict

Point = Mapping[str, NDArray[Any]]
Terms = dict[str, tuple[float, dict[str, Any]]]

AT = {"w": noise(6, seed=1), "b": noise(6, seed=2), "s": np.ones(3)}
SLOPE = noise(6, seed=3)
LIMITS = parse(
    (
        "these tests",
        {
            "max_norm": 100.0,
            "balance": 50.0,
            "numeric": True,
            "max_norm_ratio": 3.0,
            "perturb": 1e-3,
        },
    )
)
CHECKS = ("finite", "reaches", "norm", "perturb", "balance", "numeric", "drift")


def honest(p: Point) -> Terms:
    """Return two components of three parameters, with right gradients."""
    fit = p["w"] * p["b"] - SLOPE
    return {
        "fit": (
            0.5 * float(np.sum(fit**2)),
            {"w": fit * p["b"], "b": fit * p["w"], "s": np.zeros(3)},
        ),
        "size": (
            0.5 * float(np.sum(p["w"] ** 2) + np.sum(p["s"] ** 2)),
            {"w": p["w"], "b": np.zeros(6), "s": p["s"]},
        ),
    }


def of(terms: Callable[[Point], Terms]) -> Objective:
    """Return the objective of some components."""

    def function(p: Point) -> tuple[object, object]:
        found = terms(p)
        return {k: v for k, (v, _) in found.items()}, {k: g for k, (_, g) in found.items()}

    return objective(AT, value_and_grad=function)


def nan_in_a_component(p: Point) -> Terms:
    """Return a component whose gradient has one NaN, at the point and nowhere around it."""
    found = honest(p)
    value, grads = found["size"]
    bad = grads["b"].copy()
    bad[0] = np.nan if np.array_equal(p["w"], AT["w"]) else 0.0
    return {**found, "size": (value, {**grads, "b": bad})}


def detached(p: Point) -> Terms:
    """Return components that have forgotten a parameter, in value and gradient."""
    found = honest(p)
    value, grads = found["size"]
    value -= 0.5 * float(np.sum(p["s"] ** 2))
    return {
        "fit": (found["fit"][0], {**found["fit"][1], "s": None}),
        "size": (value, {**grads, "s": None}),
    }


def too_large(p: Point) -> Terms:
    """Return both components a hundred times too large."""
    return {
        k: (100 * v, {n: 100 * g for n, g in grads.items()}) for k, (v, grads) in honest(p).items()
    }


def fragile(p: Point) -> Terms:
    """Return a term that is flat at the point, steep a small step away, and right all along."""
    found = honest(p)
    value, grads = found["size"]
    away = 1e3 * (p["s"] - AT["s"])
    steep = np.maximum(np.abs(away) - 0.15, 0.0)
    value += 5e-2 * float(np.sum(steep**2))
    return {
        **found,
        "size": (value, {**grads, "s": grads["s"] + 1e2 * steep * np.sign(away)}),
    }


def drowned(p: Point) -> Terms:
    """Return components of which one is a thousand times too small."""
    found = honest(p)
    value, grads = found["size"]
    return {**found, "size": (1e-3 * value, {k: 1e-3 * g for k, g in grads.items()})}


def half_backward(p: Point) -> Terms:
    """Return a gradient of which one parameter misses a factor of two, its value untouched."""
    found = honest(p)
    value, grads = found["fit"]
    return {**found, "fit": (value, {**grads, "b": 0.5 * grads["b"]})}


def reweighted(p: Point) -> Terms:
    """Return right gradients of a loss whose second component weighs 1.001."""
    found = honest(p)
    value, grads = found["size"]
    return {**found, "size": (1.001 * value, {k: 1.001 * g for k, g in grads.items()})}


LIARS: dict[str, Callable[[Point], Terms]] = {
    "finite": nan_in_a_component,
    "reaches": detached,
    "norm": too_large,
    "perturb": fragile,
    "balance": drowned,
    "numeric": half_backward,
    "drift": reweighted,
}


def verdict(terms: Callable[[Point], Terms]) -> Verdict:
    """Return what every check says; all but the liar about drift are their own baseline."""
    made = of(terms)
    against = honest if terms is reweighted else terms
    baseline = None if terms is nan_in_a_component else record(of(against), LIMITS)
    return judged(made, LIMITS, baseline=baseline)


def test_there_is_a_liar_for_every_check() -> None:
    """No check may go without the objective that only it can catch."""
    assert tuple(LIARS) == CHECKS
    assert [c.name for c in LIMITS.checks] + ["drift"] == list(CHECKS)


def test_the_honest_objective_passes_every_check() -> None:
    """What the liars deviate from must be right in every respect."""
    found = verdict(honest)
    assert [r.check for r in found.results] == list(CHECKS)
    assert {r.outcome for r in found.results} == {"passed"}


@pytest.mark.parametrize("check", CHECKS)
def test_only_the_check_in_question_catches_its_liar(check: str) -> None:
    """The liar must fail the check that it lies to, and that one alone."""
    assert [r.check for r in verdict(LIARS[check]).failures] == [check]
