"""A small transformer, in float32 and under bfloat16 autocast.

The bias of the keys has a true gradient of zero: it moves all scores of a query alike.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.power.models.numbers import filled, integers, order, random
from benchmarks.power.models.perceptron import compiled
from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

BATCH, LENGTH, WIDTH, HEADS, WORDS = 8, 24, 48, 4, 24
KERNELS = [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]
MUTANTS = (
    "GELU by tanh",
    "eps of the normalisation 1e-5 -> 1e-6",
    "scale of the scores x1.001",
    "labels smoothed 1e-3",
    "values detached in one layer",
    "positions off by one",
)


class Block(nn.Module):
    """Mix a sequence, then each of its places."""

    def __init__(self, variant: Variant, *, first: bool) -> None:
        """Build one block; some mutants sit in the first one only."""
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.down = nn.Linear(2 * WIDTH, WIDTH)
        self.rewritten = "rewritten" in variant
        self.kernels = KERNELS if "unfused" not in variant else KERNELS[:1]
        self.mutant = variant.mutant if first else ""
        if self.mutant == MUTANTS[1]:
            self.norm1.eps = 1e-6

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the sequence, mixed."""
        inner = self.normalised(self.norm1, hidden)
        query, key, value = (
            layer(inner).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if self.mutant == MUTANTS[4]:
            value = value.detach()
        mixed = self.attended(query, key, value).transpose(1, 2).flatten(2)
        hidden = hidden + self.out(mixed)
        inner = self.up(self.normalised(self.norm2, hidden))
        inner = F.gelu(inner, approximate="tanh" if self.mutant == MUTANTS[0] else "none")
        result: torch.Tensor = hidden + self.down(inner)
        return result

    def attended(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Return causal attention, in one of two spellings."""
        scale = 1 / math.sqrt(WIDTH // HEADS)
        if self.mutant == MUTANTS[2]:
            scale *= 1.001
        if not self.rewritten:
            with sdpa_kernel(self.kernels):
                return F.scaled_dot_product_attention(
                    query, key, value, is_causal=True, scale=scale
                )
        later = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
        scores = torch.einsum("bhqd,bhkd->bhqk", query * scale, key)
        weights = torch.softmax(scores.masked_fill(later, -math.inf), -1)
        return torch.einsum("bhqk,bhkd->bhqd", weights.to(value.dtype), value)

    def normalised(self, norm: nn.LayerNorm, hidden: torch.Tensor) -> torch.Tensor:
        """Return normalised places, in one of two spellings."""
        if not self.rewritten:
            normal: torch.Tensor = norm(hidden)
            return normal
        centred = hidden - hidden.mean(-1, keepdim=True)
        scale = torch.rsqrt(centred.square().mean(-1, keepdim=True) + norm.eps)
        return centred * scale * norm.weight + norm.bias


class Transformer(nn.Module):
    """Predict the next word."""

    def __init__(self, variant: Variant) -> None:
        """Build two blocks."""
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.position = nn.Parameter(torch.zeros(LENGTH, WIDTH))
        self.blocks = nn.Sequential(Block(variant, first=True), Block(variant, first=False))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, WORDS)
        self.shift = int(variant.mutant == MUTANTS[5])

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        hidden = self.embedding(words) + self.position.roll(self.shift, 0)
        logits: torch.Tensor = self.head(self.norm(self.blocks(hidden)))
        return logits


def transformer(variant: Variant, *, autocast: bool = False) -> Subject:
    """Return the transformer on random words."""
    model = filled(Transformer(variant), 5)
    words = integers(random(6), WORDS, BATCH, LENGTH + 1)[order(BATCH, variant)]
    smoothing = 1e-3 if variant.mutant == MUTANTS[3] else 0.0

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = model(words[:, :-1])
        logits = logits.float() if autocast else logits
        return F.cross_entropy(
            logits.flatten(0, 1), words[:, 1:].flatten(), label_smoothing=smoothing
        )

    return Subject(source=model, loss=compiled(loss, variant))


MODELS = (
    Model(
        name="transformer",
        family="torch",
        build=transformer,
        styles=frozenset({"rewritten", "permuted", "unfused", "compiled"}),
        mutants=MUTANTS,
        quick=True,
    ),
    Model(
        name="transformer, bfloat16",
        family="torch",
        build=partial(transformer, autocast=True),
        styles=frozenset({"rewritten", "permuted", "unfused"}),
        mutants=MUTANTS,
    ),
)
