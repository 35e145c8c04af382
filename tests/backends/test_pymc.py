from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from pytest_gradcheck import PrecisionError
from pytest_gradcheck.backends import objective
from pytest_gradcheck.moves import perturbed
from pytest_gradcheck.point import to_numpy
from tests.backends import pymc_models as models

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView, Objective


@functools.cache
def objective_of(make: Callable[[], pm.Model]) -> Objective:
    """Return the objective of a model, the same for all tests: evaluating leaves no trace."""
    return objective(make())


def flat(blocks: Mapping[str, ArrayView | None]) -> NDArray[np.float64]:
    """Return gradients as one vector; every block must be there."""
    return np.concatenate([to_numpy(view).ravel() for view in blocks.values() if view is not None])


def numeric(target: Objective, point: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the gradient by central differences, element by element."""
    step = 1e-5
    slopes = []
    for name, start in point.items():
        values = np.array(start)
        for index in np.ndindex(values.shape):
            sides = []
            for sign in (1, -1):
                moved = values.copy()
                moved[index] += sign * step
                sides.append(target.value({**point, name: moved}))
            slopes.append((sides[0] - sides[1]) / (2 * step))
    return np.array(slopes)


@pytest.mark.parametrize("make", models.DIFFERENTIABLE)
def test_the_gradient_is_the_numeric_one(make: Callable[[], pm.Model]) -> None:
    """Value and gradient must belong together, at a point away from all symmetries."""
    target = objective_of(make)
    point = perturbed(target, scale=0.1, seed=1)
    actual = flat(target.value_and_grad(point).grads)
    np.testing.assert_allclose(actual, numeric(target, point), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("make", models.DIFFERENTIABLE)
def test_the_value_is_the_models_own(make: Callable[[], pm.Model]) -> None:
    """The value must be what PyMC computes in a mode of its own."""
    target = objective_of(make)
    start = {name: to_numpy(view) for name, view in target.point.items()}
    own = make().compile_logp(mode="FAST_COMPILE")(start)
    assert target.value() == pytest.approx(float(own), rel=1e-12)


@pytest.mark.parametrize("make", models.DIFFERENTIABLE)
def test_the_components_add_up(make: Callable[[], pm.Model]) -> None:
    """The terms of the log-density must sum to it, in value and in gradient."""
    target = objective_of(make)
    point = perturbed(target, scale=0.1, seed=2)
    whole = target.value_and_grad(point)
    assert sum(c.value for c in whole.components.values()) == pytest.approx(whole.value)
    for name, grad in whole.grads.items():
        parts = [c.grads[name] for c in whole.components.values()]
        total = sum(to_numpy(part) for part in parts if part is not None)
        assert grad is not None
        np.testing.assert_allclose(total, to_numpy(grad), rtol=1e-9, atol=1e-10)


def test_parameters_are_the_value_variables_in_order() -> None:
    """A model is seen on its unconstrained space, by the names PyMC gives there."""
    target = objective(models.eight_schools())
    shapes = {name: view.shape for name, view in target.point.items()}
    assert shapes == {"mu": (), "tau_log__": (), "theta": (8,)}
    assert list(target.value_and_grad().grads) == list(shapes)


def test_an_objective_says_what_it_is() -> None:
    """Reports and checks must learn what they need to know of a model."""
    target = objective(models.eight_schools(), name="schools")
    assert (target.name, target.backend, target.device) == ("schools", "pymc", "cpu")
    assert (target.sense, target.stores_point, target.min_scale) == ("logp", True, 1.0)
    assert target.packages == {"pymc": pm.__version__, "pytensor": pytensor.__version__}
    assert target.facts == {
        "dimensions": 10,
        "terms": 4,
        "mode": "fast",
        "floatX": "float64",
        "observed": "y: 8",
    }


def test_a_model_goes_by_its_own_name() -> None:
    """A named model needs no other name."""
    with pm.Model(name="root") as model:
        pm.Normal("a")
    target = objective(model)
    assert (target.name, list(target.point)) == ("root", ["root::a"])


def test_terms_depend_on_what_they_depend_on() -> None:
    """A term's gradient must be absent, not zero, where the term does not know a parameter."""
    components = objective(models.potential()).value_and_grad().components
    assert list(components) == ["a", "b", "pull"]
    absent = {name: [k for k, g in c.grads.items() if g is None] for name, c in components.items()}
    assert absent == {"a": ["b"], "b": ["a"], "pull": ["b"]}
    pull = components["pull"].grads["a"]
    assert pull is not None
    assert to_numpy(pull).tolist() == [3.0, 3.0]


def test_components_can_be_left_out() -> None:
    """Who does not ask for components must not pay for them."""
    assert objective(models.potential()).value_and_grad(components=False).components == {}


def test_a_point_may_name_some_parameters() -> None:
    """What a point leaves out, or gives as nothing, must keep its initial value."""
    target = objective(models.potential())
    moved = target.value({"b": np.array(2.0), "a": None})
    assert moved == pytest.approx(target.value() - 0.125)


def test_the_same_point_gives_the_same_bits() -> None:
    """Evaluating must be a pure function of the point and leave the global generators alone."""
    before = str(np.random.get_state()), random.getstate()  # noqa: NPY002 - this one is global
    target = objective(models.gaussian_process())
    first, second = target.value_and_grad(), target.value_and_grad()
    assert (first.value, flat(first.grads).tolist()) == (second.value, flat(second.grads).tolist())
    after = str(np.random.get_state()), random.getstate()  # noqa: NPY002 - this one is global
    assert after == before


def test_nobody_writes_to_the_arrays_of_an_objective() -> None:
    """The initial point and the gradients must be read-only."""
    target = objective(models.eight_schools())
    arrays = [target.point["theta"], target.value_and_grad().grads["theta"]]
    assert [view.array.flags.writeable for view in arrays] == [False, False]  # type: ignore[union-attr]


def test_data_exchanged_between_calls_is_seen() -> None:
    """New values in `pm.Data` must change the very next evaluation."""
    model = models.data()
    target = objective(model)
    before = target.value()
    with model:
        pm.set_data({"y_values": np.zeros(3)})
    assert target.value() == pytest.approx(before + 1.5)


def test_data_of_another_size_make_another_model() -> None:
    """A model whose parameters changed shape must be compiled for the new shapes."""
    model = models.data()
    objective(model)
    with model:
        pm.set_data({"x": np.arange(4.0), "y_values": np.ones(4)})
    assert objective(model).value_and_grad().grads["slope"].shape == (4,)  # type: ignore[union-attr]


def test_a_missing_observation_is_a_parameter() -> None:
    """An imputed value must be a parameter, and the facts must say where it comes from."""
    target = objective(models.imputed())
    assert list(target.point) == ["mu", "y_unobserved"]
    assert target.facts["imputed"] == "y_unobserved"
    assert target.facts["observed"] == "y_observed: 2"


@pytest.mark.parametrize(("start", "expected"), [(-1.0, "nan"), (0.0, "-inf")])
def test_a_density_that_is_not_finite_is_a_value(start: float, expected: str) -> None:
    """NaN and Inf must flow to the checks, with the term they come from."""
    with pm.Model() as model:
        x = pm.Normal("x", initval=start)
        pm.Normal("z")
        pm.Potential("root", pt.log(x))
    whole = objective(model).value_and_grad()
    assert str(whole.value) == expected
    assert str(whole.components["root"].value) == expected
    assert whole.components["x"].value == pytest.approx(-0.5 * start**2 - 0.9189385332)


def test_a_gradient_that_is_not_finite_is_a_gradient() -> None:
    """A NaN in the gradient of a finite density must reach the checks, and only where it is."""
    with pm.Model() as model:
        x = pm.Normal("x", shape=2)
        pm.Normal("z")
        pm.Normal("range", pt.sqrt((x**2).sum()), 1, observed=1.0)
    whole = objective(model).value_and_grad()
    assert np.isfinite(whole.value)
    bad = {
        name: {
            key: bool(np.isnan(to_numpy(g)).all()) for key, g in c.grads.items() if g is not None
        }
        for name, c in whole.components.items()
    }
    assert bad == {"x": {"x": False}, "z": {"z": False}, "range": {"x": True}}
    assert np.isnan(flat({"x": whole.grads["x"]})).all()
    assert flat({"z": whole.grads["z"]}).tolist() == [0.0]


def test_a_flat_variable_of_no_use_is_disconnected() -> None:
    """A variable that the density does not depend on must have no gradient, not a zero one."""
    with pm.Model() as model:
        pm.Flat("idle")
        pm.Normal("x")
    whole = objective(model).value_and_grad()
    assert whole.grads["idle"] is None
    assert whole.grads["x"] is not None


def test_wrt_holds_the_other_variables() -> None:
    """Parameters that are not asked for must stay at the initial point."""
    target = objective(models.eight_schools(), wrt="t*")
    assert list(target.point) == ["tau_log__", "theta"]
    assert target.facts["held"] == "mu"
    everything = objective(models.eight_schools()).value_and_grad()
    some = target.value_and_grad()
    assert some.value == everything.value
    np.testing.assert_array_equal(
        flat(some.grads), flat({k: everything.grads[k] for k in target.point})
    )
    np.testing.assert_allclose(
        flat({k: some.components["theta"].grads[k] for k in target.point}),
        flat({k: everything.components["theta"].grads[k] for k in target.point}),
    )


def test_draws_are_repeated() -> None:
    """A random density must have one value for a seed, and not move the model's generator."""
    model = models.minibatch()
    target, other = objective(model), objective(model, seed=1)
    generators = pm.pytensorf.find_rng_nodes([model.logp()])
    before = [generator.get_value().bit_generator.state for generator in generators]
    first, second = target.value_and_grad(), target.value_and_grad()
    assert first.value == second.value == target.value() != other.value()
    assert sum(c.value for c in first.components.values()) == pytest.approx(first.value)
    assert [generator.get_value().bit_generator.state for generator in generators] == before
    assert target.facts["stochastic"] is True
    assert target.structure["y"] == "Normal; observed; minibatch"


def test_a_drawn_initial_point_follows_the_seed() -> None:
    """Where PyMC draws the initial point, the same seed must draw the same one."""
    model = models.drawn()
    points = [to_numpy(objective(model, seed=seed).point["path"]).tolist() for seed in (0, 0, 1)]
    assert points[0] == points[1] != points[2]


def test_float64_is_the_native_precision() -> None:
    """A model in float64 is its own shadow."""
    target = objective(models.eight_schools())
    assert target.value(precision="float64") == target.value()


def test_a_float32_model_has_no_shadow() -> None:
    """A model in float32 must work, and must say why it cannot be evaluated in float64."""
    with pytensor.config.change_flags(floatX="float32"):
        with pm.Model() as model:
            pm.Normal("x", 1, 1)
        target = objective(model)
    assert target.facts["floatX"] == "float32"
    assert target.value_and_grad().grads["x"].dtype == "float32"  # type: ignore[union-attr]
    with pytest.raises(PrecisionError, match=r"compiled in float32; .*floatX = 'float64'"):
        target.value(precision="float64")


class Picky(Op):
    """Compute a sum of squares, but not of negative numbers."""

    def make_node(self, *inputs: Any) -> Apply:
        """Take a vector, return a scalar."""
        return Apply(self, [pt.as_tensor(inputs[0])], [pt.dscalar()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Compute it."""
        if (inputs[0] < 0).any():
            msg = "no roots of negative numbers"
            raise ArithmeticError(msg)
        output_storage[0][0] = np.asarray((inputs[0] ** 2).sum())

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Return the gradient, as PyTensor 3 asks for it."""
        return [2 * inputs[0] * cotangents[0]]

    L_op = pullback  # as PyTensor 2 asks for it


def test_an_error_of_the_model_comes_with_context() -> None:
    """An error raised while evaluating must stay itself and say in which model it arose."""
    with pm.Model() as model:
        x = pm.HalfNormal("x", shape=2)
        pm.Potential("picky", -Picky()(pt.log(x)))
    target = objective(model, name="roots")
    with pytest.raises(ArithmeticError, match="no roots") as caught:
        target.value({"x_log__": np.array([1.0, -1.0])})
    assert "while evaluating the log-density of 'roots' (pymc)" in caught.value.__notes__


@pytest.mark.skipif(not hasattr(pm.model.core, "FrozenModel"), reason="PyMC 6 freezes models")
def test_a_frozen_model_is_a_model() -> None:
    """A frozen model must give what the model gives, terms included, and stay usable."""
    from pymc.model.transform.optimization import freeze_model

    model = models.eight_schools()
    frozen = freeze_model(model)
    expected = objective(model).value_and_grad()
    for _ in range(2):
        actual = objective(frozen).value_and_grad()
        assert actual.value == pytest.approx(expected.value)
        assert set(actual.components) == set(expected.components)
    own = frozen.logp_dlogp_function(ravel_inputs=True, mode="FAST_COMPILE")
    start = np.concatenate([to_numpy(v).ravel() for v in objective(frozen).point.values()])
    assert float(own(start)[0]) == pytest.approx(expected.value)
