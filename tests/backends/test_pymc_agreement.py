"""What the fast mode calls finite is what the samplers' own function calls finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery

from pytest_gradcheck.backends import objective
from pytest_gradcheck.point import to_numpy
from tests.backends.pymc_faults import FAULTS, Fault
from tests.backends.pymc_gallery import GALLERY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_gradcheck.records import Objective

FAR = 800.0  # exp of it is no number


def sampling() -> Mode:
    """Return every rewrite of the default mode, fusion included, evaluated by Python."""
    return Mode("py", RewriteDatabaseQuery(include=["fast_run"], exclude=["inplace"]))


def finite(target: Objective, point: Mapping[str, object]) -> dict[str, list[bool]]:
    """Return which numbers are finite at a point: the value, under the empty name, and elements."""
    found = target.value_and_grad(
        {name: np.array(value) for name, value in point.items()}, components=False
    )
    patterns = {"": [bool(np.isfinite(found.value))]}
    for name, grad in found.grads.items():
        if grad is not None:
            patterns[name] = np.isfinite(to_numpy(grad)).ravel().tolist()
    return patterns


@pytest.mark.filterwarnings("ignore::scipy.integrate.ODEintWarning")  # far away a solver gives up
@pytest.mark.parametrize("build", GALLERY, ids=lambda build: build.__name__)
def test_the_gallery_is_finite_where_the_samplers_see_it(build: Callable[[], pm.Model]) -> None:
    """At the start, and far from it up and down, the same numbers must be finite."""
    model = build()
    fast, theirs = objective(model, mode="fast"), objective(model, mode=sampling())
    start = {name: to_numpy(view) for name, view in fast.point.items()}
    for step in (0.0, FAR, -FAR):
        point = {name: value + step for name, value in start.items()}
        assert finite(fast, point) == finite(theirs, point), step


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_for_the_samplers_too(fault: Fault) -> None:
    """No fault may be ours alone, and none be hidden."""
    model = fault.build()
    fast, theirs = objective(model, mode="fast"), objective(model, mode=sampling())
    assert finite(fast, fault.at) == finite(theirs, fault.at)


def test_the_compiled_default_agrees() -> None:
    """With C or Numba, as the samplers have it, no number may be finite that is not for us."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1, shape=3)
        scale = pm.HalfNormal("scale", 1)
        pm.Bernoulli("coin", logit_p=x, observed=[1, 0, 1])
        pm.Normal("range", pt.sqrt((x**2).sum()), scale, observed=1.0)
        pm.Potential("pull", pt.log(pt.abs(x[0] + 1)))
    fast, theirs = objective(model, mode="fast"), objective(model, mode="default")
    far = [{"x": [0.5, value, 0.5]} for value in (36.0, 37.0, 38.0, FAR, -38.0, -FAR)]
    narrow = [{"x": [0.5] * 3, "scale_log__": value} for value in (-300.0, -400.0, FAR)]
    points: list[dict[str, Any]] = [{}, *far, *narrow, {"x": [-1.0, 0.0, 0.0]}]
    for point in points:
        assert finite(fast, point) == finite(theirs, point), point
