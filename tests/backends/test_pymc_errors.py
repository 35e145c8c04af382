from __future__ import annotations

import os
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from pytest_gradcheck import UsageError
from pytest_gradcheck.backends import objective
from pytest_gradcheck.errors import UsageTypeError
from tests.backends import pymc_models as models

if TYPE_CHECKING:
    from pathlib import Path


class BlackBox(Op):
    """Compute a sum of squares that nobody can differentiate."""

    def make_node(self, *inputs: Any) -> Apply:
        """Take a vector, return a scalar."""
        return Apply(self, [pt.as_tensor(inputs[0])], [pt.dscalar()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Compute it."""
        output_storage[0][0] = np.asarray((inputs[0] ** 2).sum())


def black_box() -> pm.Model:
    """Make a model with an Op that has no gradient, on one of its two variables."""
    with pm.Model() as model:
        x = pm.Normal("x", shape=2)
        mu = pm.Normal("mu")
        pm.Potential("box", mu - BlackBox()(x))
    return model


@pytest.mark.parametrize("option", ["loss", "value_and_grad", "data"])
def test_a_model_is_its_own_loss(option: str) -> None:
    """What a model has no use for must be refused, by name."""
    with pytest.raises(UsageTypeError, match=f"^{option} has no use with a PyMC model"):
        objective(models.eight_schools(), **{option: dict})  # type: ignore[arg-type]


def test_something_else_of_pymc_is_no_model() -> None:
    """What comes from PyMC and is no model must be named."""
    with pytest.raises(UsageTypeError, match=r"a pymc PointFunc; pass the pymc\.Model itself"):
        objective(models.potential().compile_logp(mode="FAST_COMPILE"))


def test_an_empty_model_has_nothing_to_differentiate() -> None:
    """A model without variables must be refused."""
    with pm.Model() as model:
        pass
    with pytest.raises(UsageError, match=r"'model' \(pymc\) has no variables: nothing to diff"):
        objective(model)


def test_an_observed_model_has_nothing_to_differentiate() -> None:
    """A model without a free variable must be refused."""
    with pm.Model() as model:
        pm.Normal("y", 0, 1, observed=1.0)
    with pytest.raises(UsageError, match="has only observed variables: nothing to differentiate"):
        objective(model)


def test_discrete_variables_are_named() -> None:
    """A discrete free variable must be named, with what can be done about it."""
    with pm.Model() as model:
        k = pm.Poisson("k", 3)
        z = pm.Bernoulli("z", 0.5)
        pm.Normal("x", k + z)
    expected = r"'mix' \(pymc\) has discrete free variables: k, z; .*pymc_extras.*pm\.observe"
    with pytest.raises(UsageError, match=expected):
        objective(model, name="mix")


@pytest.mark.filterwarnings("ignore::pymc.exceptions.ImputationWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_counts_that_are_missing_are_told_from_discrete_variables() -> None:
    """A NaN in counts makes PyMC add a variable that nobody wrote: the data must be named."""
    with pm.Model() as model:
        pm.Poisson("y", pm.math.exp(pm.Normal("mu")), observed=np.array([1.0, np.nan, 3.0]))
    expected = r"variables: y_unobserved; .*; the data of y have missing values \(NaN\)$"
    with pytest.raises(UsageError, match=expected):
        objective(model)


def test_a_discrete_model_has_nothing_to_differentiate() -> None:
    """A model of discrete variables alone must be told so."""
    with pm.Model() as model:
        pm.Poisson("k", 3)
    with pytest.raises(UsageError, match="variables: k, and nothing else to differentiate;"):
        objective(model)


def test_an_op_without_gradient_is_named() -> None:
    """The message must name the Op, the term it stands in and the parameters behind it."""
    with pytest.raises(UsageError) as caught:
        objective(black_box())
    text = str(caught.value)
    assert text.startswith("'model' (pymc): Op BlackBox has no gradient (in term 'box' for x);")
    assert "wrt=" in text


def test_an_op_without_gradient_can_be_left_out() -> None:
    """The other parameters can be differentiated, as the message promises."""
    target = objective(black_box(), wrt="mu")
    assert target.value_and_grad().components["box"].grads["mu"] is not None


def test_a_simulator_has_no_gradient() -> None:
    """A likelihood that is simulated must be named as what has no gradient."""
    with warnings.catch_warnings(), pm.Model() as model:
        warnings.simplefilter("ignore")  # PyMC 6 has not caught up with PyTensor 3 here
        mu = pm.Normal("mu")
        pm.Simulator("s", lambda rng, m, size: rng.normal(m, size=size), mu, observed=np.ones(3))
        with pytest.raises(UsageError, match=r"Op Simulator_s_rv\S* has no gradient \(in term 's'"):
            objective(model)


def test_a_distribution_of_pymc_may_have_no_gradient() -> None:
    """A prior whose density is a black box must be named like a user's own Op."""
    with pm.Model() as model:
        pm.PolyaGamma("w", 1.0, 0.0)
    with pytest.raises(
        UsageError, match=r"Op _PolyaGamma\S* has no gradient \(in term 'w' for w_log__"
    ):
        objective(model)


def test_a_float32_model_needs_its_flag() -> None:
    """A model built in float32 must be measured under the same flag, and the message says so."""
    with pytensor.config.change_flags(floatX="float32"), pm.Model() as model:
        pm.Normal("x", 1, 1)
    with pytest.raises(UsageError, match=r"not built with floatX='float64'.*\(x: float32\)"):
        objective(model)


def test_an_unknown_parameter_is_named() -> None:
    """A pattern that matches nothing must be answered with the nearest name."""
    with pytest.raises(UsageError, match=r"no parameter 'tau_log'; did you mean 'tau_log__'\?"):
        objective(models.eight_schools(), wrt="tau_log")


def test_a_density_that_pymc_cannot_write_down_is_its_own_error() -> None:
    """An error of PyMC's own must stay itself, with our context."""
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.CustomDist("y", x, random=lambda mu, rng, size: mu, observed=np.ones(2))
    with pytest.raises(NotImplementedError) as caught:
        objective(model)
    assert "while compiling the log-density of 'model' (pymc)" in caught.value.__notes__


def test_an_installation_that_does_not_fit_is_one_line(tmp_path: Path) -> None:
    """A PyMC that cannot be imported must be reported with what usually helps."""
    (tmp_path / "pymc.py").write_text("raise AttributeError('arviz has no InferenceData')\n")
    code = """
from pytest_gradcheck import MissingExtraError
from pytest_gradcheck.backends import objective
Model = type("Model", (), {"__module__": "pymc.model.core"})
try:
    objective(Model())
except MissingExtraError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert "pymc does not import here (AttributeError: arviz has no Inf" in result.stdout
    assert "PyMC 5 needs arviz<1" in result.stdout
