"""A Gaussian process in PyMC, its kernel written out."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

POINTS = 25
MUTANTS = ("prior of the length x1.001", "jitter 1e-6 -> 2e-6", "length not squared")


def process(variant: Variant) -> Subject:
    """Return the marginal likelihood of a smooth function's values."""
    stream = np.random.RandomState(23)
    places = np.sort(stream.uniform(size=POINTS))
    values = np.sin(6 * places) + 0.03 * stream.standard_normal(POINTS)
    jitter = 2e-6 if variant.mutant == MUTANTS[1] else 1e-6
    prior = 1.001 if variant.mutant == MUTANTS[0] else 1.0
    with pm.Model() as model:
        length = pm.LogNormal("length", -1.0, prior)
        scale = pm.HalfNormal("scale", 2.0)
        noise = pm.HalfNormal("noise", 0.5)
        reach = pt.sqrt(length) if variant.mutant == MUTANTS[2] else length
        if "rewritten" in variant:
            scaled = places / reach
            far = scaled[:, None] ** 2 - 2 * scaled[:, None] * scaled[None, :] + scaled[None] ** 2
        else:
            far = (places[:, None] - places[None, :]) ** 2 / reach**2
        covariance = scale**2 * pt.exp(-0.5 * far) + (noise**2 + jitter) * pt.eye(POINTS)
        pm.MvNormal("values", np.zeros(POINTS), cov=covariance, observed=values)
    start = {"length_log__": -1.1, "scale_log__": 0.2, "noise_log__": -3.3}
    return Subject(
        source=model,
        options={"mode": variant.mode, "at": {k: np.array(v) for k, v in start.items()}},
    )


MODELS = (
    Model(
        name="GP (PyMC)",
        family="pymc",
        build=process,
        styles=frozenset({"rewritten"}),
        mutants=MUTANTS,
    ),
)
