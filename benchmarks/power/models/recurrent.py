"""Recurrent networks: a GRU over 200 steps, and a chaotic one that forgets no rounding."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from benchmarks.power.models.numbers import filled, leaf, normal, order, random, tensor
from benchmarks.power.subject import Model, Subject, Variant

__all__ = ["MODELS"]

BATCH, LENGTH, INPUTS, WIDTH = 8, 200, 4, 12
GRU_MUTANTS = ("truncated after 100 steps", "targets off by one step", "first state 1e-3")
CHAOS_LENGTH, CHAOS_WIDTH, GAIN = 60, 24, 2.5
CHAOS_MUTANTS = ("truncated after 30 steps", "gain x1.0001")


def gru(variant: Variant) -> Subject:
    """Return a GRU that follows a signal over 200 steps."""
    model = nn.ModuleDict({"gru": nn.GRU(INPUTS, WIDTH), "head": nn.Linear(WIDTH, 1)})
    filled(model, 7)
    stream = random(8)
    inputs = normal(stream, LENGTH, BATCH, INPUTS)
    targets = normal(stream, LENGTH, BATCH, 1)
    chosen = order(BATCH, variant)
    inputs, targets = inputs[:, chosen], targets[:, chosen]
    if variant.mutant == GRU_MUTANTS[1]:
        targets = targets.roll(1, 0)
    first = 1e-3 if variant.mutant == GRU_MUTANTS[2] else 0.0

    def loss() -> torch.Tensor:
        state = torch.full((1, BATCH, WIDTH), first)
        if variant.mutant == GRU_MUTANTS[0]:
            early, state = model["gru"](inputs[:100], state)
            late, _ = model["gru"](inputs[100:], state.detach())
            outputs = torch.cat([early, late])
        elif "rewritten" in variant:
            outputs = stepped(model["gru"], inputs, state[0])
        else:
            outputs, _ = model["gru"](inputs, state)
        error: torch.Tensor = model["head"](outputs) - targets
        return error.square().mean()

    return Subject(source=model, loss=loss)


def stepped(gru: nn.Module, inputs: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """Return a GRU's outputs, one step after the other, written out."""
    weight_in, weight_state = gru.weight_ih_l0, gru.weight_hh_l0
    found = []
    for step in inputs:
        given = F.linear(step, weight_in, gru.bias_ih_l0)  # type: ignore[arg-type] # a parameter
        held = F.linear(state, weight_state, gru.bias_hh_l0)  # type: ignore[arg-type] # a parameter
        (reset_in, update_in, new_in), (reset, update, new) = given.chunk(3, -1), held.chunk(3, -1)
        candidate = torch.tanh(new_in + torch.sigmoid(reset_in + reset) * new)
        gate = torch.sigmoid(update_in + update)
        state = (1 - gate) * candidate + gate * state
        found.append(state)
    return torch.stack(found)


def chaotic(variant: Variant) -> Subject:
    """Return a tanh network whose gain makes every rounding grow from step to step."""
    stream = random(9)
    gain = GAIN * (1.0001 if variant.mutant == CHAOS_MUTANTS[1] else 1.0)
    weights = {
        "recurrent": leaf(stream, CHAOS_WIDTH, CHAOS_WIDTH, scale=CHAOS_WIDTH**-0.5),
        "inputs": leaf(stream, CHAOS_WIDTH, INPUTS, scale=0.5),
        "readout": leaf(stream, 1, CHAOS_WIDTH, scale=0.2),
    }
    inputs = normal(stream, CHAOS_LENGTH, BATCH, INPUTS)
    targets = tensor(stream.standard_normal((BATCH, 1)))
    chosen = order(BATCH, variant)
    inputs, targets = inputs[:, chosen], targets[chosen]

    def loss() -> torch.Tensor:
        state = torch.zeros(BATCH, CHAOS_WIDTH)
        for i, step in enumerate(inputs):
            if i == CHAOS_LENGTH // 2 and variant.mutant == CHAOS_MUTANTS[0]:
                state = state.detach()
            if "rewritten" in variant:
                both = torch.cat([gain * weights["recurrent"], weights["inputs"]], 1)
                state = torch.tanh(torch.cat([state, step], 1) @ both.T)
            else:
                drive = F.linear(step, weights["inputs"])
                state = torch.tanh(gain * F.linear(state, weights["recurrent"]) + drive)
        return (F.linear(state, weights["readout"]) - targets).square().mean()

    return Subject(source=weights, loss=loss)


MODELS = (
    Model(
        name="GRU, 200 steps",
        family="torch",
        build=gru,
        styles=frozenset({"rewritten", "permuted"}),
        mutants=GRU_MUTANTS,
    ),
    Model(
        name="chaotic RNN",
        family="torch",
        build=chaotic,
        styles=frozenset({"rewritten", "permuted"}),
        mutants=CHAOS_MUTANTS,
    ),
)
