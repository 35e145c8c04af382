"""Models of many kinds: right, finite around their start, repeatable, and without a warning."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import pymc as pm
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.errors import UsageTypeError
from tests.backends import pymc_models as models
from tests.backends.pymc_gallery import GALLERY

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("build", GALLERY, ids=lambda build: build.__name__)
def test_a_model_of_the_gallery_passes(build: Callable[[], pm.Model]) -> None:
    """The gradient must agree with differences, have its terms, and warn of nothing."""
    verdict = check_gradients(build(), numeric=True, samples=2, allow_zero="*")
    measurement = verdict.measurement
    assert verdict.passed, verdict.failures
    assert measurement.origins == ()
    random = measurement.facts.get("stochastic", False)
    assert [warning.subject for warning in verdict.warnings] == (["logp"] if random else [])
    terms = sum(component.value for component in measurement.native.components)
    assert terms == pytest.approx(measurement.value, rel=1e-9)


def test_a_model_may_be_held_by_another_object() -> None:
    """What holds its model as ``.backend.model``, as Bambi's do, must be taken for it."""
    model = models.eight_schools()
    holder = types.SimpleNamespace(backend=types.SimpleNamespace(model=model))
    own = check_gradients(model).measurement
    assert check_gradients(holder).measurement.native == own.native


def test_a_holder_without_a_model_is_refused() -> None:
    """An object whose backend holds nothing must be named as what it is."""
    with pytest.raises(UsageTypeError, match=r"cannot take gradients of types\.SimpleNamespace"):
        check_gradients(types.SimpleNamespace(backend=types.SimpleNamespace(model=None)))


def test_a_model_of_bambi_passes() -> None:
    """A regression written as a formula must be measured like its model."""
    bambi = pytest.importorskip("bambi", reason="Bambi is not installed: nothing was tested")
    pandas = pytest.importorskip("pandas")
    data = pandas.DataFrame({"x": [0.1, 0.4, -0.3, 0.9], "y": [1.0, 0.3, 0.2, 1.1]})
    model: Any = bambi.Model("y ~ x", data)
    model.build()
    assert check_gradients(model, numeric=True).passed


def test_a_model_marginalised_by_pymc_extras_passes() -> None:
    """A discrete variable that is summed out must leave a model that can be measured."""
    extras = pytest.importorskip(
        "pymc_extras", reason="pymc-extras is not installed: nothing was tested"
    )
    with pm.Model() as model:
        k = pm.Bernoulli("k", 0.5)
        mu = pm.Normal("mu", 0, 1)
        pm.Normal("y", mu + k, 1, observed=[0.1, 1.2])
    assert check_gradients(extras.marginalize(model, [k]), numeric=True).passed
