"""Take the norms of many tensors at once, without waiting for the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["largest", "norms", "total"]

_HALF = {torch.float16, torch.bfloat16}


@torch.no_grad()
def norms(tensors: Sequence[torch.Tensor], order: float = 2.0) -> torch.Tensor:
    """Return the norm of each tensor, float32 or wider, shape ``(len(tensors),)``.

    Args:
        tensors: of any shapes, sparse ones included, on any devices.
        order: of the norm.
    """
    plain = [_plain(tensor) for tensor in tensors]
    found: list[torch.Tensor] = [torch.empty(0)] * len(plain)
    groups: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for i, tensor in enumerate(plain):
        groups.setdefault((tensor.device, tensor.dtype), []).append(i)
    for places in groups.values():
        some = torch._foreach_norm([plain[i] for i in places], order)  # noqa: SLF001 - as torch.nn.utils does
        for i, norm in zip(places, some, strict=True):
            found[i] = norm
    device = found[0].device
    wide = torch.float64 if any(n.dtype is torch.float64 for n in found) else torch.float32
    return torch.stack([n.to(device=device, dtype=wide, non_blocking=True) for n in found])


def total(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the norm over all tensors, shape ``(1,)``."""
    norm: torch.Tensor = torch.linalg.vector_norm(norms(tensors))
    return norm.reshape(1)


def largest(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the largest absolute element of all tensors, shape ``(1,)``."""
    return norms(tensors, float("inf")).max().reshape(1)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return what the norm is to be taken of: stored elements, real, wide enough, never empty."""
    tensor = tensor.detach()
    if tensor.layout is torch.sparse_coo:
        tensor = tensor.coalesce().values()
    elif tensor.layout is not torch.strided:
        tensor = tensor.values()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if tensor.dtype in _HALF:
        tensor = tensor.float()  # whose squares would overflow
    return tensor if tensor.numel() else tensor.new_zeros(1)
