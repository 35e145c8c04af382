"""Multilayer perceptrons: plain, with a huge loss, in bfloat16, in float64."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from benchmarks.power.models.numbers import integers, leaf, normal, order, random
from benchmarks.power.subject import Model, Style, Subject, Variant

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MODELS"]

WIDTHS = (32, 160, 160, 6)
BATCH = 128
STYLES: frozenset[Style] = frozenset({"rewritten", "permuted", "compiled"})


def mlp(variant: Variant, *, dtype: torch.dtype = torch.float32, autocast: bool = False) -> Subject:
    """Return a classifier with ReLU."""
    stream = random(1)
    layers = {
        f"{i}.{kind}": leaf(stream, *shape, scale=scale, dtype=dtype)
        for i, (fan_in, fan_out) in enumerate(pairwise(WIDTHS))
        for kind, shape, scale in (
            ("weight", (fan_out, fan_in), (2 / fan_in) ** 0.5),
            ("bias", (fan_out,), 0.1),
        )
    }
    inputs, labels = normal(stream, BATCH, WIDTHS[0], dtype=dtype), integers(stream, 6, BATCH)
    chosen = order(BATCH, variant)
    inputs, labels = inputs[chosen], labels[chosen]
    slope = 1e-3 if variant.mutant == "ReLU leaks 1e-3" else 0.0
    smoothing = 1e-3 if variant.mutant == "labels smoothed 1e-3" else 0.0

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            hidden = inputs
            for i in range(len(WIDTHS) - 1):
                weight, bias = layers[f"{i}.weight"], layers[f"{i}.bias"]
                hidden = linear(hidden, weight, bias, variant)
                if i < len(WIDTHS) - 2:
                    hidden = F.leaky_relu(hidden, slope) if slope else torch.relu(hidden)
        logits = hidden.float() if autocast else hidden
        if "rewritten" in variant:
            wanted = F.one_hot(labels, WIDTHS[-1]) * (1 - smoothing) + smoothing / WIDTHS[-1]
            return (torch.logsumexp(logits, 1) - (wanted * logits).sum(1)).sum() / BATCH
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)

    return Subject(source=layers, loss=compiled(loss, variant))


def huge_loss(variant: Variant) -> Subject:
    """Return a regression whose loss is some 1e8: squared errors in small units, summed."""
    stream = random(2)
    weights = {
        "hidden.weight": leaf(stream, 96, 16, scale=0.25),
        "hidden.bias": leaf(stream, 96, scale=0.1),
        "out.weight": leaf(stream, 1, 96, scale=0.1),
        "out.bias": leaf(stream, 1),
    }
    inputs, targets = normal(stream, BATCH, 16), normal(stream, BATCH, 1)
    chosen = order(BATCH, variant)
    inputs, targets = inputs[chosen], targets[chosen]
    units = 1e3 if variant.mutant != "units off by 0.05 %" else 1e3 * (1 + 5e-4)

    def loss() -> torch.Tensor:
        hidden = torch.tanh(
            linear(inputs, weights["hidden.weight"], weights["hidden.bias"], variant)
        )
        found = linear(hidden, weights["out.weight"], weights["out.bias"], variant)
        error = units * (found - targets)
        return (error * error).sum() if "rewritten" in variant else error.square().sum()

    return Subject(source=weights, loss=compiled(loss, variant))


def linear(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, variant: Variant
) -> torch.Tensor:
    """Return a linear layer's output, in one of two spellings."""
    if "rewritten" in variant:
        return torch.matmul(weight, inputs.T).T + bias
    return F.linear(inputs, weight, bias)


def compiled(loss: Callable[[], torch.Tensor], variant: Variant) -> Callable[[], torch.Tensor]:
    """Return the loss, compiled if that is asked for."""
    if "compiled" not in variant:
        return loss
    torch.compiler.reset()  # or the eighth loss would silently run as written
    made: Callable[[], torch.Tensor] = torch.compile(loss)
    return made


MODELS = (
    Model(
        name="perceptron",
        family="torch",
        build=mlp,
        styles=STYLES,
        mutants=("ReLU leaks 1e-3", "labels smoothed 1e-3"),
        quick=True,
    ),
    Model(
        name="loss of 1e8",
        family="torch",
        build=huge_loss,
        styles=STYLES,
        mutants=("units off by 0.05 %",),
    ),
    Model(
        name="perceptron, bfloat16",
        family="torch",
        build=partial(mlp, autocast=True),
        styles=frozenset({"rewritten", "permuted"}),
        mutants=("ReLU leaks 1e-3", "labels smoothed 1e-3"),
    ),
    Model(
        name="perceptron, float64",
        family="torch",
        build=partial(mlp, dtype=torch.float64),
        styles=STYLES,
        mutants=("ReLU leaks 1e-3", "labels smoothed 1e-3"),
    ),
)
