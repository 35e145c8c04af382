"""Go over a module and all within it, once, for everything that wants to know their names.

Requirements:
    Names are those of ``named_parameters()``, in its order, each of a tied parameter included.
    Wrappers do not show in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Place", "named_in", "named_parameters", "places", "unwrapped"]

Place: TypeAlias = tuple[str, torch.nn.Module]
"""What the names of a module's own entries begin with, and the module."""

_COMPILED = "_orig_mod"


def unwrapped(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module behind compilation and ``DistributedDataParallel``."""
    while True:
        inner = getattr(module, _COMPILED, None)
        if isinstance(module, torch.nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, torch.nn.Module):
            return module
        module = inner


def places(module: torch.nn.Module, prefix: str = "") -> list[Place]:
    """Return a module and all within it, one that has several names under each of them."""
    found = [(prefix, module)]
    for name, child in _registry(module, "_modules"):
        if isinstance(child, torch.nn.Module):
            found += places(child, prefix if name == _COMPILED else f"{prefix}{name}.")
    return found


def named_in(where: Sequence[Place], registry: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield what stands in one registry of modules, under each of its names."""
    for prefix, module in where:
        for name, tensor in _registry(module, registry):
            if isinstance(tensor, torch.Tensor):
                yield prefix + name, tensor


def named_parameters(where: Sequence[Place]) -> Iterable[tuple[str, torch.Tensor]]:
    """Return every parameter under each of its names.

    Args:
        where: the `places` of the module that is not within another one.
    """
    _, module = where[0]
    if getattr(module.named_parameters, "__func__", None) is torch.nn.Module.named_parameters:
        return named_in(where, "_parameters")
    # A class of its own mind: a wrapper, for one, that hides its part of the names.
    return [
        (".".join(part for part in key.split(".") if part != _COMPILED), tensor)
        for key, tensor in module.named_parameters(remove_duplicate=False)
    ]


def _registry(module: torch.nn.Module, name: str) -> Iterable[tuple[str, object]]:
    """Return the entries of a registry; a scripted module has it elsewhere than others."""
    entries: Iterable[tuple[str, object]] = getattr(module, name).items()
    return entries
