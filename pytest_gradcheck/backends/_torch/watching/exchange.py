"""Exchange what torch calls for something that calls it, and put it back."""

from __future__ import annotations

from types import CellType, GeneratorType
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils import clip_grad

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

__all__ = ["exchange", "exchange_within", "listed"]


def exchange(
    undo: ExitStack,
    owner: Any,  # noqa: ANN401 - a module or a class
    name: str,
    tapped: Callable[[Any], object],
) -> None:
    """Exchange an attribute, and have it put back."""
    plain = getattr(owner, name)
    setattr(owner, name, tapped(plain))
    undo.callback(setattr, owner, name, plain)


def exchange_within(undo: ExitStack, name: str, tapped: Callable[[Any], object]) -> None:
    """Exchange what a function of ``clip_grad`` calls, and have it put back."""
    cell = _cell(getattr(clip_grad, name))
    if cell is None:  # another torch: then only those who look it up when they call it are heard
        exchange(undo, clip_grad, name, tapped)
        if hasattr(torch.nn.utils, name):
            exchange(undo, torch.nn.utils, name, tapped)
        return
    plain = cell.cell_contents
    cell.cell_contents = tapped(plain)
    undo.callback(setattr, cell, "cell_contents", plain)


def _cell(function: Any) -> CellType | None:  # noqa: ANN401 - a function of torch's
    """Return the closure cell that holds the one function that a wrapper calls."""
    cells = [c for c in function.__closure__ or () if callable(c.cell_contents)]
    return cells[0] if len(cells) == 1 else None


def listed(parameters: Any) -> tuple[list[torch.Tensor], Any]:  # noqa: ANN401 - torch's own
    """Return parameters as a list, and as what torch would have been given."""
    if isinstance(parameters, torch.Tensor):
        return [parameters], parameters
    known = list(parameters)
    return known, (one for one in known) if isinstance(parameters, GeneratorType) else known
