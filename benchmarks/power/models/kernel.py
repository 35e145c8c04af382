"""Gaussian processes by Cholesky, near singular: rounding is the larger part of the arithmetic."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.power.models.numbers import order, random, tensor
from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

POINTS = 60
MUTANTS = ("noise x1.0001", "normalisation forgotten", "half of the determinant")


def process(variant: Variant, *, dtype: torch.dtype, noise: float) -> Subject:
    """Return the negative log-likelihood of a smooth function's noisy values.

    Args:
        variant: how to build it.
        dtype: of everything.
        noise: variance; the smaller, the nearer is the kernel to a singular matrix.
    """
    stream = random(11)
    hyper = {
        "log_length": torch.tensor([-1.0, -0.6], dtype=dtype, requires_grad=True),
        "log_scale": torch.tensor(0.2, dtype=dtype, requires_grad=True),
        "mean": torch.tensor([0.1, -0.2, 0.3], dtype=dtype, requires_grad=True),
    }
    places = stream.uniform(0, 1, (POINTS, 2))
    values = places[:, 0] ** 2 + places[:, 1] + noise**0.5 * stream.standard_normal(POINTS)
    chosen = order(POINTS, variant)
    inputs, targets = tensor(places, dtype)[chosen], tensor(values, dtype)[chosen]
    variance = noise * (1.0001 if variant.mutant == MUTANTS[0] else 1.0)
    share = 0.5 if variant.mutant == MUTANTS[2] else 1.0

    def loss() -> torch.Tensor:
        scaled = inputs / hyper["log_length"].exp()
        if "rewritten" in variant:
            squares = scaled.square().sum(1)
            far = squares[:, None] + squares[None, :] - 2 * scaled @ scaled.T
        else:
            far = (scaled[:, None, :] - scaled[None, :, :]).square().sum(-1)
        covariance = hyper["log_scale"].exp() * torch.exp(-0.5 * far)
        factor = torch.linalg.cholesky(covariance + variance * torch.eye(POINTS, dtype=dtype))
        trend = torch.stack([torch.ones_like(inputs[:, 0]), inputs[:, 0], inputs[:, 1]], 1)
        rest = (targets - trend @ hyper["mean"])[:, None]
        if "rewritten" in variant:
            fit = (rest * torch.cholesky_solve(rest, factor)).sum()
        else:
            fit = torch.linalg.solve_triangular(factor, rest, upper=False).square().sum()
        total: torch.Tensor = 0.5 * fit + share * factor.diagonal().log().sum()
        return total if variant.mutant == MUTANTS[1] else total / POINTS

    return Subject(source=hyper, loss=loss)


MODELS = (
    Model(
        name="GP, float32",
        family="torch",
        build=partial(process, dtype=torch.float32, noise=1e-3),
        styles=frozenset({"rewritten", "permuted"}),
        mutants=MUTANTS,
    ),
    Model(
        name="GP, float64",
        family="torch",
        build=partial(process, dtype=torch.float64, noise=1e-9),
        styles=frozenset({"permuted"}),  # other spellings of the distance change it by 1e-16/1e-9
        mutants=MUTANTS,
    ),
)
