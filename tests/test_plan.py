"""Plans: what a measurement costs unless somebody asks for more."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_gradcheck.plan import Directions, Perturbation, Plan


def test_a_plan_asks_for_the_point_alone() -> None:
    """By default nothing beyond the one gradient may be evaluated."""
    plan = Plan()
    assert (plan.perturbation, plan.directions, plan.shadow, plan.top) == (None, None, False, 20)


def test_the_defaults_are_those_of_the_manual() -> None:
    """Four points at a thousandth, three directions, seeds from zero."""
    assert Perturbation() == Perturbation(scale=1e-3, samples=4, seed=0)
    assert Directions() == Directions(count=3, seed=0, rtol=None, atol=None, exclude=())


def test_a_plan_cannot_be_changed() -> None:
    """A check must add to a plan by making a new one."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Plan().top = 3  # type: ignore[misc] # what is refused
