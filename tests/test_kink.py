"""Gradients that jumped at a kink are told from those that drifted, and never pardoned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.api import judged
from pytest_gradcheck.checks.drift import recordable
from pytest_gradcheck.kink import DRAWS, on_a_kink
from pytest_gradcheck.limits import parse
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Plan
from tests.gradients import noise
from tests.objectives import Arrays, Counted, Function, of

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement, Objective

AT = np.array([1.0, 3.0, -2.0])


def switch(*, on: bool) -> Function:
    """Return a ramp that begins at exactly 1, where its gradient may be either of two."""

    def ramp(p: Arrays) -> tuple[float, Arrays]:
        w = p["w"]
        active = w >= 1 if on else w > 1
        return float(np.sum(np.maximum(w, 1))), {"w": active.astype(w.dtype)}

    return ramp


def made(function: Function, dtype: str = "float32") -> Objective:
    """Return the objective of a function at the kink."""
    return of(function, {"w": AT.astype(dtype)})


def baseline(function: Function, dtype: str = "float32") -> Measurement:
    """Return a baseline whose noise is not known, as of a run that saw no kink."""
    return recordable(measure(made(function, dtype)))


def test_a_jump_that_rounding_undoes_is_called_one() -> None:
    """Where a draw of rounding noise brings the old gradient back, its number must be told."""
    now = made(switch(on=False))
    (said,) = on_a_kink(now, measure(now), baseline(switch(on=True)), None)
    assert said.startswith("rounding noise brought the recorded gradient back in draw ")
    assert said.endswith("an activation on a kink, whose two gradients are both right?")


def test_a_kink_is_a_cause_and_no_excuse() -> None:
    """The drift must still fail, with the kink behind the other causes."""
    verdict = judged(made(switch(on=False)), parse(), baseline=baseline(switch(on=True)))
    (drift,) = verdict.failures
    assert drift.check == "drift"
    assert "an activation on a kink" in drift.diagnosis[-1]


def test_a_fault_is_no_kink() -> None:
    """What no rounding brings back must cost all draws and get no excuse."""

    def wrong(p: Arrays) -> tuple[float, Arrays]:
        value, grads = switch(on=True)(p)
        return value, {"w": -grads["w"]}

    counted = Counted(wrong)
    now = made(counted)
    measured = measure(now)
    counted.calls = 0
    assert on_a_kink(now, measured, baseline(switch(on=True)), None) == ()
    assert counted.calls == DRAWS


def test_in_float64_no_kink_is_looked_for() -> None:
    """One unit of float64 explains no jump that anyone will meet."""
    counted = Counted(switch(on=False))
    now = made(counted, "float64")
    measured = measure(now)
    counted.calls = 0
    assert on_a_kink(now, measured, baseline(switch(on=True), "float64"), None) == ()
    assert counted.calls == 0


def test_a_gradient_that_is_not_finite_lies_on_no_kink() -> None:
    """NaN must be left to the finding."""
    now = of(lambda _: (1.0, {"w": np.full(3, np.nan)}), {"w": AT.astype("float32")})
    assert on_a_kink(now, measure(now), baseline(switch(on=True)), None) == ()


def test_where_float64_alone_drifted_no_kink_is_looked_for() -> None:
    """A drift that float32 does not see must not be excused by the rounding of float32."""
    w = noise(20).astype("float32")

    def scaled(factor: float) -> Objective:
        def function(p: Arrays) -> tuple[float, Arrays]:
            return 1.0, {"w": p["w"] * p["w"].dtype.type(factor)}

        return of(function, {"w": w})

    both = Plan(shadow=True)
    was = measure(scaled(1.0), both)
    was = replace(
        was,
        allowances={"w": 1e-3, "[value]": 1e-3},
        shadow_allowances={"w": 1e-9, "[value]": 1e-9},
    )
    now = scaled(1 + 1e-6)
    assert on_a_kink(now, measure(now, both), was, None) == ()
