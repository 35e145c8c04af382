"""Find the names of parameters: in the model that was given, or in the one they belong to."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch.optim import Optimizer

__all__ = ["autocast", "coarsest", "facts_of", "model_of", "names_of", "parameters_of", "rates_of"]


def parameters_of(optimizer: Optimizer) -> list[torch.Tensor]:
    """Return the parameters that an optimizer moves, each once."""
    groups = optimizer.param_groups
    return list({id(p): p for group in groups for p in group["params"]}.values())


def model_of(parameters: Sequence[torch.Tensor]) -> nn.Module | None:
    """Return the smallest module that holds most of some parameters, ``None`` where none does.

    All living modules are looked at, which takes some milliseconds: done once for an optimizer.
    """
    wanted = {id(p) for p in parameters}
    best: tuple[int, int] = (0, 0)
    found = None
    for thing in gc.get_objects():
        if not issubclass(type(thing), nn.Module) or "_parameters" not in vars(thing):
            continue
        held = sum(id(p) in wanted for p in thing.parameters())
        size = -sum(1 for _ in thing.modules())
        if held and (held, size) > best:
            best, found = (held, size), thing
    return found


def names_of(optimizer: Optimizer, known: Mapping[int, str]) -> dict[int, str]:
    """Return the names of an optimizer's parameters by identity.

    Args:
        optimizer: whose parameters to name.
        known: names by identity, from a model; a parameter of no model is named by group and
            place.
    """
    found = {}
    for i, group in enumerate(optimizer.param_groups):
        own = group.get("param_names") or [""] * len(group["params"])
        for j, (parameter, name) in enumerate(zip(group["params"], own, strict=True)):
            found[id(parameter)] = known.get(id(parameter)) or name or f"group{i}.{j}"
    return found


def facts_of(model: nn.Module, named: Mapping[str, torch.Tensor]) -> dict[str, int | str]:
    """Return how large a model is, how precise, and how many layers normalise over the batch.

    Args:
        model: to describe.
        named: its parameters.
    """
    facts: dict[str, int | str] = {
        "parameters": len(named),
        "elements": sum(p.numel() for p in named.values()),
        "precision": coarsest(p.dtype for p in named.values()),
    }
    kind = nn.modules.batchnorm._BatchNorm  # noqa: SLF001 - the class of all of them
    normalised = sum(isinstance(module, kind) for module in model.modules())
    return facts | ({"batch_norm": normalised} if normalised else {})


def coarsest(dtypes: Iterable[torch.dtype]) -> str:
    """Return the name of the dtype with the fewest digits, of those that have any."""
    known = [dtype for dtype in dtypes if dtype.is_floating_point or dtype.is_complex]
    real = [dtype.to_real() for dtype in known] or [torch.float32]
    return str(max(real, key=lambda dtype: torch.finfo(dtype).eps)).removeprefix("torch.")


def autocast(device: str) -> torch.dtype | None:
    """Return what operations on a kind of device are computed in now, ``None`` for as written."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def rates_of(optimizer: Optimizer) -> dict[str, float | torch.Tensor]:
    """Return the learning rate of each group of an optimizer; tensors ``[1]`` are copies."""
    groups = optimizer.param_groups
    found: dict[str, float | torch.Tensor] = {}
    for i, group in enumerate(groups):
        rate = group.get("lr")
        if rate is not None:
            key = "lr" if len(groups) == 1 else f"lr.{i}"
            tensor = isinstance(rate, torch.Tensor)
            found[key] = rate.detach().reshape(1).clone() if tensor else float(rate)
    return found
