"""The models that `benchmarks.pymc_cost` compiles."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MODELS"]

EXAMPLES = Path(__file__).parents[1] / "example_project"


def hierarchy() -> pm.Model:
    """Make a regression with effects of 40 groups, 800 rows: 86 dimensions."""
    rng = np.random.default_rng(0)
    group, x = rng.integers(0, 40, 800), rng.normal(size=800)
    with pm.Model() as model:
        mean = pm.Normal("mean", 0, 1, shape=2)
        spread = pm.HalfNormal("spread", 1, shape=2)
        raw = pm.Normal("raw", 0, 1, shape=(40, 2))
        sigma = pm.HalfNormal("sigma", 1)
        nu = pm.Gamma("nu", 2, 0.1)
        effect = mean + raw * spread
        eta = effect[group, 0] + effect[group, 1] * x
        pm.StudentT("y", nu=nu, mu=eta, sigma=sigma, observed=rng.normal(size=800))
    return model


def gaussian_process() -> pm.Model:
    """Make a marginal Gaussian process of 200 points: 3 dimensions."""
    x = np.linspace(0, 10, 200)[:, None]
    y = np.sin(x[:, 0]) + 0.1 * np.random.default_rng(0).normal(size=200)
    with pm.Model() as model:
        length = pm.Gamma("length", 2, 1)
        height = pm.HalfNormal("height", 1)
        sigma = pm.HalfNormal("sigma", 1)
        process = pm.gp.Marginal(cov_func=height**2 * pm.gp.cov.ExpQuad(1, length))
        process.marginal_likelihood("y", X=x, y=y, sigma=sigma)
    return model


def logistic() -> pm.Model:
    """Make a logistic regression of 20,000 rows on 50 columns: 52 dimensions."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 50))
    y = rng.uniform(size=20_000) < 1 / (1 + np.exp(-x[:, 0]))
    with pm.Model() as model:
        scale = pm.HalfNormal("scale", 1)
        slope = pm.Normal("slope", 0, scale, shape=50)
        offset = pm.Normal("offset", 0, 1)
        pm.Bernoulli("y", logit_p=offset + pm.math.dot(x, slope), observed=y.astype(int))
    return model


def tracking() -> pm.Model:
    """Make the arm of the example project, one minute of film: 27,025 dimensions."""
    sys.path.insert(0, str(EXAMPLES))
    from models.tracking.model import build
    from models.tracking.recording import record

    return build(record(frames=1800))


MODELS: dict[str, Callable[[], pm.Model]] = {
    "hierarchy": hierarchy,
    "gp": gaussian_process,
    "logistic": logistic,
    "tracking": tracking,
}
