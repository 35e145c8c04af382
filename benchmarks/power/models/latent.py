"""A variational autoencoder with a loss of two components: its noise is data, or it is drawn."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from benchmarks.power.models.numbers import leaf, normal, order, random
from benchmarks.power.models.perceptron import linear
from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

BATCH, VISIBLE, HIDDEN, LATENT = 64, 48, 96, 6
MUTANTS = ("weight of the KL 1.001", "spread detached", "spread not halved", "mean of 63, not 64")


def vae(variant: Variant, *, drawn: bool = False) -> Subject:
    """Return an autoencoder of normal data.

    Args:
        variant: how to build it.
        drawn: whether it draws its noise, and drops some of its input, each time.
    """
    stream = random(10)
    weights = {}
    for name, fan_in, fan_out in (
        ("encoder", VISIBLE, HIDDEN),
        ("mean", HIDDEN, LATENT),
        ("log_variance", HIDDEN, LATENT),
        ("decoder", LATENT, HIDDEN),
        ("out", HIDDEN, VISIBLE),
    ):
        weights[f"{name}.weight"] = leaf(stream, fan_out, fan_in, scale=fan_in**-0.5)
        weights[f"{name}.bias"] = leaf(stream, fan_out, scale=0.1)
    data, noise = normal(stream, BATCH, VISIBLE), normal(stream, BATCH, LATENT)
    chosen = order(BATCH, variant)
    if not drawn:  # what is drawn belongs to a place in the batch, not to a row
        data, noise = data[chosen], noise[chosen]
    half = 1.0 if variant.mutant == MUTANTS[2] else 0.5
    beta = 1.001 if variant.mutant == MUTANTS[0] else 1.0
    count = BATCH - 1 if variant.mutant == MUTANTS[3] else BATCH

    def layer(name: str, inputs: torch.Tensor) -> torch.Tensor:
        return linear(inputs, weights[f"{name}.weight"], weights[f"{name}.bias"], variant)

    def loss() -> dict[str, torch.Tensor]:
        seen = F.dropout(data, 0.2) if drawn else data
        hidden = torch.tanh(layer("encoder", seen))
        mean, log_variance = layer("mean", hidden), layer("log_variance", hidden)
        spread = torch.exp(half * log_variance)
        if variant.mutant == MUTANTS[1]:
            spread = spread.detach()
        code = mean + spread * (torch.randn(BATCH, LATENT) if drawn else noise)
        found = layer("out", F.softplus(layer("decoder", code)))
        if "rewritten" in variant:
            recon = torch.einsum("bi,bi->", found - data, found - data)
            kl = -0.5 * (1 + log_variance - mean * mean - log_variance.exp()).sum()
        else:
            recon = (found - data).square().sum()
            kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return {"recon": recon / count, "kl": beta * kl / count}

    return Subject(source=weights, loss=loss)


MODELS = (
    Model(
        name="VAE",
        family="torch",
        build=vae,
        styles=frozenset({"rewritten", "permuted"}),
        mutants=MUTANTS,
    ),
    Model(
        name="VAE, noise drawn",
        family="torch",
        build=partial(vae, drawn=True),
        styles=frozenset({"rewritten"}),
        mutants=MUTANTS,
    ),
)
