"""See how far a step moves the weights: a copy of them before it, the difference after it.

Requirements:
    Copies of one kind lie in one block, so that norms are taken of blocks and not of hundreds of
    tensors. On a CPU the blocks stay for the next step, since fresh memory costs more than the
    copying; an accelerator has its memory back as soon as the step is made.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Weights"]

_ROW = 1 << 16  # elements in one sum: more lose digits in float32


class Weights:
    """Keep copies of what optimizers move, while they move it."""

    def __init__(self) -> None:
        """Start with no copy."""
        self._taken: dict[int, _Copies] = {}
        self._spare: dict[int, _Copies] = {}

    def before(self, owner: int, parameters: Sequence[torch.Tensor]) -> None:
        """Copy parameters that are about to be moved.

        Args:
            owner: who moves them.
            parameters: of any shapes, dtypes and devices.
        """
        spare = self._spare.pop(owner, None)
        room = spare if spare is not None and spare.fits(parameters) else _Copies(parameters)
        room.take(parameters)
        self._taken[owner] = room

    def after(self, owner: int) -> torch.Tensor | None:
        """Return the norms of what was copied and of what it moved by, or ``None``: no copy.

        Returns:
            shape ``(2,)``, float32 or wider, on the device of the first parameter.
        """
        copies = self._taken.pop(owner, None)
        if copies is None:
            return None
        if copies.on_cpu:
            self._spare[owner] = copies
        return copies.changes()


class _Copies:
    """Hold room for copies of some parameters."""

    def __init__(self, parameters: Sequence[torch.Tensor]) -> None:
        """Find the room."""
        self._parameters = tuple(parameters)
        self._kinds = [_kind(parameter) for parameter in parameters]
        self._groups: list[tuple[list[int], torch.Tensor, list[torch.Tensor]]] = []
        kinds: dict[tuple[torch.device, torch.dtype], list[int]] = {}
        for i, (_, dtype, device) in enumerate(self._kinds):
            kinds.setdefault((device, torch.promote_types(dtype, torch.float32)), []).append(i)
        for (device, dtype), places in kinds.items():
            block, views = _room([self._kinds[i][0] for i in places], dtype, device)
            self._groups.append((places, block, views))

    @property
    def on_cpu(self) -> bool:
        """Whether all of it is in main memory."""
        return all(block.is_cpu for _, block, _ in self._groups)

    def fits(self, parameters: Sequence[torch.Tensor]) -> bool:
        """Whether these are the parameters that there is room for."""
        return (
            len(parameters) == len(self._parameters)
            and all(map(operator.is_, parameters, self._parameters))
            and self._kinds == [_kind(parameter) for parameter in parameters]
        )

    @torch.no_grad()
    def take(self, parameters: Sequence[torch.Tensor]) -> None:
        """Copy the parameters as they are now."""
        self._parameters = tuple(parameters)
        for places, _, copies in self._groups:
            torch._foreach_copy_(copies, self._now(places))

    @torch.no_grad()
    def changes(self) -> torch.Tensor:
        """Return the norms of the copies and of what changed since, which uses them up."""
        sizes, moves = [], []
        for places, block, copies in self._groups:
            sizes.append(_norm(block))
            torch._foreach_sub_(copies, self._now(places))
            moves.append(_norm(block))
        device = sizes[0].device
        joined = (torch.stack([one.to(device) for one in some]) for some in (sizes, moves))
        return torch.stack([torch.linalg.vector_norm(some) for some in joined])

    def _now(self, places: Sequence[int]) -> list[torch.Tensor]:
        """Return some of the parameters as they are now."""
        return [_real(self._parameters[i]) for i in places]


def _room(
    shapes: Sequence[torch.Size], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return a block ``[row, element]`` of zeros, and a view into it for each shape."""
    sizes = [shape.numel() for shape in shapes]
    block = torch.zeros(-(-sum(sizes) // _ROW), _ROW, dtype=dtype, device=device)
    parts = torch.split(block.view(-1)[: sum(sizes)], sizes)
    return block, [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _norm(block: torch.Tensor) -> torch.Tensor:
    """Return the norm of a block, shape ``()``."""
    norm: torch.Tensor = torch.linalg.vector_norm(torch.linalg.vector_norm(block, dim=1))
    return norm


def _kind(parameter: torch.Tensor) -> tuple[torch.Size, torch.dtype, torch.device]:
    """Return what a copy of a parameter must look like."""
    real = _real(parameter)
    return real.shape, real.dtype, real.device


def _real(parameter: torch.Tensor) -> torch.Tensor:
    """Return the elements of a parameter that are here, as real numbers, in their own memory."""
    plain = parameter.detach()
    if hasattr(plain, "to_local"):  # a shard of a distributed one
        plain = plain.to_local()
    return torch.view_as_real(plain) if plain.is_complex() else plain
