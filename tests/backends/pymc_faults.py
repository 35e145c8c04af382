"""Models with one numerical fault each, and what a message about them has to name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from packaging.requirements import Requirement

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Hold a model that is not finite at a point.

    Attributes:
        build: makes the model.
        at: the point; the model's own where empty.
        term: in which the fault lies; empty for the point itself.
        operation: a part of the operation's text.
        variable: a parameter that must be named with its value.
        value: whether the log-density is not finite either.
        said: other text that must be there.
        versions: the versions of PyMC or PyTensor that are known to have the fault, as
            ``"pymc>=5.26,<5.28"``; every one where empty.
    """

    build: Callable[[], pm.Model]
    at: Mapping[str, Any] = field(default_factory=dict)
    term: str
    operation: tuple[str, ...]
    variable: str
    value: bool = False
    said: tuple[str, ...] = ()
    versions: str = ""

    def expected(self) -> bool:
        """Return whether the installed version is known to have the fault."""
        if not self.versions:
            return True
        requirement = Requirement(self.versions)
        return requirement.specifier.contains(version(requirement.name))


def norm_at_zero() -> pm.Model:
    """Make a distance from a beacon that starts where the beacon stands."""
    with pm.Model(coords={"axis": ["east", "north", "up"]}) as model:
        x = pm.Normal("x", 0, 1, dims="axis")
        pm.Normal("range", pt.sqrt(pt.sum(x**2)), 1, observed=1.0)
    return model


def confident_coin() -> pm.Model:
    """Make a logistic likelihood."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1, shape=3)
        pm.Bernoulli("y", logit_p=x, observed=[1, 0, 1])
    return model


def log_of_negative() -> pm.Model:
    """Make a potential that takes the logarithm of a coordinate."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1, shape=3)
        pm.Potential("pull", pt.log(x).sum())
    return model


def start_at_zero() -> pm.Model:
    """Make a scale that is told to start at zero, whose logarithm is none."""
    with pm.Model() as model:
        tau = pm.HalfNormal("tau", 1, initval=0.0)
        pm.Normal("y", 0, tau, observed=[1.0, 2.0])
    return model


def unit_vectors() -> pm.Model:
    """Make directions of vectors, one of which may have no length."""
    with pm.Model(coords={"bone": ["arm", "hand"]}) as model:
        raw = pm.Normal("raw", 0, 1, shape=(2, 3))
        unit = raw / pt.sqrt((raw**2).sum(axis=1, keepdims=True))
        pm.Normal("seen", unit[:, 0], 1, observed=[0.1, 0.2])
    return model


def growth() -> pm.Model:
    """Make a rate that grows exponentially."""
    with pm.Model() as model:
        a = pm.Normal("a", 0, 1)
        t = np.array([1.0, 10.0, 100.0])
        pm.Normal("size", pt.exp(a * t), 1, observed=[1.0, 2.0, 3.0])
    return model


def root_of_negative() -> pm.Model:
    """Make a power with a broken exponent."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1, shape=2)
        pm.Normal("y", x**0.5, 1, observed=[1.0, 1.0])
    return model


def gamma_at_zero() -> pm.Model:
    """Make a potential with a gamma function at its pole."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        pm.Potential("pole", -pt.gammaln(x))
    return model


def digamma_at_zero() -> pm.Model:
    """Make a potential with a digamma function at its pole."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1, shape=2)
        pm.Potential("pole", pt.psi(x).sum())
    return model


def vanishing_scale() -> pm.Model:
    """Make a scale that underflows to zero."""
    with pm.Model(coords={"day": ["mon", "tue", "wed"]}) as model:
        s = pm.HalfNormal("s", 1)
        pm.Normal("y", 0, s, observed=[1.0, 2.0, 3.0], dims="day")
    return model


def missing_covariate() -> pm.Model:
    """Make a regression on data with a hole."""
    with pm.Model(coords={"row": ["a", "b", "c"]}) as model:
        b = pm.Normal("b", 0, 1)
        dose = np.array([1.0, np.nan, 3.0])
        pm.Normal("y", b * dose, 1, observed=[1.0, 2.0, 3.0], dims="row")
    return model


def folded_constant() -> pm.Model:
    """Make a term with a logarithm of a datum that is negative."""
    with pm.Model() as model:
        b = pm.Normal("b", 0, 1)
        dose = pt.log(pt.constant(np.array([1.0, -2.0, 3.0])))
        pm.Normal("y", b * dose, 1, observed=[1.0, 2.0, 3.0])
    return model


def not_positive_definite() -> pm.Model:
    """Make a covariance whose correlation may pass one."""
    with pm.Model() as model:
        r = pm.Normal("r", 0, 1)
        cov = pt.stack([pt.stack([1.0, r]), pt.stack([r, 1.0])])
        pm.MvNormal("y", np.zeros(2), cov=cov, observed=[0.5, -0.5])
    return model


def forbidden_region() -> pm.Model:
    """Make a hard constraint."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        pm.Potential("limit", pt.switch(x > 1, -np.inf, 0.0))
    return model


def outside_of_support() -> pm.Model:
    """Make an observation that its distribution cannot give."""
    with pm.Model() as model:
        b = pm.Normal("b", 0, 1)
        pm.Exponential("wait", pt.exp(b), observed=[1.0, -2.0, 3.0])
    return model


def wrong_sign() -> pm.Model:
    """Make waiting times, one of which is negative, whose distribution does not depend on it."""
    with pm.Model(coords={"patient": ["a", "b", "c"]}) as model:
        b = pm.Normal("b", 0, 1)
        pm.Gamma("wait", alpha=pt.exp(b), beta=1, observed=[1.0, -2.0, 3.0], dims="patient")
    return model


def switched_root() -> pm.Model:
    """Make a choice between two branches, of which the other has an infinite derivative."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        branches = pt.stack([pt.sqrt(x), 0.0])
        pm.Normal("y", branches[pt.cast(x <= 0, "int64")], 1, observed=1.0)
    return model


def cancelled() -> pm.Model:
    """Make a softplus by hand, with an exponential that overflows."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        big = pt.exp(x)
        pm.Potential("ratio", big / (big + 2.0))
    return model


def hurdle() -> pm.Model:
    """Make a positive quantity that is often none at all."""
    with pm.Model() as model:
        psi = pm.Beta("psi", 1, 1)
        alpha = pm.HalfNormal("alpha", 1)
        pm.HurdleGamma("rain", psi=psi, alpha=alpha, beta=1.0, observed=[0.0, 1.0, 2.0])
    return model


def hidden_states() -> pm.Model:
    """Make a hidden Markov model with its sums of exponentials written by PyTensor."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 100, shape=2)
        emission = np.array([[1.0], [20.0], [30.0]]) * mu
        state = emission[0]
        for step in range(1, 3):
            joint = state[:, None] + pt.log(np.array([[0.9, 0.1], [0.2, 0.8]]))
            state = pt.logsumexp(joint, axis=0) + emission[step]
        pm.Potential("hmm", pt.logsumexp(state))
    return model


FAULTS: dict[str, Fault] = {
    "sqrt of a sum of squares at 0": Fault(
        build=norm_at_zero,
        term="range",
        operation=("0.5 / 0 = inf",),
        variable="x[0] (axis=east) = 0",
        said=("sqrt(sum(x ** 2))", "0 * inf = nan"),
    ),
    "Bernoulli logit above 37": Fault(
        build=confident_coin,
        at={"x": [0.0, 38.0, 0.0]},
        term="y",
        operation=("/ 0 = nan",),
        variable="x[1] = 38",
        said=("y[1] = 0",),
        versions="pymc>=5.26,<6.4",
    ),
    "HurdleGamma with zeros": Fault(
        build=hurdle,
        term="rain",
        operation=("log(0) = -inf",),
        variable="",
        said=("rain[0] = 0", "spoils the gradient of alpha_log__"),
        versions="pymc>=5.26,<5.28",
    ),
    "logsumexp of a hidden Markov model": Fault(
        build=hidden_states,
        at={"mu": [0.0, 100.0]},
        term="hmm",
        operation=("exp(", "inf"),
        variable="mu",
        versions="pytensor>=2.35,<3",
    ),
    "log of a negative number": Fault(
        build=log_of_negative,
        at={"x": [1.0, -1.0, 2.0]},
        term="pull",
        operation=("log(-1) = nan",),
        variable="x[1] = -1",
        value=True,
    ),
    "start at log 0": Fault(
        build=start_at_zero,
        term="",
        operation=("the point itself is not finite",),
        variable="tau_log__ = -inf, so tau = 0",
        value=True,
    ),
    "0 / 0 of a degenerate element": Fault(
        build=unit_vectors,
        at={"raw": [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]},
        term="seen",
        operation=("0 / 0 = nan",),
        variable="raw[0, 0] = 0",
        value=True,
        said=("seen[0] = 0.1",),
    ),
    "exp overflows": Fault(
        build=growth,
        at={"a": 8.0},
        term="size",
        operation=("exp(800) = inf",),
        variable="a = 8",
        value=True,
        said=("size[2] = 3",),
    ),
    "power of a negative number": Fault(
        build=root_of_negative,
        at={"x": [1.0, -4.0]},
        term="y",
        operation=("(-4)", "= nan"),
        variable="x[1] = -4",
        value=True,
        said=("y[1] = 1",),
    ),
    "gammaln at its pole": Fault(
        build=gamma_at_zero,
        term="pole",
        operation=("gammaln(0) = inf",),
        variable="x = 0",
        value=True,
    ),
    "digamma at its pole": Fault(
        build=digamma_at_zero,
        at={"x": [1.0, -0.0]},
        term="pole",
        operation=("digamma(", "inf"),
        variable="x[1] =",
        value=True,
    ),
    "scale of zero": Fault(
        build=vanishing_scale,
        at={"s_log__": -800.0},
        term="y",
        operation=("Normal needs sigma > 0",),
        variable="s_log__ = -800, so s = 0",
        value=True,
        said=("all 3 of y",),
    ),
    "NaN in a covariate": Fault(
        build=missing_covariate,
        term="y",
        operation=("a constant holds nan at [1]",),
        variable="",
        value=True,
        said=("y[1] (row=b) = 2",),
    ),
    "folded constant": Fault(
        build=folded_constant,
        term="y",
        operation=("a constant holds nan at [1]",),
        variable="",
        value=True,
        said=("y[1] = 2",),
    ),
    "matrix that is not positive definite": Fault(
        build=not_positive_definite,
        at={"r": 2.0},
        term="y",
        operation=("posdef",),
        variable="r = 2",
        value=True,
    ),
    "switch to -inf": Fault(
        build=forbidden_region,
        at={"x": 2.0},
        term="limit",
        operation=("-inf where x > 1",),
        variable="x = 2",
        value=True,
    ),
    "outside of the support": Fault(
        build=outside_of_support,
        term="wait",
        operation=("outside of the support: -inf",),
        variable="b = 0",
        value=True,
        said=("wait[1] = -2",),
    ),
    "data that no parameters allow": Fault(
        build=wrong_sign,
        term="wait",
        operation=("outside of the support: -inf for such data, whatever the parameters",),
        variable="b = 0",
        value=True,
        said=("wait[1] (patient=b) = -2",),
    ),
    "derivative behind a branch that is not taken": Fault(
        build=switched_root,
        term="y",
        operation=("0 / 0 = nan",),
        variable="x = 0",
        said=("sqrt(x)",),
    ),
    "inf / inf": Fault(
        build=cancelled,
        at={"x": 800.0},
        term="ratio",
        operation=("exp(800) = inf",),
        variable="x = 800",
        value=True,
    ),
}
