"""The noise of a gradient, measured by moving what can round."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_gradcheck.checks.drift import compare
from pytest_gradcheck.limits import parse
from pytest_gradcheck.measure import measure
from pytest_gradcheck.measure.noise import measure_noise
from pytest_gradcheck.plan import Plan
from pytest_gradcheck.recording import record, recorded, sensitivity
from tests.gradients import RIGHT, Case, noise
from tests.objectives import Arrays, Counted, constant, given, half_square, of

if TYPE_CHECKING:
    from pytest_gradcheck.records import Evaluation, Objective

BOTH = Plan(shadow=True)
F64, F32 = 2.0**-52, 2.0**-23


def ill_conditioned(p: Arrays) -> tuple[float, Arrays]:
    """Return a wave so fast that its gradient is a million times noisier than float64."""
    return float(np.sum(np.sin(1e6 * p["w"]))) / 1e6, {"w": np.cos(1e6 * p["w"])}


def test_a_float64_model_has_one_tier() -> None:
    """The noise must be of float64 units, with no wide draws and no shadow."""
    objective = of(half_square, {"w": noise(20)})
    found = measure_noise(objective, measure(objective, BOTH))
    assert (found.native.eps, dict(found.native.wide), found.shadow) == (F64, {}, None)
    assert 0.1 * F64 < found.native.one["w"] / float(np.linalg.norm(noise(20))) < 2 * F64


def test_a_float32_model_has_two_tiers() -> None:
    """Native noise must be of float32 units, narrow and wide, the shadow's of float64 units."""
    w = noise(20).astype("float32")
    objective = of(half_square, {"w": w})
    found = measure_noise(objective, measure(objective, BOTH))
    assert found.shadow is not None
    assert (found.native.eps, found.shadow.eps) == (F32, F64)
    assert found.native.wide["w"] == pytest.approx(256 * found.native.one["w"], rel=0.9)
    assert found.shadow.one["w"] < 1e-6 * found.native.one["w"]


def test_half_precision_has_no_wide_draws() -> None:
    """256 units of float16 would leave the neighbourhood."""
    objective = of(half_square, {"w": noise(20).astype("float16")})
    found = measure_noise(objective, measure(objective, BOTH))
    assert (found.native.eps, dict(found.native.wide)) == (2.0**-10, {})


@pytest.mark.parametrize(("dtype", "most"), [("float64", 5), ("float32", 14)])
def test_the_noise_costs_a_bounded_number_of_gradients(dtype: str, most: int) -> None:
    """Recording must never cost more than the evaluations that are promised."""
    counted = Counted(half_square)
    objective = of(counted, {"w": noise(20).astype(dtype)})
    measured = measure(objective, BOTH)
    counted.calls = 0
    measure_noise(objective, measured)
    assert counted.calls <= most


def test_conditioning_shows() -> None:
    """A gradient that a unit in the last place moves far must be measured as noisy as it is."""
    objective = of(ill_conditioned, {"w": noise(20)})
    calm = of(half_square, {"w": noise(20)})
    noisy = measure_noise(objective, measure(objective)).native.one["w"]
    assert noisy > 1e4 * measure_noise(calm, measure(calm)).native.one["w"]


def test_values_and_components_have_their_noise() -> None:
    """Everything that is compared must be measured."""
    objective = constant({"w": [1.0]}, terms={"a": (1.0, {"w": [1.0]}), "b": (2.0, {"w": [0.0]})})
    found = measure_noise(objective, measure(objective)).native.one
    assert set(found) == {"w", "[value]", "[a value]", "[a norm]", "[b value]", "[b norm]"}


def test_what_does_not_repeat_is_noise() -> None:
    """A function that is never twice the same must be allowed the difference."""
    calls = iter(range(1000))

    def function(p: Arrays) -> tuple[float, Arrays]:
        return 1.0, {"w": p["w"] + 1e-3 * next(calls)}

    objective = of(function, {"w": np.ones(3)})
    found = measure_noise(objective, measure(objective)).native
    assert found.one["w"] >= 1e-3


def test_a_disconnected_parameter_has_no_noise() -> None:
    """Where there is no gradient there must be no distance."""
    objective = constant({"w": [1.0], "none": None})
    assert measure_noise(objective, measure(objective)).native.one["none"] == 0.0


def test_a_function_that_returns_float32_is_as_noisy_as_that() -> None:
    """Float64 arrays must not make float32 gradients sharp, nor give them a shadow."""

    def narrow(p: Arrays) -> tuple[Any, Arrays]:
        value, grads = half_square(p)
        return np.float32(value), {k: g.astype("float32") for k, g in grads.items()}

    objective = of(narrow, {"w": noise(20)})
    was = record(objective, parse())
    assert (was.shadow, was.native["w"].dtype) == (None, "float32")
    assert was.allowances["w"] > F32
    near = of(narrow, {"w": noise(20) * (1 + 1e-8)})
    moved = dataclasses.replace(measure(near), point=was.point)
    assert compare(moved, was).outcome == "passed"


def test_an_objective_that_watches_decides_the_unit() -> None:
    """A precision that only the backend sees must be believed, and passed on to its inputs."""
    made = of(half_square, {"w": noise(20)})
    asked: list[float] = []

    def watching(*args: Any, jitter: Any = None, **options: Any) -> Evaluation:
        asked.append(jitter.eps if jitter else -1.0)
        return dataclasses.replace(made.value_and_grad(*args, **options), eps=F32)

    objective: Objective = dataclasses.replace(made, value_and_grad=watching)
    found = measure_noise(objective, measure(objective)).native
    assert found.eps == F32
    assert asked == [-1.0, 0.0, *[F32] * 4, *[256 * F32] * 4]


def test_an_objective_that_watches_nothing_goes_by_its_parameters() -> None:
    """Without a watched precision the coarsest dtype of the parameters must count."""
    arrays = {"w": noise(4).astype("float32"), "v": noise(4)}
    made = of(half_square, arrays)

    def blind(*args: Any, **options: Any) -> Evaluation:
        return dataclasses.replace(made.value_and_grad(*args, **options), eps=None)

    objective = dataclasses.replace(made, value_and_grad=blind)
    found = measure_noise(objective, measure(objective, BOTH))
    assert found.shadow is not None
    assert (found.native.eps, found.shadow.eps) == (F32, F64)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_another_order_of_summation_is_no_drift(case: Case, dtype: str) -> None:
    """What another processor could do to real gradients must pass against their baselines."""
    objective = case.objective(dtype)
    was = recorded(objective, measure(objective, BOTH))
    assert compare(measure(objective, BOTH), was).outcome == "passed"
    eps = F64 if dtype == "float64" else F32
    for seed in range(5):
        rng = np.random.default_rng(seed)
        point = {
            k: v.astype(dtype) * (1 + eps * rng.uniform(-2, 2, v.shape))
            for k, v in case.point.items()
        }
        there = of(case.function, {k: v.astype(dtype) for k, v in point.items()}, name=case.name)
        now = dataclasses.replace(measure(there), point=was.point)
        assert compare(now, dataclasses.replace(was, shadow=None)).outcome == "passed"


def test_a_gradient_that_is_not_finite_is_not_recorded() -> None:
    """NaN must come back as it is, without allowances."""
    measured = given({"w": [np.nan]})
    assert recorded(constant({"w": [np.nan]}), measured) is measured


def test_the_record_of_a_plan_has_everything() -> None:
    """Recording at once must measure the points that the limits ask for, and the shadow."""
    objective = of(half_square, {"w": noise(20).astype("float32")})
    found = record(objective, parse(("the call", {"samples": 2})))
    assert len(found.samples) == 2
    assert found.shadow is not None
    assert set(found.allowances) == set(found.shadow_allowances) == {"w", "[value]"}


def test_the_sensitivity_is_the_widest_allowance() -> None:
    """The least that a test can see must be told with the parameter it holds for."""
    objective = of(half_square, {"w": noise(20).astype("float32"), "v": noise(9).astype("float32")})
    both = recorded(objective, measure(objective, BOTH))
    name = max(both.shadow_allowances, key=lambda k: both.shadow_allowances[k] * (k in "wv"))
    assert sensitivity(both) == (both.shadow_allowances[name], name)
    native = dataclasses.replace(both, shadow=None)
    assert sensitivity(native)[0] == max(native.allowances["w"], native.allowances["v"])


def test_what_is_numerically_zero_has_no_sensitivity() -> None:
    """A parameter that never alarms must not be the one that a test is blind for."""
    objective = constant({"w": [1.0], "b": [1e-9]})
    assert sensitivity(recorded(objective, measure(objective)))[1] == "w"
    zero = constant({"w": [0.0]})
    assert sensitivity(recorded(zero, measure(zero))) == (0.0, "")
