"""Show tensors to the statistics: chunk by chunk, on the CPU, never as a second full copy.

Requirements:
    The order is the logical C order whatever the memory layout, so that ``channels_last`` or a
    transposed gradient gives the same statistics and the same sketch. A contiguous CPU tensor is
    shown in place. A sparse gradient is never made dense: only its own elements are shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView, Place

__all__ = [
    "Chunk",
    "SparseView",
    "TensorView",
    "crossed",
    "is_here",
    "pieces",
    "real_shape",
    "to_numpy",
    "view_of",
]

_IN_NUMPY = {torch.float16, torch.float32, torch.float64}
_BYTES = {torch.float32: 4, torch.float64: 8}
_PLAIN = {torch.Tensor, torch.nn.Parameter}  # a subclass may hold its elements as it likes
_HERE = {"cpu", "meta"}  # types of devices whose tensors are here, or have no values
_CROSSING = 2**22  # elements that are copied from an accelerator at a time
_GAP = 1024  # elements; a chunk of its own costs more than showing that many zeros

Chunk = tuple[int, "NDArray[np.floating[Any]]"]


def view_of(tensor: torch.Tensor) -> ArrayView:
    """Return the view that fits the tensor's layout."""
    if tensor.layout is torch.strided:
        return TensorView(tensor)
    if tensor.layout is torch.sparse_coo:
        return SparseView(tensor.detach().coalesce())
    if tensor.layout in {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}:
        return SparseView(tensor.detach().to_sparse(layout=torch.sparse_coo).coalesce())
    return TensorView(tensor.to_dense())


@dataclass(frozen=True, slots=True)
class TensorView:
    """Show a strided tensor (see `ArrayView`); complex as pairs of reals."""

    tensor: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the real elements."""
        return real_shape(self.tensor)

    @property
    def dtype(self) -> str:
        """Name of the element type."""
        return _name_of(self.tensor.dtype)

    @property
    def size(self) -> int:
        """Number of real elements."""
        count = self.tensor.numel()
        return 2 * count if self.tensor.is_complex() else count

    @property
    def memory(self) -> tuple[int, int, int] | None:
        """Where float32 or float64 elements lie in one row (see `ArrayView`)."""
        tensor = self.tensor
        size = _BYTES.get(tensor.dtype)
        plain = size and type(tensor) in _PLAIN and tensor.is_cpu and tensor.is_contiguous()
        if not size or not plain or tensor.is_neg():
            return None
        address = tensor.data_ptr()
        return (address, tensor.numel(), size) if address else None

    @property
    def afar(self) -> Place | None:
        """Where the tensor is reduced, ``None`` where that is here."""
        if is_here(self.tensor):
            return None
        from pytest_gradcheck.backends._torch.device import place_of

        return place_of(self.tensor)

    @property
    def flat(self) -> NDArray[np.floating[Any]] | None:
        """The elements in one row, a copy if they lie elsewhere; ``None`` where that takes more."""
        tensor = self.tensor.detach()
        if not tensor.is_contiguous():
            return None
        if tensor.is_cpu and tensor.dtype in _IN_NUMPY and not tensor.is_neg():
            flat = tensor.numpy().reshape(-1)
            flat.flags.writeable = False
            return flat
        if tensor.is_complex() or tensor.is_meta:
            return None
        if tensor.is_cuda:  # a thread that reduces knows nothing of the stream this was made on
            torch.cuda.synchronize(tensor.device)
        return to_numpy(tensor.reshape(-1))

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield ``(start, values)``; slices of the tensor itself where it is contiguous."""
        flat = self.flat if self.tensor.is_cpu and self.tensor.dtype in _IN_NUMPY else None
        if flat is not None:  # one crossing into numpy, not one for each chunk
            for start in range(0, flat.size, size):
                yield start, flat[start : start + size]
            return
        tensor = self.tensor.detach()
        if not tensor.is_complex():
            yield from crossed(tensor, 0, size)
            return
        for start, piece in pieces(tensor, 0, max(1, size // 2)):
            pairs = torch.view_as_real(piece.resolve_conj()).reshape(-1)
            for offset in range(0, pairs.numel(), size):
                yield 2 * start + offset, to_numpy(pairs[offset : offset + size])


@dataclass(frozen=True, slots=True)
class SparseView:
    """Show a coalesced COO tensor (see `ArrayView`): only what it holds, in rising order."""

    tensor: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the real elements, those that are not held included."""
        return real_shape(self.tensor)

    @property
    def dtype(self) -> str:
        """Name of the element type."""
        return _name_of(self.tensor.dtype)

    @property
    def size(self) -> int:
        """Number of real elements, those that are not held included."""
        return math.prod(self.shape)

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield ``(start, values)`` of the rows that are held, neighbours joined."""
        values = self.tensor.values()
        if values.is_complex():
            values = torch.view_as_real(values.resolve_conj())
        inner = math.prod(values.shape[1:])
        rows = _flat_index(self.tensor)
        if inner == 1:
            yield from _scattered(rows, values.reshape(-1), size)
            return
        for first, last in _runs(rows, 1):
            start = int(rows[first]) * inner
            for offset, piece in pieces(values[first:last], 0, size):
                yield start + offset, to_numpy(piece)


def real_shape(tensor: torch.Tensor) -> tuple[int, ...]:
    """Return the shape with a complex tensor's last axis of two."""
    return (*tensor.shape, 2) if tensor.is_complex() else tuple(tensor.shape)


def is_here(tensor: torch.Tensor) -> bool:
    """Whether a tensor lies here, or has no values."""
    return ("cpu" if tensor.is_cpu else tensor.device.type) in _HERE  # the first is told sooner


@cache
def _name_of(dtype: torch.dtype) -> str:
    """Return the name of an element type: ``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def pieces(tensor: torch.Tensor, start: int, size: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield flat pieces in C order; only a piece of what is not contiguous is ever copied."""
    if tensor.is_contiguous():
        flat = tensor.view(-1)
        for offset in range(0, flat.numel(), size):
            yield start + offset, flat[offset : offset + size]
        return
    inner = math.prod(tensor.shape[1:])
    if inner > size:
        for row in range(tensor.shape[0]):
            yield from pieces(tensor[row], start + row * inner, size)
        return
    rows = size // inner
    for row in range(0, tensor.shape[0], rows):
        yield start + row * inner, tensor[row : row + rows].reshape(-1)


def crossed(tensor: torch.Tensor, start: int, size: int) -> Iterator[Chunk]:
    """Yield the elements of a real tensor in C order, their indices beginning at `start`."""
    # Each crossing from an accelerator waits for it: few large ones, cut up on this side.
    at_once = size if tensor.is_cpu else max(size, _CROSSING)
    for first, piece in pieces(tensor, start, at_once):
        flat = to_numpy(piece)
        for offset in range(0, flat.size, size):
            yield first + offset, flat[offset : offset + size]


def to_numpy(flat: torch.Tensor) -> NDArray[Any]:
    """Return a flat real tensor as a numpy array that is only to be read."""
    if flat.dtype not in _IN_NUMPY:
        flat = flat.to(torch.float32)  # bfloat16 and narrower fit exactly
    array: NDArray[Any] = flat.detach().resolve_neg().cpu().numpy()
    array.flags.writeable = False
    return array


def _flat_index(tensor: torch.Tensor) -> torch.Tensor:
    """Return the C-order index of each held row over the sparse dimensions, rising."""
    index = tensor.indices()
    flat = torch.zeros(index.shape[1], dtype=torch.int64, device=index.device)
    for axis in range(index.shape[0]):
        flat = flat * tensor.shape[axis] + index[axis]
    return flat.cpu()


def _runs(rows: torch.Tensor, gap: int) -> Iterator[tuple[int, int]]:
    """Yield ``(first, last + 1)`` of the rows between which no step is wider than the gap."""
    if not rows.numel():
        return
    breaks = (torch.nonzero(rows.diff() > gap).reshape(-1) + 1).tolist()
    yield from zip([0, *breaks], [*breaks, rows.numel()], strict=True)


def _scattered(rows: torch.Tensor, values: torch.Tensor, size: int) -> Iterator[Chunk]:
    """Yield single elements, those near each other as one chunk with zeros between them."""
    for first, last in _runs(rows, _GAP):
        while first < last:
            start = int(rows[first])
            stop = int(torch.searchsorted(rows[:last], start + size))
            chunk = values.new_zeros(int(rows[stop - 1]) + 1 - start)
            chunk[(rows[first:stop] - start).to(values.device)] = values[first:stop]
            yield start, to_numpy(chunk)
            first = stop  # noqa: PLW2901 - the run is eaten from its front
