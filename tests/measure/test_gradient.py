"""Measuring: which evaluations, and what they are reduced to."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.errors import PrecisionError, UsageError
from pytest_gradcheck.measure import is_wide, measure, samples
from pytest_gradcheck.moves import perturbed
from pytest_gradcheck.plan import Directions, Perturbation, Plan
from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.records import Evaluation, Objective
from tests.gradients import noise
from tests.objectives import Arrays, Counted, bowl, given, half_square, of


def returning(grads: dict[str, Any]) -> Objective:
    """Return an objective whose backend hands over some gradients unchecked."""
    views = {k: None if g is None else NumpyView(np.asarray(g)) for k, g in grads.items()}
    return dataclasses.replace(
        bowl(a=[1.0, 2.0], b=[3.0]),
        value_and_grad=lambda *_, **__: Evaluation(value=0.0, grads=views),
    )


def test_the_point_alone_costs_one_gradient() -> None:
    """Without a plan there must be one evaluation."""
    counted = Counted(half_square)
    found = measure(of(counted, {"w": [3.0, 4.0]}))
    assert (counted.calls, found.norm, found.value) == (1, 5.0, 12.5)
    assert (found.samples, found.directional, found.shadow, found.notes) == ((), (), None, ())


def test_a_zero_beside_nan_is_not_level() -> None:
    """A term whose gradient is zero at the point and not finite around it must have a slope."""

    def value_and_grad(point: Arrays) -> tuple[Any, Any]:
        w = point["w"]
        steep = np.where(w == 0.0, 0.0, np.nan)
        return {"a": 0.0, "b": 0.0, "c": 1.0}, {
            "a": {"w": steep},
            "b": {"w": 0.0 * w},
            "c": {"w": np.ones_like(w)},
        }

    found = measure(of(value_and_grad, {"w": [0.0, 0.0]}), Plan(perturbation=Perturbation()))
    assert found.flat == ("b",)


def test_what_describes_the_objective_is_kept() -> None:
    """Name, backend, device, sense, seed, facts, structure and packages must be the objective's."""
    objective = dataclasses.replace(
        bowl(w=[1.0]), name="it", sense="logp", seed=7, facts={"a": 1}, structure={"b": "c"}
    )
    found = measure(objective)
    assert (found.objective, found.backend, found.device) == ("it", "arrays", "cpu")
    assert (found.sense, found.seed) == ("logp", 7)
    assert (found.facts, found.structure) == ({"a": 1}, {"b": "c"})
    assert found.packages == {"numpy": np.__version__}
    assert found.allowances == {}
    assert found.seconds > 0


@pytest.mark.parametrize("keeps", [True, False])
def test_the_point_is_stored_where_the_backend_asks_for_it(keeps: bool) -> None:  # noqa: FBT001 - a table
    """Values must be kept for backends that say so."""
    found = measure(dataclasses.replace(bowl(w=[1.0, 2.0]), stores_point=keeps))
    assert found.point.values == ((1.0, 2.0) if keeps else None)


def test_perturbed_points_are_reduced_to_samples() -> None:
    """Each sample must be the gradient at the point that its seed and scale name."""
    objective = bowl(a=noise(5), b=noise(3, seed=1))
    found = measure(objective, Plan(perturbation=Perturbation(scale=0.1, samples=2, seed=5)))
    assert [(s.label, s.seed, s.scale) for s in found.samples] == [
        ("perturbed 1e-01 #0", 5, 0.1),
        ("perturbed 1e-01 #1", 6, 0.1),
    ]
    for sample in found.samples:
        point = perturbed(objective, scale=0.1, seed=sample.seed)
        whole = np.concatenate([point["a"], point["b"]])
        home = np.concatenate([noise(5), noise(3, seed=1)])
        cosine = whole @ home / np.linalg.norm(whole) / np.linalg.norm(home)
        assert sample.norm == pytest.approx(float(np.linalg.norm(whole)))
        assert sample.value == pytest.approx(0.5 * sample.norm**2)
        assert sample.cosine == pytest.approx(float(cosine), abs=1e-12)
        assert (sample.finite, sample.dead, sample.nonfinite) == (True, (), ())


def test_each_sample_costs_one_gradient_without_components() -> None:
    """Perturbed points must not pay for the components, which nobody reads there."""
    asked: list[bool] = []
    objective = bowl(w=[1.0])

    def value_and_grad(point: Any = None, *, components: bool = True, **options: Any) -> Evaluation:
        asked.append(components)
        return objective.value_and_grad(point, components=components, **options)

    found = dataclasses.replace(objective, value_and_grad=value_and_grad)
    measure(found, Plan(perturbation=Perturbation(samples=3)))
    assert asked == [True, False, False, False]


def test_samples_say_what_is_wrong_with_them() -> None:
    """NaN, Inf and dead parameters must be told by name, and no cosine be made up."""

    def function(p: Arrays) -> tuple[float, dict[str, Any]]:
        away = p["w"][0] != 1.0
        bad = np.array([math.nan, math.inf]) if away else np.ones(2)
        return 1.0, {"w": bad, "zero": np.zeros(1), "none": None}

    objective = of(function, {"w": [1.0, 1.0], "zero": [1.0], "none": [1.0]})
    (sample,) = measure(objective, Plan(perturbation=Perturbation(samples=1))).samples
    assert (sample.nonfinite, sample.nans, sample.infs) == (("w",), 1, 1)
    assert (sample.dead, sample.finite, sample.norm) == (("zero", "none"), False, 0.0)
    assert math.isnan(sample.cosine)


def test_without_any_gradient_there_is_no_cosine() -> None:
    """Where every parameter is disconnected the cosine must be NaN."""
    found = given({"w": None}, plan=Plan(perturbation=Perturbation(samples=1)))
    assert math.isnan(found.samples[0].cosine)


def test_samples_can_be_had_later() -> None:
    """Asking for more points must give the same ones as asking at once."""
    objective = bowl(w=noise(4))
    wanted = Perturbation(samples=2, seed=3)
    found = measure(objective, Plan(perturbation=wanted))
    assert samples(objective, found.native, wanted) == found.samples


def test_directions_are_compared_on_demand() -> None:
    """The numeric comparison must run where it is planned, and only on a finite gradient."""
    plan = Plan(directions=Directions(count=2))
    assert len(measure(bowl(w=noise(3)), plan).directional) == 2
    assert given({"w": [math.nan]}, plan=plan).directional == ()


@pytest.mark.parametrize(("top", "count"), [(0, 0), (2, 2), (20, 3)])
def test_as_many_of_the_largest_elements_are_kept_as_asked_for(top: int, count: int) -> None:
    """The table of the largest elements must be as long as planned."""
    found = measure(bowl(w=[1.0, 2.0, 3.0]), Plan(top=top)).native
    assert len(found["w"].top) == max(count, min(top, 1))


@pytest.mark.parametrize(
    ("grads", "message"),
    [
        ({"a": [1.0, 2.0]}, r"returned gradients of \['a'\] for parameters \['a', 'b'\]"),
        ({"b": [1.0], "a": [1.0, 2.0]}, r"returned gradients of \['b', 'a'\]"),
        ({"a": [1.0, 2.0], "b": [[1.0]]}, r"gradient of 'b' has shape \(1, 1\), not \(1,\)"),
    ],
)
def test_a_backend_that_breaks_its_promise_is_told(grads: dict[str, Any], message: str) -> None:
    """Missing, disordered and misshapen gradients must be an error, not a wrong statistic."""
    with pytest.raises(UsageError, match=message):
        measure(returning(grads))


def test_a_disconnected_gradient_has_no_shape_to_check() -> None:
    """No gradient at all must be accepted for any parameter."""
    assert measure(returning({"a": [1.0, 2.0], "b": None})).native["b"].disconnected


# The shadow.


def test_a_float32_model_gets_a_shadow_on_demand() -> None:
    """The same gradient must be measured once more in float64, without its largest elements."""
    counted = Counted(half_square)
    found = measure(of(counted, {"w": np.ones(3, np.float32)}), Plan(shadow=True))
    assert counted.calls == 2
    assert found.shadow is not None
    assert (found.native["w"].dtype, found.shadow["w"].dtype) == ("float32", "float64")


def test_a_float64_model_is_its_own_shadow() -> None:
    """What computes in float64 must not be computed twice."""
    counted = Counted(half_square)
    found = measure(of(counted, {"w": np.ones(3)}), Plan(shadow=True))
    assert (counted.calls, found.shadow, found.notes) == (1, None, ())


def test_a_model_without_float64_says_what_is_lost() -> None:
    """Where no shadow is possible there must be a note with the reason."""
    objective = of(half_square, {"w": np.ones(3, np.float32)})

    def narrow(*args: Any, **options: Any) -> Evaluation:
        if options.get("precision") == "float64":
            msg = "a kernel of its own"
            raise PrecisionError(msg)
        return objective.value_and_grad(*args, **options)

    found = measure(dataclasses.replace(objective, value_and_grad=narrow), Plan(shadow=True))
    assert found.shadow is None
    assert found.notes == (
        "no float64 shadow, so drift below the noise of float32 is not seen: a kernel of its own",
    )


@pytest.mark.parametrize(
    ("dtypes", "wide"),
    [
        (("float64",), True),
        (("float64", "complex128"), True),
        (("float64", "float32"), False),
        (("complex64",), False),
    ],
)
def test_a_model_is_wide_if_every_parameter_is(dtypes: tuple[str, ...], wide: bool) -> None:  # noqa: FBT001 - a table
    """One parameter in float32 must be enough to need a shadow."""
    arrays = {dtype: np.ones(1, dtype) for dtype in dtypes}
    assert is_wide(of(half_square, arrays)) is wide
