"""Bring tensors over from a device: all at once, since each crossing waits for the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["brought"]


def brought(tensors: Sequence[torch.Tensor]) -> list[NDArray[Any]]:
    """Return tensors on one device as arrays, bit for bit, by a single copy.

    Args:
        tensors: of any shapes; what is bfloat16 there is float32 here, which holds it exactly.
    """
    # The widest first, so that each lies where its width demands.
    order = sorted(range(len(tensors)), key=lambda i: -tensors[i].element_size())
    row = torch.cat([_bytes(tensors[i]) for i in order]).cpu()
    found: dict[int, NDArray[Any]] = {}
    start = 0
    for i in order:
        here = row[start : start + tensors[i].nbytes].view(tensors[i].dtype)
        wide = here.to(torch.float32) if here.dtype is torch.bfloat16 else here
        found[i] = wide.view(tensors[i].shape).numpy()
        found[i].flags.writeable = False
        start += tensors[i].nbytes
    return [found[i] for i in range(len(tensors))]


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Return the elements of a tensor, in C order, as bytes in one row."""
    single = tensor.reshape(-1).unsqueeze(-1)  # whose last stride is 1, whatever the others are
    return single.view(torch.uint8).reshape(-1)
