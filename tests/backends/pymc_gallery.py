"""Model shapes from the example galleries of PyMC's users, each as small as it can be."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pymc.ode import DifferentialEquation
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from tests.backends import pymc_models as models

__all__ = ["GALLERY"]

Y = np.array([0.3, -0.4, 1.2, 0.1])
COUNTS = np.array([0, 2, 0, 5])
TIMES = np.linspace(0.1, 1.0, 4)


class Cube(Op):
    """Compute cubes outside of PyTensor, with a gradient of its own."""

    def make_node(self, *inputs: Any) -> Apply:
        """Take a vector, return a vector."""
        value = pt.as_tensor(inputs[0])
        return Apply(self, [value], [value.type()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Compute the cubes."""
        output_storage[0][0] = np.asarray(inputs[0]) ** 3

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Return the gradient, as PyTensor 3 asks for it."""
        return [3 * inputs[0] ** 2 * cotangents[0]]

    L_op = pullback  # as PyTensor 2 asks for it


def censored() -> pm.Model:
    """Make lifetimes of which some are only known to be long."""
    with pm.Model() as model:
        rate = pm.Gamma("rate", 2, 1)
        life = pm.Weibull.dist(alpha=1.5, beta=rate)
        pm.Censored("y", life, lower=None, upper=1.0, observed=[0.2, 0.7, 1.0])
    return model


def truncated() -> pm.Model:
    """Make a mean of what lies above a threshold."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        pm.TruncatedNormal("y", mu, 1, lower=-1.0, observed=Y)
    return model


def mixture() -> pm.Model:
    """Make two clusters with ordered centres and weights on a simplex."""
    with pm.Model() as model:
        weight = pm.Dirichlet("weight", np.ones(2))
        centre = pm.Normal(
            "centre",
            0,
            1,
            shape=2,
            initval=np.array([-1.0, 1.0]),
            transform=pm.distributions.transforms.ordered,
        )
        pm.NormalMixture("y", weight, mu=centre, sigma=1.0, observed=Y)
    return model


def zero_inflated() -> pm.Model:
    """Make counts with too many zeros."""
    with pm.Model() as model:
        psi = pm.Beta("psi", 2, 2)
        mu = pm.Gamma("mu", 2, 1)
        pm.ZeroInflatedPoisson("y", psi, mu, observed=COUNTS)
    return model


def ordinal() -> pm.Model:
    """Make ordered answers with cut points."""
    with pm.Model() as model:
        eta = pm.Normal("eta", 0, 1)
        cuts = pm.Normal(
            "cuts",
            0,
            2,
            shape=2,
            initval=np.array([-1.0, 1.0]),
            transform=pm.distributions.transforms.ordered,
        )
        pm.OrderedLogistic("y", eta=eta, cutpoints=cuts, observed=[0, 1, 2])
    return model


def latent_process() -> pm.Model:
    """Make a latent Gaussian process."""
    with pm.Model() as model:
        length = pm.Gamma("length", 2, 1)
        process = pm.gp.Latent(cov_func=pm.gp.cov.ExpQuad(1, length))
        f = process.prior("f", X=TIMES[:, None])
        pm.Normal("y", f, 1, observed=Y)
    return model


def basis_process() -> pm.Model:
    """Make a Hilbert space approximation of a Gaussian process."""
    with pm.Model() as model:
        length = pm.Gamma("length", 2, 1)
        process = pm.gp.HSGP(m=[4], c=1.5, cov_func=pm.gp.cov.ExpQuad(1, length))
        f = process.prior("f", X=TIMES[:, None])
        pm.Normal("y", f, 1, observed=Y)
    return model


def correlated() -> pm.Model:
    """Make correlated slopes with a Cholesky factor as its own variable."""
    with pm.Model() as model:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chol, *_ = pm.LKJCholeskyCov(
                "chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0, shape=2), compute_corr=True
            )
        pm.MvNormal("y", np.zeros(2), chol=chol, observed=[[0.1, 0.2], [-0.3, 0.4]])
    return model


def random_walk() -> pm.Model:
    """Make a level that wanders."""
    with pm.Model() as model:
        sigma = pm.HalfNormal("sigma", 1)
        level = pm.GaussianRandomWalk("level", sigma=sigma, init_dist=pm.Normal.dist(0, 1), shape=4)
        pm.Normal("y", level, 1, observed=Y)
    return model


def autoregression() -> pm.Model:
    """Make a series that remembers its last value."""
    with pm.Model() as model:
        rho = pm.Normal("rho", 0, 0.5, shape=2)
        pm.AR("y", rho, sigma=1.0, constant=True, init_dist=pm.Normal.dist(0, 1), observed=Y)
    return model


def looped_states() -> pm.Model:
    """Make a hidden Markov model with a loop over time."""
    with pm.Model() as model:
        mu = pm.Normal("mu", [-1.0, 1.0], 1.0)
        stay = pm.Beta("stay", 4, 2)
        log_matrix = pt.log(pt.stack([pt.stack([stay, 1 - stay]), pt.stack([1 - stay, stay])]))
        emission = pm.logp(pm.Normal.dist(mu[None, :], 1.0), Y[:, None])
        forward = models.scan(
            lambda e, alpha, matrix: pt.logsumexp(alpha[:, None] + matrix, axis=0) + e,
            sequences=[emission[1:]],
            outputs_info=[emission[0]],
            non_sequences=[log_matrix],
        )
        pm.Potential("hmm", pt.logsumexp(forward[-1]))
    return model


def black_box() -> pm.Model:
    """Make a likelihood through an Op of the user's that has a gradient."""
    with pm.Model() as model:
        x = pm.Normal("x", 0.5, 1, shape=4)
        pm.Normal("y", Cube()(x), 1, observed=Y)
    return model


def differential_equation() -> pm.Model:
    """Make a concentration that decays, solved outside of PyTensor with its sensitivities."""
    with pytensor.config.change_flags(mode="FAST_COMPILE", cxx=""):  # the Op compiles its equation
        decay = DifferentialEquation(
            func=lambda y, _time, theta: -theta[0] * y[0],
            times=np.linspace(0.5, 2.0, 4),
            n_states=1,
            n_theta=1,
            t0=0,
        )
        with pm.Model() as model:
            rate = pm.LogNormal("rate", 0, 0.5)
            start = pm.Normal("start", 2, 1)
            path = decay(y0=[start], theta=[rate])
            pm.Normal("y", path[:, 0], 0.1, observed=[1.2, 0.7, 0.4, 0.3])
    return model


def nested() -> pm.Model:
    """Make a model within a model."""
    with pm.Model(name="root") as model:
        mu = pm.Normal("mu", 0, 1)
        with pm.Model(name="sub"):
            pm.Normal("b", mu, 1)
        pm.Normal("y", mu, 1, observed=Y)
    return model


def robust() -> pm.Model:
    """Make a logistic regression with data that can be exchanged."""
    with pm.Model(coords={"row": list("abcd")}) as model:
        x = pm.Data("x", Y, dims="row")
        slope = pm.StudentT("slope", nu=4, mu=0, sigma=1)
        pm.Bernoulli("y", logit_p=slope * x, observed=[0, 1, 1, 0], dims="row")
    return model


GALLERY = (
    models.eight_schools,
    models.hierarchy,
    models.transforms,
    models.gaussian_process,
    models.custom,
    models.imputed,
    models.minibatch,
    censored,
    truncated,
    mixture,
    zero_inflated,
    ordinal,
    latent_process,
    basis_process,
    correlated,
    random_walk,
    autoregression,
    looped_states,
    black_box,
    differential_equation,
    nested,
    robust,
)
