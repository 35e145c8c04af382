"""Read what a user asks to be watched: a model, optimizers, scalars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import Optimizer

from pytest_gradcheck.backends._torch.watching.names import parameters_of
from pytest_gradcheck.errors import UsageError, UsageTypeError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Watched", "scalar"]


@dataclass(slots=True)
class Watched:
    """Hold what is watched.

    Attributes:
        model: whose parameters are stepped, ``None`` where nobody said.
        optimizers: names by identity; grows where all that step the model are watched.
        every: whether optimizers that nobody named are watched.
    """

    model: nn.Module | None
    optimizers: dict[int, str]
    every: bool
    _own: frozenset[int] = frozenset()
    _kept: tuple[Optimizer, ...] = ()

    @classmethod
    def of(cls, model: object, optimizer: object) -> Self:
        """Check what was passed.

        Raises:
            UsageError: it is no module or no optimizer, or they have nothing to do with each other.
        """
        if model is not None and not isinstance(model, nn.Module):
            msg = f"watch() takes a torch.nn.Module to watch, not a {type(model).__name__}"
            raise UsageTypeError(msg)
        named = _named(optimizer)
        own = frozenset(id(p) for p in model.parameters()) if model is not None else frozenset()
        for name, one in named.items():
            if own and not own.intersection(map(id, parameters_of(one))):
                which = f"the optimizer {name!r}" if len(named) > 1 else "the optimizer"
                msg = (
                    f"{which} steps no parameter of the {type(model).__name__} that is watched; "
                    "was it made from another copy of the model?"
                )
                raise UsageError(msg)
        return cls(
            model=model,
            optimizers={id(_inner(one)): name for name, one in named.items()},
            every=not named,
            _own=own,
            _kept=tuple(map(_inner, named.values())),  # type: ignore[arg-type] # checked above
        )

    def name_of(self, optimizer: Optimizer) -> str | None:
        """Return an optimizer's name, ``None`` where it is not watched."""
        known = self.optimizers.get(id(optimizer))
        if known is not None or not self.every:
            return known
        if self._own and not self._own.intersection(map(id, parameters_of(optimizer))):
            return None
        self._kept = (*self._kept, optimizer)  # an identity is good while the object lives
        self.optimizers[id(optimizer)] = name = f"optimizer{len(self.optimizers)}"
        return name

    def object_of(self, name: str) -> Optimizer:
        """Return the optimizer of a name."""
        return next(one for one in self._kept if self.optimizers[id(one)] == name)


def scalar(key: str, value: object) -> float | torch.Tensor:
    """Return a number, or a tensor of one that is fetched later.

    Raises:
        UsageTypeError: the value is neither.
    """
    if isinstance(value, torch.Tensor):
        if value.numel() == 1 and not value.is_complex():
            return value.detach().reshape(1).clone()
        msg = f"{key!r} has shape {tuple(value.shape)}; log one number: .mean() or .sum()"
        raise UsageTypeError(msg)
    try:
        return float(value)  # type: ignore[arg-type] # anything that is a number
    except (TypeError, ValueError):
        msg = f"{key!r} must be a number or a tensor of one, not {value!r}"
        raise UsageTypeError(msg) from None


def _named(optimizer: object) -> dict[str, Optimizer]:
    """Return optimizers by name: the only one has none, others have their number."""
    if optimizer is None:
        return {}
    if isinstance(optimizer, Mapping):
        named = {str(name): one for name, one in optimizer.items()}
    elif isinstance(optimizer, list | tuple):
        named = {f"optimizer{i}": one for i, one in enumerate(optimizer)}
    else:
        named = {"optimizer0": optimizer}
    for one in named.values():
        if not isinstance(_inner(one), Optimizer):
            msg = (
                "optimizer= takes a torch.optim.Optimizer, a list of them or a mapping of names to "
                f"them, not {one!r}"
            )
            raise UsageTypeError(msg)
    if not named:
        msg = "optimizer= is empty; leave it out to watch every optimizer that steps the model"
        raise UsageError(msg)
    return named


def _inner(optimizer: object) -> object:
    """Return the optimizer that is stepped, behind the wrappers of trainers."""
    for _ in range(4):
        inner = getattr(optimizer, "optimizer", None) or getattr(optimizer, "_optimizer", None)
        if not isinstance(inner, Optimizer):
            break
        optimizer = inner
    return optimizer
