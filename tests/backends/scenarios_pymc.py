"""Scenarios of the PyMC backend: small models whose log-density is known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from pytest_gradcheck.backends import objective
from pytest_gradcheck.testing import Expected, Scenario

if TYPE_CHECKING:
    from pytest_gradcheck.records import Objective

Point = Mapping[str, NDArray[np.float64]]

HALF_LOG = 0.5 * np.log(2 * np.pi)


class Fuse(Op):
    """Pass a number on, or fail when it has blown."""

    def __init__(self) -> None:
        """Make a fuse that is whole."""
        self.blown = False

    def make_node(self, *inputs: Any) -> Apply:
        """Take a scalar, return a scalar."""
        value = pt.as_tensor(inputs[0])
        return Apply(self, [value], [value.type()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Pass the number on."""
        if self.blown:
            np.random.random(3)  # noqa: NPY002 - a stream that has to come back
            msg = "the user's own"
            raise ArithmeticError(msg)
        output_storage[0][0] = np.array(inputs[0])

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Pass the gradient on, as PyTensor 3 asks for it."""
        return [cotangents[0]]

    L_op = pullback  # as PyTensor 2 asks for it


def hierarchy() -> Scenario:
    """Return a matrix and a positive scale, joined by a potential."""
    fuse = Fuse()
    with pm.Model() as model:
        a = pm.Normal("a", 0, 1, shape=(2, 3))
        tau = pm.HalfNormal("tau", 1)
        pm.Potential("pull", -tau * fuse(a.sum()))

    def expected(point: Point) -> Expected:
        a, log_tau = point["a"], float(point["tau_log__"])
        tau, total = np.exp(log_tau), float(a.sum())
        return summed(
            {
                "a": Expected(
                    -0.5 * float((a**2).sum()) - a.size * HALF_LOG, {"a": -a, "tau_log__": None}
                ),
                "tau": Expected(
                    0.5 * np.log(2 / np.pi) - 0.5 * tau**2 + log_tau,
                    {"a": None, "tau_log__": np.array(1 - tau**2)},
                ),
                "pull": Expected(
                    -tau * total,
                    {"a": np.full(a.shape, -tau), "tau_log__": np.array(-tau * total)},
                ),
            }
        )

    return scenario("hierarchy", model, expected, fuse=fuse)


def observed() -> Scenario:
    """Return a normal mean beside a variable without elements and one that nothing depends on."""
    values = np.array([0.5, -1.0, 2.0])
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        pm.Normal("empty", 0, 1, shape=0)
        pm.Flat("idle", shape=2)
        pm.Normal("y", mu, 1, observed=values)

    def expected(point: Point) -> Expected:
        mu, absent = float(point["mu"]), {"mu": None, "empty": None, "idle": None}
        return summed(
            {
                "mu": Expected(-0.5 * mu**2 - HALF_LOG, {**absent, "mu": np.array(-mu)}),
                "empty": Expected(0.0, {**absent, "empty": np.zeros(0)}),
                "idle": Expected(0.0, absent),
                "y": Expected(
                    -0.5 * float(((values - mu) ** 2).sum()) - values.size * HALF_LOG,
                    {**absent, "mu": np.array((values - mu).sum())},
                ),
            }
        )

    return scenario("observed", model, expected)


def narrow() -> Scenario:
    """Return a model in float32."""
    with pytensor.config.change_flags(floatX="float32"), pm.Model() as model:
        pm.Normal("x", 1, 1, shape=3)

    def expected(point: Point) -> Expected:
        x = point["x"]
        value = -0.5 * float(((x - 1) ** 2).sum()) - 3 * HALF_LOG
        return summed({"x": Expected(value, {"x": 1 - x})})

    return scenario("float32", model, expected, floats="float32", rtol=1e-5)


def minibatch() -> Scenario:
    """Return a mean of observations of which each evaluation draws a few."""
    values = np.linspace(-1, 1, 50)
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        batch = pm.Minibatch(values, batch_size=5)
        pm.Normal("y", x, 1, observed=batch, total_size=50)

    def expected(point: Point) -> Expected:
        stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(0).spawn(1)[0]))
        drawn = values[stream.integers(0, 50, size=5)]
        x = float(point["x"])
        return summed(
            {
                "x": Expected(-0.5 * x**2 - HALF_LOG, {"x": np.array(-x)}),
                "y": Expected(
                    10 * (-0.5 * float(((drawn - x) ** 2).sum()) - 5 * HALF_LOG),
                    {"x": np.array(10 * (drawn - x).sum())},
                ),
            }
        )

    return scenario("minibatch", model, expected, stochastic=True)


def summed(terms: Mapping[str, Expected]) -> Expected:
    """Return the sum of terms, with the terms as components."""
    grads: dict[str, NDArray[Any] | None] = {}
    for name in next(iter(terms.values())).grads:
        parts = [g for term in terms.values() if (g := term.grads[name]) is not None]
        grads[name] = np.sum(parts, axis=0) if parts else None
    return Expected(sum(term.value for term in terms.values()), grads, terms)


def scenario(
    name: str,
    model: pm.Model,
    expected: Callable[[Point], Expected],
    *,
    fuse: Fuse | None = None,
    floats: str = "float64",
    rtol: float = 1e-9,
    stochastic: bool = False,
) -> Scenario:
    """Return a scenario over one model, compiled once for all laws."""

    def build(seed: int) -> Objective:
        if fuse is not None:
            fuse.blown = False
        with pytensor.config.change_flags(floatX=floats):
            return objective(model, seed=seed)

    def failing() -> Objective:
        made = build(0)
        assert fuse is not None
        fuse.blown = True
        return made

    return Scenario(
        name=name,
        build=build,
        expected=expected,
        state=lambda: picture(model),
        failing=None if fuse is None else failing,
        rtol=rtol,
        stochastic=stochastic,
    )


def picture(model: pm.Model) -> object:
    """Return what must be the same after an evaluation: variables, generators, settings."""
    generators = pm.pytensorf.find_rng_nodes([model.logp()])
    return (
        sorted((name, id(variable)) for name, variable in model.named_vars.items()),
        [(id(rv), id(value)) for rv, value in model.rvs_to_values.items()],
        [str(g.get_value(borrow=True).bit_generator.state) for g in generators],
        (pytensor.config.cxx, pytensor.config.floatX, pytensor.config.mode),
        pm.modelcontext(model) is model,
    )


SCENARIOS = (hierarchy(), observed(), narrow(), minibatch())
