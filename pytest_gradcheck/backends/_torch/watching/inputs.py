"""See what is fed to a model: range, mean and standard deviation, once a step.

Requirements:
    Only data counts: floating-point tensors that no gradient reaches, and no masks. The first
    module called in a step is the one that data is fed to, whether the loop calls the model itself
    or one of its parts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

__all__ = ["Sight", "seeing"]

STATISTICS = ("min", "max", "mean", "std")

Sight = Callable[[list[str], list[torch.Tensor], int], None]
"""Takes keys, one tensor of the four statistics for each input, and the batch size."""


@contextmanager
def seeing(model: nn.Module, due: Callable[[], bool], sight: Sight) -> Iterator[None]:
    """Have the inputs of a model described while the block runs.

    Args:
        model: that is trained.
        due: whether the inputs of this step are yet to be described; asked at each call.
        sight: told what they are.
    """

    def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not due():
            return
        found = dict(_data(module, args, kwargs))
        keys = ["input"] if len(found) == 1 else [f"input.{name}" for name in found]
        sight(keys, [_described(tensor) for tensor in found.values()], _batch(found, args))

    with ExitStack() as undo:
        for module in _entrances(model):
            undo.callback(module.register_forward_pre_hook(look, with_kwargs=True).remove)
        yield


def _entrances(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules that a loop may call directly: the model, its parts, those in lists."""
    yield model
    if hasattr(model, "_orig_mod"):  # compiled: its inside is one piece
        return
    for child in model.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _entrances(child)
        elif not isinstance(child, torch.jit.ScriptModule):
            yield child


def _data(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the inputs that are data, by the names that ``forward`` has for them."""
    try:
        names = [
            p.name
            for p in inspect.signature(module.forward).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    names += [str(i) for i in range(len(names), len(args))]
    for name, value in (*zip(names, args, strict=False), *kwargs.items()):
        if (
            isinstance(value, torch.Tensor)
            and value.is_floating_point()
            and not value.requires_grad
            and value.layout is torch.strided
            and value.numel()
            and "mask" not in name
        ):
            yield name, value


def _batch(found: dict[str, torch.Tensor], args: tuple[Any, ...]) -> int:
    """Return the size of the batch, 0 where it cannot be seen."""
    tensors = [*found.values(), *(a for a in args if isinstance(a, torch.Tensor))]
    return next((int(one.shape[0]) for one in tensors if one.ndim), 0)


@torch.no_grad()
def _described(tensor: torch.Tensor) -> torch.Tensor:
    """Return minimum, maximum, mean and standard deviation, shape ``(4,)``."""
    wide = tensor if tensor.dtype in {torch.float32, torch.float64} else tensor.float()
    low, high = torch.aminmax(wide)
    std, mean = torch.std_mean(wide, correction=0)
    return torch.stack([low, high, mean, std])
