"""Structure learning with an acyclicity penalty by the matrix exponential (NOTEARS)."""

from __future__ import annotations

import torch

from benchmarks.power.models.numbers import leaf, normal, order, random
from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

SIZE, BATCH, TERMS = 20, 256, 40
MUTANTS = ("penalty x1.001", "squares forgotten", "penalty detached")


def notears(variant: Variant) -> Subject:
    """Return least squares and the penalty, as components."""
    stream = random(12)
    edges = {"edges": leaf(stream, SIZE, SIZE, scale=0.25), "offset": leaf(stream, SIZE, scale=0.1)}
    data = normal(stream, BATCH, SIZE)[order(BATCH, variant)]
    weight = 1.001 if variant.mutant == MUTANTS[0] else 1.0

    def loss() -> dict[str, torch.Tensor]:
        matrix = edges["edges"]
        found = torch.einsum("bi,ij->bj", data, matrix) if "rewritten" in variant else data @ matrix
        squared = matrix.abs() if variant.mutant == MUTANTS[1] else matrix * matrix
        penalty = closed_walks(squared, variant)
        if variant.mutant == MUTANTS[2]:
            penalty = penalty.detach()
        fit = 0.5 * (data - found - edges["offset"]).square().sum() / BATCH
        return {"fit": fit, "acyclic": weight * penalty}

    return Subject(source=edges, loss=loss)


def closed_walks(matrix: torch.Tensor, variant: Variant) -> torch.Tensor:
    """Return the weight of all closed walks, ``trace(exp(A)) - n``; as a series if rewritten."""
    if "rewritten" not in variant:
        walks: torch.Tensor = torch.linalg.matrix_exp(matrix).trace()
        return walks - SIZE
    power, total = matrix, matrix.trace()
    for i in range(2, TERMS):
        power = power @ matrix / i
        total = total + power.trace()
    return total


MODELS = (
    Model(
        name="NOTEARS",
        family="torch",
        build=notears,
        styles=frozenset({"rewritten", "permuted"}),
        mutants=MUTANTS,
    ),
)
