"""Where a number that is not finite arose in a model."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.explain import MAX_LINES, explain
from tests.backends import pymc_models as models
from tests.backends.pymc_faults import FAULTS, Fault, confident_coin, norm_at_zero


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(fault: Fault) -> None:
    """The message must name the term, the operation with its numbers, and the variable there."""
    verdict = check_gradients(fault.build(), at=fault.at or None, perturb=False)
    if not fault.expected() and verdict.measurement.finite:
        pytest.skip(f"PyMC {pm.__version__} does not have this fault")
    (origin, *others) = verdict.measurement.origins
    assert origin.term == fault.term
    assert all(part in origin.operation for part in fault.operation), origin
    assert fault.variable in " ".join(origin.values), origin
    assert np.isfinite(verdict.measurement.value) != fault.value
    assert len(others) <= 2
    story = explain(verdict)
    text = "\n".join(story)
    assert all(part in text for part in fault.said), text
    assert len(story) <= MAX_LINES
    assert max(map(len, story)) <= 100, text
    assert "Elemwise" not in text


def test_the_whole_story_reads_well() -> None:
    """A gradient that is not finite must be told from operation to element, in that order."""
    verdict = check_gradients(norm_at_zero(), perturb=False)
    assert explain(verdict)[1:-1] == [
        "  finite [component range]  value -1.41894, gradient not finite in x",
        "  finite [x]                3 / 3 NaN at [0], [1], [2]",
        "  finite [arose in range]   0.5 / 0 = inf",
        "      in a derivative, ... / sqrt(sum(x ** 2)), of Normal 'range'",
        "      with x[0] (axis=east) = 0",
        "      spoils the gradient of x",
        "      an infinite derivative meets a factor of 0: 0 * inf = nan",
    ]


def test_a_hole_in_the_data_is_no_infinite_derivative() -> None:
    """What a NaN spoils where a factor is zero must not be told as the story of an infinity."""
    origins = check_gradients(
        FAULTS["NaN in a covariate"].build(), perturb=False
    ).measurement.origins
    assert [origin.note for origin in origins] == [""]


def test_a_perturbed_point_has_a_story_too() -> None:
    """Where only a perturbed point is not finite, its row must say where that arose, once."""
    with pm.Model() as model:
        x = pm.Normal("x", 1, 1, shape=2)
        pm.Potential("pull", pm.math.log(x).sum())
    verdict = check_gradients(model, perturb=1.0, samples=12)
    result = verdict.result("perturb")
    assert result is not None
    told = [f for f in result.findings if "arose" in f.subject]
    bad = [s.label for s in verdict.measurement.samples if not s.finite]
    assert len(bad) > 1
    assert [f.subject for f in told] == [f"{bad[0]} arose in pull"]
    assert told[0].text.startswith("log(-")
    assert "with x[" in told[0].text


def test_an_innocent_term_is_not_blamed() -> None:
    """A parameter that two terms share must be explained by the one that is at fault alone."""
    origins = check_gradients(norm_at_zero()).measurement.origins
    assert {origin.term for origin in origins} == {"range"}


@pytest.mark.parametrize("build", models.DIFFERENTIABLE, ids=lambda f: f.__name__)
def test_a_healthy_model_has_no_origins(build: object) -> None:
    """Harmless infinities inside of a graph must never be blamed."""
    verdict = check_gradients(build(), perturb=False, allow_zero="*")  # type: ignore[operator]
    target = verdict.measurement
    assert target.finite
    assert target.origins == ()


def test_parameters_held_in_place_are_inputs_too() -> None:
    """With wrt= the other variables keep their values while the cause is looked for."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        pm.Normal("z", 0, 1, initval=-2.0)
        pm.Potential("both", x + pm.math.log(model["z"]))
    (origin,) = check_gradients(model, wrt="x", perturb=False).measurement.origins
    assert origin.operation == "log(-2) = nan"


def test_data_may_be_shared() -> None:
    """Rows of exchangeable data must be named like fixed ones."""
    with pm.Model() as model:
        y = pm.Data("y_values", np.array([1.0, -1.0]))
        b = pm.Normal("b")
        pm.Exponential("y", pm.math.exp(b), observed=y)
    (origin,) = check_gradients(model, perturb=False).measurement.origins
    assert "y[1] = -1" in origin.rows


def test_the_model_is_evaluated_as_before() -> None:
    """Looking for the cause must not change what is measured next."""
    model = confident_coin()
    first = check_gradients(model, perturb=False).measurement
    check_gradients(model, at={"x": [0.0, 38.0, 0.0]}, perturb=False)
    again = check_gradients(model, perturb=False).measurement
    assert again.native == first.native
