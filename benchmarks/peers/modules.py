"""Models as modules, which is what other packages take, and gradients broken on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.power.observed import Answer, answer
from pytest_gradcheck.point import to_numpy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.power.subject import Subject
    from pytest_gradcheck.records import Objective

__all__ = ["Broken", "Native", "loss_of"]


class Native(torch.nn.Module):
    """Run a subject as it was written: its loss is the output, its leaves are the parameters."""

    def __init__(self, subject: Subject) -> None:
        """Take what a test would pass to ``gradcheck``."""
        super().__init__()
        source = subject.source
        named = source.named_parameters() if isinstance(source, torch.nn.Module) else source.items()  # type: ignore[attr-defined] # named tensors otherwise
        self.leaves = dict(named)
        if subject.loss is None:
            msg = "a model of torch has a closure; this one has none"
            raise ValueError(msg)
        self.loss = subject.loss

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - torch's
        """Yield the leaves, which need not be of torch's class for parameters."""
        yield from self.leaves.items()

    def forward(self) -> torch.Tensor:
        """Return the loss, components added up."""
        found: Any = self.loss()
        parts = list(found.values()) if isinstance(found, dict) else [found]
        return torch.stack(parts).sum()


class Broken(torch.nn.Module):
    """Return the loss of an objective in float64, and a changed gradient as its own."""

    def __init__(self, objective: Objective, change: Callable[[Answer], Answer]) -> None:
        """Take the objective and what is done to its gradient."""
        super().__init__()
        self.names = list(objective.point)
        values = (np.array(to_numpy(view)) for view in objective.point.values())
        self.leaves = [torch.from_numpy(v).double().requires_grad_() for v in values]
        self.loss = loss_of(objective, change)

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - torch's
        """Yield the parameters under their own names."""
        yield from zip(self.names, self.leaves, strict=True)

    def forward(self) -> torch.Tensor:
        """Return the loss."""
        return self.loss(*self.leaves)


def loss_of(
    objective: Objective, change: Callable[[Answer], Answer]
) -> Callable[..., torch.Tensor]:
    """Return the loss as a function of all parameters, in float64, with a changed gradient.

    Args:
        objective: of a model of torch.
        change: what is done to the gradient.
    """
    names = list(objective.point)

    class Loss(torch.autograd.Function):
        """Return the loss, and the changed gradient as its own."""

        @staticmethod
        def forward(ctx: Any, *given: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's own
            """Evaluate the loss."""
            ctx.point = {n: g.detach().numpy() for n, g in zip(names, given, strict=True)}
            with torch.enable_grad():
                value = objective.value(ctx.point, precision="float64")
            return torch.tensor(value, dtype=torch.float64)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:  # noqa: ANN401 - as above
            """Return the changed gradient, ``None`` where there is none."""
            with torch.enable_grad():
                whole = objective.value_and_grad(ctx.point, precision="float64")
            found = change(answer(whole)).grads
            return tuple(
                None if (g := found[n]) is None else grad * torch.from_numpy(np.array(g))
                for n in names
            )

    return Loss.apply
