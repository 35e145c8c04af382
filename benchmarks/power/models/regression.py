"""PyMC models of grouped and binary observations.

The order of the observations is never permuted here: the data are part of a PyMC model's structure,
so that other data are reported as such.
"""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

GROUPS, ROWS, COLUMNS = 8, 60, 6
HIERARCHY_MUTANTS = ("prior scale x1.001", "groups off by one", "spread of 1, not of the group")
LOGISTIC_MUTANTS = ("prior scale x1.001", "intercept forgotten", "one row twice")


def hierarchy(variant: Variant) -> Subject:
    """Return a normal hierarchy at PyMC's own initial point, where some gradients are zero."""
    stream = np.random.RandomState(21)
    group = np.repeat(np.arange(GROUPS), ROWS // GROUPS + 1)[:ROWS]
    values = stream.standard_normal(ROWS) + 0.5 * stream.standard_normal(GROUPS)[group]
    if variant.mutant == HIERARCHY_MUTANTS[1]:
        group = np.roll(group, 1)
    prior = 5.0 * (1.001 if variant.mutant == HIERARCHY_MUTANTS[0] else 1.0)
    with pm.Model() as model:
        mean = pm.Normal("mean", 0.0, prior)
        spread = pm.HalfNormal("spread", 1.0)
        offsets = pm.Normal("offsets", 0.0, 1.0, shape=GROUPS)
        noise = pm.HalfCauchy("noise", 1.0)
        scale = 1.0 if variant.mutant == HIERARCHY_MUTANTS[2] else spread
        if "rewritten" in variant:
            levels = pt.dot(pt.eye(GROUPS)[group], mean + scale * offsets)
        else:
            levels = mean + scale * offsets[group]
        pm.Normal("values", levels, noise, observed=values)
    return Subject(source=model, options={"mode": variant.mode})


def logistic(variant: Variant) -> Subject:
    """Return a logistic regression away from zero."""
    stream = np.random.RandomState(22)
    features = stream.standard_normal((ROWS, COLUMNS))
    start = {"intercept": np.array(0.3), "slopes": 0.5 * stream.standard_normal(COLUMNS)}
    labels = (stream.uniform(size=ROWS) < 1 / (1 + np.exp(-features[:, 0]))).astype(int)
    used = features.copy()
    if variant.mutant == LOGISTIC_MUTANTS[2]:
        used[0] = used[1]
    prior = 2.0 * (1.001 if variant.mutant == LOGISTIC_MUTANTS[0] else 1.0)
    with pm.Model() as model:
        intercept = pm.Normal("intercept", 0.0, prior)
        slopes = pm.StudentT("slopes", nu=4, mu=0.0, sigma=1.0, shape=COLUMNS)
        if "rewritten" in variant:
            logits = intercept + (used * slopes).sum(axis=1)
        else:
            logits = intercept + pt.dot(used, slopes)
        if variant.mutant == LOGISTIC_MUTANTS[1]:
            logits = logits - intercept
        pm.Bernoulli("labels", logit_p=logits, observed=labels)
    return Subject(source=model, options={"mode": variant.mode, "at": start})


MODELS = (
    Model(
        name="hierarchical",
        family="pymc",
        build=hierarchy,
        styles=frozenset({"rewritten"}),
        mutants=HIERARCHY_MUTANTS,
    ),
    Model(
        name="logistic",
        family="pymc",
        build=logistic,
        styles=frozenset({"rewritten"}),
        mutants=LOGISTIC_MUTANTS,
        quick=True,
    ),
)
