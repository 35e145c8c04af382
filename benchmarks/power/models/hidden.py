"""PyMC models with hidden states that are summed out: a Markov chain by scan, and a mixture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt

from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

STATES, LENGTH = 3, 12
CHAIN_MUTANTS = ("emissions off by one", "first state twice", "prior scale x1.001")
MIXTURE_MUTANTS = ("prior scale x1.001", "one concentration x1.01", "last value dropped")


def chain(variant: Variant) -> Subject:
    """Return a hidden Markov chain by the forward algorithm, as a potential."""
    stream = np.random.RandomState(24)
    path = stream.randint(0, STATES, LENGTH)
    values = 1.5 * path + 0.4 * stream.standard_normal(LENGTH)
    prior = 2.0 * (1.001 if variant.mutant == CHAIN_MUTANTS[2] else 1.0)
    start = {
        "moves_simplex__": 0.4 * stream.standard_normal((STATES, STATES - 1)),
        "means": np.array([0.1, 1.2, 3.3]),
        "noise_log__": np.array(-0.7),
    }
    with pm.Model() as model:
        moves = pm.Dirichlet("moves", np.full(STATES, 2.0), shape=(STATES, STATES))
        means = pm.Normal("means", 0.0, prior, shape=STATES)
        noise = pm.HalfNormal("noise", 1.0)
        error = (values[:, None] - means[None, :]) / noise
        emissions = -0.5 * error**2 - pt.log(noise)
        if variant.mutant == CHAIN_MUTANTS[0]:
            emissions = pt.roll(emissions, 1, axis=0)
        first = emissions[0] * (2 if variant.mutant == CHAIN_MUTANTS[1] else 1)
        if "rewritten" in variant:
            total = unrolled(first, emissions, pt.log(moves))
        else:
            total = scanned(first, emissions, pt.log(moves))
        pm.Potential("path", pt.logsumexp(total))
    return Subject(source=model, options={"mode": variant.mode, "at": start})


def scanned(first: Any, emissions: Any, moves: Any) -> Any:  # noqa: ANN401 - PyTensor's variables
    """Return the log-probabilities of the last state, by scan."""
    totals, _ = pytensor.scan(
        forward, sequences=[emissions[1:]], outputs_info=[first], non_sequences=[moves]
    )
    return totals[-1]


def unrolled(first: Any, emissions: Any, moves: Any) -> Any:  # noqa: ANN401 - as above
    """Return the same, step by step in the graph itself."""
    total = first
    for i in range(1, LENGTH):
        total = forward(emissions[i], total, moves)
    return total


def forward(emission: Any, total: Any, moves: Any) -> Any:  # noqa: ANN401 - as above
    """Return the log-probabilities of the states after one more step."""
    return emission + pt.logsumexp(total[:, None] + moves, axis=0)


def mixture(variant: Variant) -> Subject:
    """Return a mixture of three normals with marginalised labels."""
    stream = np.random.RandomState(25)
    values = np.concatenate([stream.standard_normal(20) - 2, 0.5 * stream.standard_normal(30) + 1])
    start = {
        "weights_simplex__": 0.3 * stream.standard_normal(2),
        "means": np.array([-1.7, 0.2, 1.1]),
        "spreads_log__": 0.2 * stream.standard_normal(3),
    }
    prior = 3.0 * (1.001 if variant.mutant == MIXTURE_MUTANTS[0] else 1.0)
    counts = np.array([2.0, 2.0, 2.02 if variant.mutant == MIXTURE_MUTANTS[1] else 2.0])
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", counts)
        means = pm.Normal("means", 0.0, prior, shape=3)
        spreads = pm.HalfNormal("spreads", 2.0, shape=3)
        error = (values[:, None] - means) / spreads
        if "rewritten" in variant:
            chances = pt.log((weights * pt.exp(-0.5 * error * error) / spreads).sum(axis=1))
        else:
            chances = pt.logsumexp(pt.log(weights) - pt.log(spreads) - 0.5 * error**2, axis=1)
        if variant.mutant == MIXTURE_MUTANTS[2]:
            chances = chances[:-1]
        pm.Potential("values", chances.sum())
    return Subject(source=model, options={"mode": variant.mode, "at": start})


MODELS = (
    Model(
        name="hidden Markov chain",
        family="pymc",
        build=chain,
        styles=frozenset({"rewritten"}),
        mutants=CHAIN_MUTANTS,
    ),
    Model(
        name="mixture",
        family="pymc",
        build=mixture,
        styles=frozenset({"rewritten"}),
        mutants=MIXTURE_MUTANTS,
    ),
)
