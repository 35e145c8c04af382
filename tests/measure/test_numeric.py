"""Finite differences: quiet on right gradients, loud on wrong ones, cheap on both."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_gradcheck.errors import PrecisionError, UsageError
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Directions, Plan
from pytest_gradcheck.records import DirectionalDerivative, Measurement, Objective
from tests.gradients import KINKED, RIGHT, Array, Case, noise, spoiled
from tests.objectives import Arrays, Counted, Function, half_square, of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

SMOOTH = {case.name: case for case in RIGHT}
DTYPES = ["float64", "float32"]
PARAMETERS = [(case, name) for case in RIGHT for name in case.point]


def checked(objective: Objective, **options: Any) -> Measurement:
    """Return the measurement with directional derivatives."""
    return measure(objective, Plan(directions=Directions(**options), shadow=False))


def wrong(measurement: Measurement) -> list[tuple[str, ...]]:
    """Return the groups of parameters that disagree."""
    return [d.parameters for d in measurement.directional if not d.agrees]


def native_only(objective: Objective) -> Objective:
    """Return an objective that has no float64."""

    def narrow(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(point: object = None, **options: Any) -> Any:
            if options.get("precision") == "float64":
                msg = "a kernel of its own knows float32 only"
                raise PrecisionError(msg)
            return function(point, **options)

        return call

    return dataclasses.replace(
        objective,
        value_and_grad=narrow(objective.value_and_grad),
        value=narrow(objective.value),
    )


def times(factor: float) -> Callable[[Array], Array]:
    """Return what multiplies an array in its own precision."""

    def change(array: Array) -> Array:
        scaled: Array = array * array.dtype.type(factor)
        return scaled

    return change


def blocks(count: int, bad: Mapping[int, float]) -> tuple[Function, dict[str, NDArray[Any]]]:
    """Return a sum of squares over many parameters, some of whose gradients are rescaled."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        value, grads = half_square(p)
        return value, {k: bad.get(i, 1.0) * g for i, (k, g) in enumerate(grads.items())}

    return function, {f"p{i}": noise(3, seed=i) for i in range(count)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [*RIGHT, *KINKED], ids=lambda case: case.name)
def test_a_right_gradient_raises_no_alarm(case: Case, dtype: str) -> None:
    """No direction may ever disagree where the gradient is right, kinks and offsets included."""
    for seed in range(0, 30, 3):
        assert wrong(checked(case.objective(dtype), seed=seed)) == []


@pytest.mark.parametrize("case", [*RIGHT, *KINKED], ids=lambda case: case.name)
def test_a_right_gradient_raises_no_alarm_where_there_is_no_float64(case: Case) -> None:
    """In float32 alone the tolerance must be as wide as float32 needs."""
    for seed in range(0, 30, 3):
        found = checked(native_only(case.objective("float32")), seed=seed)
        assert wrong(found) == []
        assert {d.precision for d in found.directional} <= {"native"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("case", "name"), PARAMETERS, ids=[f"{c.name}-{n}" for c, n in PARAMETERS])
def test_an_error_of_a_thousandth_is_caught_and_located(case: Case, name: str, dtype: str) -> None:
    """A gradient wrong by 0.1 % in one parameter must fail, and bisection end at that parameter."""
    function = spoiled(case.function, name, times(1.001))
    assert wrong(checked(case.objective(dtype, function)))[-1] == (name,)


@pytest.mark.parametrize("name", ["w1", "w2"])
@pytest.mark.parametrize(
    "change", [times(-1.0), times(0.0), lambda g: g[::-1]], ids=["sign", "zero", "rows"]
)
def test_gross_faults_are_caught_without_float64(
    name: str, change: Callable[[Array], Array]
) -> None:
    """Where there is only float32 a wrong sign, a lost term and turned rows must still show."""
    case = SMOOTH["tanh network"]
    found = checked(native_only(case.objective("float32", spoiled(case.function, name, change))))
    assert wrong(found)[-1] == (name,)


def test_one_wrong_element_is_caught() -> None:
    """A single element of a matrix that is zeroed must not hide among the others."""
    case = SMOOTH["tanh network"]

    def without(grad: Array) -> Array:
        grad = grad.copy()
        grad[2, 1] = 0.0
        return grad

    assert wrong(checked(case.objective("float64", spoiled(case.function, "w1", without))))


def test_a_native_gradient_far_from_float64_is_caught() -> None:
    """A kernel that is right in float64 and wrong in float32 must fail by its float32 gradient."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        value, grads = half_square(p)
        factor = 1.0 if p["w"].dtype == np.float64 else 1.2
        return value, {k: (factor * g).astype(g.dtype) for k, g in grads.items()}

    found = checked(of(function, {"w": noise(4).astype("float32")}))
    assert wrong(found)[0] == ("w",)
    assert found.directional[0].analytic == pytest.approx(1.2 * found.directional[0].numeric)


def test_the_rounding_of_a_native_gradient_is_no_fault() -> None:
    """A float32 gradient may differ from the float64 one by far more than finite differences do."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        value, grads = half_square(p)
        factor = 1.0 if p["w"].dtype == np.float64 else 1.01
        return value, {k: (factor * g).astype(g.dtype) for k, g in grads.items()}

    found = checked(of(function, {"w": noise(4).astype("float32")}))
    assert wrong(found) == []
    assert found.directional[0].analytic == pytest.approx(1.01 * found.directional[0].numeric)


@pytest.mark.parametrize("bad", [0, 13, 31])
def test_bisection_names_the_wrong_one_of_many(bad: int) -> None:
    """Of 32 parameters the one that is wrong must be the smallest group that disagrees."""
    function, point = blocks(32, {bad: 1.01})
    assert wrong(checked(of(function, point)))[-1] == (f"p{bad}",)


def test_bisection_names_several_wrong_ones() -> None:
    """Two wrong parameters must both be named, and nothing beside them."""
    function, point = blocks(16, {3: 1.01, 12: -1.0})
    found = wrong(checked(of(function, point)))
    assert {group for group in found if len(group) == 1} == {("p3",), ("p12",)}


def test_success_costs_six_values_for_each_direction() -> None:
    """A right gradient must cost two gradients, and two values for each of three steps."""
    counted = Counted(half_square)
    checked(of(counted, {f"p{i}": noise(2, seed=i) for i in range(50)}), count=3)
    assert counted.calls == 2 + 3 * 6


@pytest.mark.parametrize(("bad", "most"), [(1, 150), (64, 500)])
def test_failure_costs_a_bounded_number_of_evaluations(bad: int, most: int) -> None:
    """However many of 64 parameters are wrong, the search must end within its budget."""
    function, point = blocks(64, dict.fromkeys(range(bad), 1.01))
    counted = Counted(function)
    assert wrong(checked(of(counted, point)))
    assert counted.calls <= most


def test_a_kink_is_noted_and_the_derivatives_compared_nearby() -> None:
    """Where the derivatives agree nearby there must be a note instead of a failure."""

    def hinge(p: Arrays) -> tuple[float, Arrays]:
        return float(np.sum(np.maximum(p["w"], 0))), {"w": np.where(p["w"] > 0, 1.0, 0.0)}

    found = checked(of(hinge, {"w": np.array([0.0, 0.0, 1.0])}))
    assert wrong(found) == []
    assert len(found.directional) == 3
    assert found.notes == (
        "the derivatives disagree at the point and agree nearby: the point lies on a kink",
    )


def test_a_fault_stays_one_where_nothing_nearby_is_defined() -> None:
    """A disagreement must count though the loss ends within a small step of the point."""

    def edge(p: Arrays) -> tuple[float, Arrays]:
        with np.errstate(invalid="ignore"):
            return float(np.sum(np.sqrt(p["w"] - 0.9999))), {"w": np.full(2, 3.0)}

    found = checked(of(edge, {"w": np.array([1.0, 1.0])}))
    assert wrong(found)[0] == ("w",)


@pytest.mark.parametrize("name", ["a", "m", "r"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_kink_hides_no_fault_beside_it(name: str, dtype: str) -> None:
    """A gradient that is wrong nearby, too, must fail though the point is a kink or a tie."""
    case = KINKED[0]
    found = checked(case.objective(dtype, spoiled(case.function, name, times(1.5))))
    assert wrong(found)[-1] == (name,)


def test_what_a_tie_explains_is_looked_at_nearby() -> None:
    """Where one unit in the last place moves everything, agreement must cost a second look."""
    counted = Counted(KINKED[0].function)
    checked(of(counted, KINKED[0].point), count=1)
    assert counted.calls > 2 + 6


def test_a_value_that_ends_nearby_is_noted_and_not_blamed() -> None:
    """Where the loss is not finite a small step away no derivative may be made up."""

    def edge(p: Arrays) -> tuple[float, Arrays]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.sum(np.log(p["w"]))), {"w": 1.0 / p["w"]}

    found = checked(of(edge, {"w": np.array([1.0, 1e-9])}))
    assert found.directional == ()
    assert found.notes == (
        "the value is not finite a small step away: there is no numeric derivative",
    )


def test_a_value_that_ends_at_the_largest_step_is_still_compared() -> None:
    """Steps that stay inside must do where the largest one leads out of the domain."""

    def edge(p: Arrays) -> tuple[float, Arrays]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.sum(np.log(p["w"]))), {"w": 1.0 / p["w"]}

    found = checked(of(edge, {"w": np.array([1.0, 3e-5])}), count=1, seed=1)
    assert [d.agrees for d in found.directional] == [True]


def test_excluded_parameters_do_not_move() -> None:
    """A parameter behind a detach must be left out, and the others still compared."""
    case = SMOOTH["tanh network"]
    objective = case.objective("float64", spoiled(case.function, "w1", times(0.0)))
    assert wrong(checked(objective))
    found = checked(objective, exclude=("w1",))
    assert wrong(found) == []
    assert {d.parameters for d in found.directional} == {("b1", "w2", "b2")}


def test_a_pattern_that_excludes_nothing_is_refused() -> None:
    """A mistyped parameter must not be compared in silence."""
    with pytest.raises(UsageError, match=r"Numeric\(exclude=...\) names no parameter 'v.*'"):
        checked(of(half_square, {"w": noise(2)}), exclude=("v.*",))


def test_with_everything_excluded_nothing_is_compared() -> None:
    """No parameters must mean no directions."""
    counted = Counted(half_square)
    assert checked(of(counted, {"w": noise(2)}), exclude=("*",)).directional == ()
    assert counted.calls == 2


def test_a_gradient_that_is_not_finite_is_not_compared() -> None:
    """NaN must be left to the check that is about it."""
    found = checked(of(lambda p: (1.0, {"w": np.array([math.nan])}), {"w": [1.0]}))
    assert found.directional == ()


def test_a_disconnected_parameter_counts_as_zero() -> None:
    """A parameter without gradient must agree if the value ignores it, and fail if it does not."""

    def function(p: Arrays) -> tuple[float, Mapping[str, object]]:
        return float(np.sum(p["w"] ** 2)), {"w": 2 * p["w"], "unused": None}

    def detached(p: Arrays) -> tuple[float, Mapping[str, object]]:
        return float(np.sum(p["w"] ** 2 + p["unused"])), {"w": 2 * p["w"], "unused": None}

    point = {"w": noise(3), "unused": noise(3, seed=1)}
    assert wrong(checked(of(function, point))) == []
    assert wrong(checked(of(detached, point)))[-1] == ("unused",)


def test_tolerances_of_the_users_take_the_place_of_ours() -> None:
    """An error of a percent must pass where the user allows two."""
    case = SMOOTH["logistic"]
    objective = case.objective("float64", spoiled(case.function, "w", times(1.01)))
    assert wrong(checked(objective, rtol=1e-3, atol=0.0))
    assert wrong(checked(objective, rtol=2e-2, atol=0.0)) == []
    assert wrong(checked(objective, rtol=0.0, atol=1.0)) == []


def test_the_seed_names_the_directions() -> None:
    """Seeds must rise from the first one, and the same seed give the same numbers."""
    objective = SMOOTH["logistic"].objective()
    found = checked(objective, count=2, seed=5).directional
    assert [d.seed for d in found] == [5, 6]
    assert checked(objective, count=1, seed=6).directional == found[1:]


@pytest.mark.parametrize("case", [*RIGHT, *KINKED], ids=lambda case: case.name)
def test_a_function_of_float32_in_disguise_raises_no_alarm(case: Case) -> None:
    """What comes back in float32 must be compared as such though the parameters are float64."""

    def narrow(p: Arrays) -> tuple[Any, Arrays]:
        value, grads = case.function({k: v.astype("float32") for k, v in p.items()})
        return np.float32(value), {k: np.asarray(g, "float32") for k, g in grads.items()}

    for seed in range(0, 30, 3):
        assert wrong(checked(case.objective("float64", narrow), seed=seed)) == []


def test_no_float64_is_noted() -> None:
    """A check in native precision must say so and why."""
    found = checked(native_only(SMOOTH["logistic"].objective("float32")))
    assert found.notes == (
        "numeric check in native precision: a kernel of its own knows float32 only",
    )


def test_complex_parameters_are_compared_in_both_parts() -> None:
    """An error in the imaginary part alone must show."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        return float(np.sum(np.abs(p["z"]) ** 4)), {"z": 4 * np.abs(p["z"]) ** 2 * p["z"]}

    point = {"z": noise(3) + 1j * noise(3, seed=1)}
    assert wrong(checked(of(function, point))) == []
    assert wrong(checked(of(spoiled(function, "z", np.conj), point)))


def test_half_precision_parameters_are_compared_in_float64() -> None:
    """float16 parameters must not cost the check its sharpness where float64 can be had."""
    case = SMOOTH["logistic"]
    assert wrong(checked(case.objective("float16"))) == []
    assert wrong(checked(case.objective("float16", spoiled(case.function, "w", times(1.001)))))


def test_agreement_is_within_what_is_allowed() -> None:
    """A difference of exactly what is allowed must agree, a little more must not."""
    d = DirectionalDerivative(
        parameters=("w",),
        analytic=1.0,
        numeric=1.5,
        error=0.0,
        scale=1.0,
        allowed=0.5,
        precision="float64",
        seed=0,
    )
    assert d.agrees
    assert not dataclasses.replace(d, allowed=0.49).agrees
