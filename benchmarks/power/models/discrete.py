"""Models with choices in them: rows of a table, actions, experts."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from benchmarks.power.models.numbers import filled, integers, leaf, normal, order, random
from benchmarks.power.models.perceptron import linear
from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

WORDS, WIDTH, BATCH = 1000, 32, 96
TEMPERATURE = 0.02
TABLE_MUTANTS = ("temperature x1.001", "labels off by one", "norm eps 1e-12 -> 1e-3")
POLICY_MUTANTS = ("entropy x1.001", "baseline not subtracted", "advantage x0.999")
EXPERT_MUTANTS = ("gate detached", "capacity one less", "balance x1.001")
ACTIONS, EXPERTS = 5, 4


def table(variant: Variant) -> Subject:
    """Return a sharp softmax over rows of an embedding whose gradient is sparse."""
    sparse = nn.Embedding(WORDS, WIDTH, sparse=True)
    model = nn.ModuleDict({"words": sparse, "project": nn.Linear(WIDTH, WIDTH)})
    filled(model, 13)
    stream = random(14)
    pairs = integers(stream, WORDS, BATCH, 2)[order(BATCH, variant)]
    heat = TEMPERATURE * (1.001 if variant.mutant == TABLE_MUTANTS[0] else 1.0)
    eps = 1e-3 if variant.mutant == TABLE_MUTANTS[2] else 1e-12
    shift = int(variant.mutant == TABLE_MUTANTS[1])

    def loss() -> torch.Tensor:
        left = F.normalize(model["project"](model["words"](pairs[:, 0])), dim=1, eps=eps)
        right = F.normalize(model["words"](pairs[:, 1]), dim=1, eps=eps)
        labels = torch.arange(BATCH).roll(shift)
        if "rewritten" in variant:
            scores = (left[:, None, :] * right[None, :, :]).sum(-1) / heat
            return -torch.log_softmax(scores, 1)[torch.arange(BATCH), labels].mean()
        return F.cross_entropy(left @ right.T / heat, labels)

    return Subject(source=model, loss=loss)


def policy(variant: Variant) -> Subject:
    """Return a policy gradient on recorded actions, with an entropy bonus."""
    stream = random(15)
    weights = {
        "hidden.weight": leaf(stream, 64, 6, scale=0.4),
        "hidden.bias": leaf(stream, 64, scale=0.1),
        "out.weight": leaf(stream, ACTIONS, 64, scale=0.15),
        "out.bias": leaf(stream, ACTIONS, scale=0.1),
    }
    states, rewards = normal(stream, BATCH, 6), normal(stream, BATCH)
    actions = integers(stream, ACTIONS, BATCH)
    chosen = order(BATCH, variant)
    states, rewards, actions = states[chosen], rewards[chosen], actions[chosen]
    bonus = 0.01 * (1.001 if variant.mutant == POLICY_MUTANTS[0] else 1.0)
    share = 0.999 if variant.mutant == POLICY_MUTANTS[2] else 1.0

    def loss() -> dict[str, torch.Tensor]:
        hidden = torch.tanh(
            linear(states, weights["hidden.weight"], weights["hidden.bias"], variant)
        )
        logits = linear(hidden, weights["out.weight"], weights["out.bias"], variant)
        chances = torch.log_softmax(logits, 1)
        advantages = rewards - (0 if variant.mutant == POLICY_MUTANTS[1] else rewards.mean())
        if "rewritten" in variant:
            taken = (F.one_hot(actions, ACTIONS) * chances).sum(1)
        else:
            taken = chances[torch.arange(BATCH), actions]
        entropy = -(chances.exp() * chances).sum(1).mean()
        return {"policy": -(share * advantages * taken).mean(), "entropy": -bonus * entropy}

    return Subject(source=weights, loss=loss)


def experts(variant: Variant) -> Subject:
    """Return a top-1 mixture of experts: each row goes to the one its gate likes best."""
    stream = random(16)
    weights = {
        "gate": leaf(stream, EXPERTS, WIDTH, scale=0.5),
        "up": leaf(stream, EXPERTS, 64, WIDTH, scale=0.2),
        "down": leaf(stream, EXPERTS, WIDTH, 64, scale=0.15),
    }
    rows, targets = normal(stream, BATCH, WIDTH), normal(stream, BATCH, WIDTH)
    chosen = order(BATCH, variant)
    rows, targets = rows[chosen], targets[chosen]
    scale = 1.001 if variant.mutant == EXPERT_MUTANTS[2] else 1.0

    def loss() -> dict[str, torch.Tensor]:
        gates = torch.softmax(rows @ weights["gate"].T, 1)
        best, which = gates.max(1)
        if variant.mutant == EXPERT_MUTANTS[0]:
            best = best.detach()
        found = torch.zeros_like(targets)
        for i in range(EXPERTS):
            mine = which == i
            if variant.mutant == EXPERT_MUTANTS[1] and i == 0:
                mine = mine & (mine.cumsum(0) < mine.sum())
            if "rewritten" in variant:
                inner = torch.relu(torch.einsum("bw,hw->hb", rows, weights["up"][i]))
                outer = torch.einsum("wh,hb->bw", weights["down"][i], inner)
                found = found + torch.where(mine[:, None], best[:, None] * outer, 0.0)
            else:
                inner = torch.relu(F.linear(rows[mine], weights["up"][i]))
                outer = F.linear(inner, weights["down"][i]) * best[mine, None]
                found = found.index_put((mine.nonzero()[:, 0],), outer)
        share = torch.stack([(which == i).sum() for i in range(EXPERTS)]) / BATCH
        balance = EXPERTS * (share * gates.mean(0)).sum()
        return {"fit": (found - targets).square().mean(), "balance": 0.01 * scale * balance}

    return Subject(source=weights, loss=loss)


MODELS = (
    Model(
        name="sparse embedding",
        family="torch",
        build=table,
        styles=frozenset({"rewritten", "permuted"}),
        mutants=TABLE_MUTANTS,
    ),
    Model(
        name="policy gradient",
        family="torch",
        build=policy,
        styles=frozenset({"rewritten", "permuted"}),
        mutants=POLICY_MUTANTS,
    ),
    Model(
        name="top-1 experts",
        family="torch",
        build=experts,
        styles=frozenset({"rewritten", "permuted"}),
        mutants=EXPERT_MUTANTS,
    ),
)
