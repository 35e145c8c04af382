"""Small PyMC models for the tests of the PyMC backend, each with one feature of its own."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt

if TYPE_CHECKING:
    from collections.abc import Callable

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def eight_schools() -> pm.Model:
    """Make the model that everybody knows: scalars, a transform, named dimensions."""
    with pm.Model(coords={"school": list("ABCDEFGH")}) as model:
        mu = pm.Normal("mu", 0, 5)
        tau = pm.HalfCauchy("tau", 5)
        theta = pm.Normal("theta", mu, tau, dims="school")
        pm.Normal("y", theta, ERRORS, observed=EFFECTS, dims="school")
    return model


def hierarchy() -> pm.Model:
    """Make a regression with group effects, not centred, and a robust likelihood."""
    rng = np.random.default_rng(0)
    group = np.arange(12) % 3
    x = rng.normal(size=12)
    with pm.Model() as model:
        mean = pm.Normal("mean", 0, 1, shape=2)
        scale = pm.HalfNormal("scale", 1, shape=2)
        raw = pm.Normal("raw", 0, 1, shape=(3, 2))
        effect = mean + raw * scale
        nu = pm.Gamma("nu", 2, 0.1)
        eta = effect[group, 0] + effect[group, 1] * x
        pm.StudentT("y", nu=nu, mu=eta, sigma=1.5, observed=rng.normal(size=12))
    return model


def transforms() -> pm.Model:
    """Make a model with transforms that change the number of values."""
    with pm.Model() as model:
        weight = pm.Dirichlet("weight", np.array([1.0, 2.0, 3.0]))
        cut = pm.Normal(
            "cut",
            0,
            2,
            shape=3,
            initval=np.array([-1.0, 0.0, 1.0]),
            transform=pm.distributions.transforms.ordered,
        )
        rate = pm.Uniform("rate", 0, 2)
        pm.Normal("y", (weight * cut).sum() * rate, 1, observed=0.7)
    return model


def gaussian_process() -> pm.Model:
    """Make a marginal Gaussian process: a Cholesky factor and its gradient."""
    x = np.linspace(0, 1, 6)[:, None]
    with pm.Model() as model:
        length = pm.Gamma("length", 2, 1)
        height = pm.HalfNormal("height", 1)
        process = pm.gp.Marginal(cov_func=height**2 * pm.gp.cov.ExpQuad(1, length))
        process.marginal_likelihood("y", X=x, y=np.sin(5 * x[:, 0]), sigma=0.3)
    return model


def potential() -> pm.Model:
    """Make a model with a potential that depends on one of two variables."""
    with pm.Model() as model:
        a = pm.Normal("a", 0, 1, shape=2)
        pm.Normal("b", 1, 2)
        pm.Potential("pull", -((a - 3) ** 2).sum() * 0.5)
    return model


def custom() -> pm.Model:
    """Make a model with a log-density and a generator of the user's own."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        pm.CustomDist("c", mu, logp=_quartic, observed=np.array([0.5, 1.5]))
        pm.CustomDist("d", mu, dist=_wide)
    return model


def imputed() -> pm.Model:
    """Make a model with a missing observation, which becomes a parameter."""
    with warnings.catch_warnings(), pm.Model() as model:
        warnings.simplefilter("ignore")  # PyMC announces the imputation, which is wanted here
        mu = pm.Normal("mu", 0, 1)
        pm.Normal("y", mu, 1, observed=np.array([1.0, np.nan, 2.0]))
    return model


def data() -> pm.Model:
    """Make a regression on data that can be exchanged."""
    with pm.Model() as model:
        x = pm.Data("x", np.array([1.0, 2.0, 3.0]))
        y = pm.Data("y_values", np.array([1.0, 1.0, 1.0]))
        slope = pm.Normal("slope", 0, 1, shape=x.shape[0])
        pm.Normal("y", slope * x, 1, observed=y, shape=x.shape)
    return model


def loop(steps: int = 5) -> pm.Model:
    """Make a model with a loop of its own."""
    with pm.Model() as model:
        a = pm.Normal("a", 0, 1)
        series = scan(
            lambda value, last, slope: last * slope + value,
            sequences=[pt.as_tensor(np.linspace(0, 1, steps))],
            outputs_info=[pt.zeros(())],
            non_sequences=[a],
        )
        pm.Potential("path", -(series**2).sum())
    return model


def minibatch() -> pm.Model:
    """Make a model that draws a part of its data in each evaluation."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        batch = pm.Minibatch(np.arange(100.0), batch_size=5)
        pm.Normal("y", x, 1, observed=batch, total_size=100)
    return model


def drawn() -> pm.Model:
    """Make a model whose initial point is drawn: the distribution has no typical value."""
    with pm.Model() as model:
        pm.EulerMaruyama(
            "path",
            dt=0.1,
            sde_fn=_pull_back,
            sde_pars=(1.0,),
            init_dist=pm.Normal.dist(),
            steps=3,
        )
    return model


DIFFERENTIABLE = (
    eight_schools,
    hierarchy,
    transforms,
    gaussian_process,
    potential,
    custom,
    imputed,
    data,
    loop,
    drawn,
)


def scan(step: Callable[..., Any], **options: Any) -> Any:
    """Return the series that a loop makes; earlier versions return updates beside it."""
    if "return_updates" in inspect.signature(pytensor.scan).parameters:
        return pytensor.scan(step, **options, return_updates=False)
    return pytensor.scan(step, **options)[0]


def _quartic(value: Any, mu: Any) -> Any:
    """Return a log-density with heavier shoulders than a normal one."""
    return -((value - mu) ** 4)


def _wide(mu: Any, size: Any) -> Any:
    """Return a wide normal distribution."""
    return pm.Normal.dist(mu, 2, size=size)


def _pull_back(x: Any, a: Any) -> tuple[Any, float]:
    """Return drift and diffusion of a process that returns to zero."""
    return -a * x, 1.0
