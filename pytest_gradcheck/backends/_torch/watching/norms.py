"""Take the norms of many tensors at once, without waiting for the device.

Requirements:
    What watching costs is memory traffic, so that nothing is read twice that need not be: where
    torch asks for the very norms that were just taken, as clipping does, it is given those.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["largest", "norms", "remembering"]

_HALF = {torch.float16, torch.bfloat16}


@torch.no_grad()
def norms(tensors: Sequence[torch.Tensor], order: float = 2.0) -> torch.Tensor:
    """Return the norm of each tensor, float32 or wider, shape ``(len(tensors),)``.

    Args:
        tensors: of any shapes, sparse ones included, on any devices.
        order: of the norm.
    """
    plain = [_plain(tensor) for tensor in tensors]
    groups: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for i, tensor in enumerate(plain):
        groups.setdefault((tensor.device, tensor.dtype), []).append(i)
    found: list[torch.Tensor] = [torch.empty(0)] * len(plain)
    for places in groups.values():
        some = torch._foreach_norm([plain[i] for i in places], order)  # noqa: SLF001 - as torch.nn.utils does
        for i, norm in zip(places, some, strict=True):
            found[i] = norm
    if len(groups) > 1:
        device = found[0].device
        wide = torch.float64 if any(n.dtype is torch.float64 for n in found) else torch.float32
        found = [n.to(device=device, dtype=wide, non_blocking=True) for n in found]
    return torch.stack(found)


@contextmanager
def remembering() -> Iterator[None]:
    """Have torch's many norms taken once while the block runs, whoever asks for the same again."""
    plain = torch._foreach_norm  # noqa: SLF001 - as torch.nn.utils does
    known: dict[object, tuple[list[torch.Tensor], tuple[torch.Tensor, ...]]] = {}

    @functools.wraps(plain)
    def foreach_norm(
        tensors: list[torch.Tensor],
        *args: Any,  # noqa: ANN401 - torch's own
        **kwargs: Any,  # noqa: ANN401 - torch's own
    ) -> tuple[torch.Tensor, ...]:
        key = (tuple((id(t), t._version) for t in tensors), args, *kwargs.items())  # noqa: SLF001
        if key not in known:
            known[key] = tensors, plain(tensors, *args, **kwargs)  # kept, as are their identities
        return known[key][1]

    torch._foreach_norm = foreach_norm  # type: ignore[assignment] # noqa: SLF001
    try:
        yield
    finally:
        torch._foreach_norm = plain  # noqa: SLF001


def largest(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the largest absolute element of all tensors, shape ``(1,)``."""
    return norms(tensors, float("inf")).max().reshape(1)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return what the norm is to be taken of: stored elements, real, wide enough, never empty."""
    if tensor.layout is torch.sparse_coo:
        tensor = tensor.coalesce().values()
    elif tensor.layout is not torch.strided:
        tensor = tensor.values()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if tensor.dtype in _HALF:
        tensor = tensor.float()  # whose squares would overflow
    return tensor if tensor.numel() else tensor.new_zeros(1)
