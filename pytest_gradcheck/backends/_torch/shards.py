"""Show the part of a distributed tensor that lies here, by its place in the whole.

Requirements:
    A rank's part is a box of the whole (``Shard`` along any dimensions of the mesh, evenly or not),
    or all of it (``Replicate``). Pending sums (``Partial``) are carried out first.
    ``torch.distributed.tensor`` is not imported unless the user's own code did: it takes long.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from pytest_gradcheck.backends._torch.views import Chunk, TensorView, crossed, real_shape, to_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ShardView", "box", "is_sharded", "local", "shard_view", "share_of"]

_SHORT = 4096  # elements; shorter runs are shown together, with zeros between them


def is_sharded(tensor: object) -> bool:
    """Return whether this is a ``DTensor``."""
    kind = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", None)  # since torch 2.5
    return kind is not None and isinstance(tensor, kind)


def local(tensor: Any) -> torch.Tensor:  # noqa: ANN401 - a DTensor, which is not imported here
    """Return the part of a distributed tensor that lies here, in its own memory."""
    part: torch.Tensor = tensor.detach().to_local()
    return part


def share_of(tensor: Any) -> tuple[int, bool]:  # noqa: ANN401 - as above
    """Return the number of the part that lies here, and whether it is the first copy of it."""
    number, first = 0, True
    coordinate = tensor.device_mesh.get_coordinate() or ()
    for at, placement, size in zip(
        coordinate, tensor.placements, tensor.device_mesh.shape, strict=False
    ):
        if placement.is_shard():
            number = number * size + at
        else:
            first &= at == 0
    return number, first and bool(coordinate)


def box(tensor: Any) -> tuple[slice, ...]:  # noqa: ANN401 - as above
    """Return where in the whole the part lies that is here."""
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    shape, start = compute_local_shape_and_global_offset(
        tensor.shape, tensor.device_mesh, tensor.placements
    )
    return tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))


def shard_view(tensor: Any, like: Any = None) -> ShardView:  # noqa: ANN401 - as above
    """Return the view of a distributed tensor's part; a gradient lies as its parameter does."""
    tensor = tensor.detach()
    wanted = tensor.placements if like is None else like.placements
    if tensor.placements != wanted:
        tensor = tensor.redistribute(placements=wanted)
    return ShardView(local(tensor), tuple(tensor.shape), box(tensor))


@dataclass(frozen=True, slots=True)
class ShardView:
    """Show one box of a tensor (see `ArrayView`); the rest lies on other ranks.

    Attributes:
        part: what lies here.
        whole: shape of the whole tensor.
        place: the box, a slice for each axis.
    """

    part: torch.Tensor
    whole: tuple[int, ...]
    place: tuple[slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the real elements of the whole."""
        return (*self.whole, 2) if self.part.is_complex() else self.whole

    @property
    def dtype(self) -> str:
        """Name of the element type."""
        return TensorView(self.part).dtype

    @property
    def size(self) -> int:
        """Number of real elements of the whole."""
        return math.prod(self.shape)

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield ``(start, values)`` of the elements that lie here."""
        part = self.part.detach()
        place = self.place
        if part.is_complex():
            part, place = torch.view_as_real(part.resolve_conj()), (*place, slice(0, 2))
        if not part.numel():
            return
        if not part.ndim:
            yield 0, to_numpy(part.reshape(1))
            return
        yield from _runs(part, real_shape(part), self.shape, place, size)


def _runs(
    part: torch.Tensor,
    here: tuple[int, ...],
    whole: tuple[int, ...],
    place: tuple[slice, ...],
    size: int,
) -> Iterator[Chunk]:
    """Yield the elements of a box in the order of their places in the whole."""
    # Axes from `cut + 1` on lie here whole, so that a run spans axis `cut` and all after it.
    cut = max((i for i, n in enumerate(here) if n != whole[i]), default=0)
    inner = math.prod(whole[cut + 1 :])
    run, stride = here[cut] * inner, whole[cut] * inner
    first = place[cut].start * inner
    rows = part.reshape(-1, run)
    starts = _starts(here[:cut], whole[:cut], place[:cut])
    if cut == 0 or run >= _SHORT or stride > size:
        for row, start in zip(rows, starts, strict=True):
            yield from crossed(row, start * stride + first, size)
        return
    yield from _together(rows, starts, stride, first, size)


def _together(
    rows: torch.Tensor, starts: list[int], stride: int, first: int, size: int
) -> Iterator[Chunk]:
    """Yield short runs that follow each other at equal distances, zeros between them."""
    k, most, run = 0, size // stride, rows.shape[1]
    while k < len(starts):
        n = 1
        while n < most and k + n < len(starts) and starts[k + n] == starts[k] + n:
            n += 1
        chunk = rows.new_zeros(n, stride)
        chunk[:, :run] = rows[k : k + n]
        flat = chunk.reshape(-1)[: (n - 1) * stride + run]
        yield starts[k] * stride + first, to_numpy(flat)
        k += n


def _starts(here: tuple[int, ...], whole: tuple[int, ...], place: tuple[slice, ...]) -> list[int]:
    """Return the flat index over the leading axes of every run."""
    index = torch.zeros(1, dtype=torch.int64)
    for n, of, at in zip(here, whole, place, strict=True):
        index = (index[:, None] * of + torch.arange(at.start, at.start + n)).reshape(-1)
    found: list[int] = index.tolist()
    return found
