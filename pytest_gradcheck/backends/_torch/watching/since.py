"""Gather what happened since the last step: losses, clipping, the scale of gradients."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pytest_gradcheck.backends._torch.watching.norms import largest, norms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch.optim import Optimizer

    from pytest_gradcheck.backends._torch.watching.pending import Pending, Row

__all__ = ["Since"]


@dataclass(slots=True)
class _Clip:
    """Hold one call that clipped: norms before, what they were clipped to, the total it found."""

    ids: tuple[int, ...]
    norms: torch.Tensor
    kind: str
    threshold: float
    largest: torch.Tensor | None = None
    total: torch.Tensor | None = None


class Since:
    """Keep what the next step will be told.

    Attributes:
        over: whether a step has used it: the next backward begins anew.
        scale: of the gradients, while a gradient scaler makes a step.
    """

    def __init__(self, pending: Pending) -> None:
        """Start with nothing."""
        self.over = False
        self.scale: torch.Tensor | None = None
        self._pending = pending
        self._losses: list[torch.Tensor] = []
        self._clips: list[_Clip] = []
        self._originals: dict[int, tuple[weakref.ref[torch.Tensor], torch.Tensor]] = {}

    def backward(self, roots: Sequence[torch.Tensor]) -> None:
        """Add losses; the first after a step begin anew."""
        if self.over:
            self._losses, self._clips, self.over = [], [], False
        self._losses += [self._original(root) for root in roots if root.numel() == 1]

    def scaled(self, outputs: object, result: object) -> None:
        """Remember the loss behind a scaled one, as long as that lives."""
        if isinstance(outputs, torch.Tensor) and isinstance(result, torch.Tensor):
            outputs, result = (outputs,), (result,)
        if isinstance(outputs, list | tuple) and isinstance(result, list | tuple):
            for plain, scaled in zip(outputs, result, strict=False):
                if isinstance(plain, torch.Tensor):
                    self._originals[id(scaled)] = weakref.ref(scaled), plain.detach()

    def clipping(self, parameters: Sequence[torch.Tensor], kind: str, threshold: float) -> None:
        """Take norms before gradients are clipped."""
        have = [p for p in parameters if p.grad is not None]
        if have:
            grads = [p.grad for p in have if p.grad is not None]
            clip = _Clip(tuple(map(id, have)), norms(grads), kind, threshold)
            if kind == "value":
                clip.largest = largest(grads)
            self._clips.append(clip)

    def clipped(self, total: torch.Tensor | None) -> None:
        """Remember the total norm that the last call found, of whichever order."""
        if self._clips and total is not None:
            self._clips[-1].total = total.detach()

    def loss(self, row: Row) -> None:
        """Tell a step its loss."""
        if self._losses:
            value = self._losses[0]
            for loss in self._losses[1:]:
                value = value + loss.to(value.device)
            self._pending.add(row, ["loss"], value.reshape(1))
            row["backwards"] = float(len(self._losses))
        if self.scale is not None:
            self._pending.add(row, ["loss_scale"], self.scale.reshape(1).clone())
            row["skipped"] = 0.0

    def gradients(
        self,
        row: Row,
        parameters: Sequence[torch.Tensor],
        names: Mapping[int, str],
        optimizer: Optimizer,
    ) -> None:
        """Tell a step the norms of its gradients, before clipping, and how they were clipped."""
        mine = {id(p) for p in parameters}
        told: set[int] = set()
        clips = [clip for clip in self._clips if mine.intersection(clip.ids)]
        for i, clip in enumerate(clips):
            keys = [
                f"norm.{names[one]}" if one in mine and one not in told else "" for one in clip.ids
            ]
            self._pending.add(row, keys, clip.norms)
            told.update(clip.ids)
            row[f"clip.{i}.{clip.kind}"] = clip.threshold
            if clip.largest is not None:
                self._pending.add(row, [f"clip.{i}.largest"], clip.largest)
            if clip.total is not None:
                self._pending.add(row, [f"clip.{i}.total"], clip.total.reshape(1))
        have = [p for p in parameters if p.grad is not None]
        rest = [p for p in have if id(p) not in told]
        if rest:
            found = norms([p.grad for p in rest if p.grad is not None])
            factor = getattr(optimizer, "grad_scale", None)  # of optimizers that unscale themselves
            if isinstance(factor, torch.Tensor):
                found = found / factor
            self._pending.add(row, [f"norm.{names[id(p)]}" for p in rest], found)
        if any(clip.kind == "value" for clip in clips):
            grads = [p.grad for p in have if p.grad is not None]
            self._pending.add(row, ["applied"], torch.linalg.vector_norm(norms(grads)).reshape(1))
        skipped = getattr(optimizer, "found_inf", None)
        if isinstance(skipped, torch.Tensor):
            self._pending.add(row, ["skipped"], skipped.reshape(1))

    def _original(self, root: torch.Tensor) -> torch.Tensor:
        """Return a loss as it was before it was scaled."""
        reference, plain = self._originals.pop(id(root), (None, root))
        return (plain if reference is not None and reference() is root else root).detach()
