"""Reduce tensors on the device they lie on, and bring over what is left in one copy.

Tensors of up to 4,093 elements come over as they are, together: reducing them here costs less than
starting kernels for them there. Larger ones are reduced there by `fold`. Tensors that are to be
multiplied with each other share a few kernels whatever their sizes are (`tables`, `products`).

Requirements:
    The device is waited for once for each call: by the copy. A gradient with NaN or Inf takes a
    second one, which says where they are; more than 16 MB of small tensors take one for each 16 MB.
    Beside the tensors and what is brought over, at most 40 MB are held there, or 54 MB where a
    large tensor is not contiguous, and nothing afterwards. What is brought over of large tensors is
    some 800 bytes for each, and 30 for every 4,093 elements. To multiply tensors takes 34 MB, and
    what is brought over of them is 8 bytes for each pair and every 4,096 elements, or less. A trial
    (`samples`) holds 80 MB.
    Anything unusual (sparse, conjugated, of a class of its own) is left to the CPU, and so is all
    on a device without float64 (``mps``), without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import torch

from pytest_gradcheck.backends._torch.device import crossing
from pytest_gradcheck.backends._torch.device.fold import MOST, Tools
from pytest_gradcheck.backends._torch.device.found import Odd, located, read, reduced
from pytest_gradcheck.backends._torch.device.products import multiplied
from pytest_gradcheck.backends._torch.device.products import read as multiplications
from pytest_gradcheck.backends._torch.device.project import Projector
from pytest_gradcheck.backends._torch.device.rows import Group, groups
from pytest_gradcheck.backends._torch.device.tables import batches
from pytest_gradcheck.records import Gathered
from pytest_gradcheck.stats.signs import LANES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_gradcheck.records import ArrayView, Products, Sums

__all__ = ["TorchPlace", "place_of"]

_EXACT: Final = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_PAIRS: Final = {torch.complex32, torch.complex64, torch.complex128}
_AT_ONCE: Final = 2**24  # bytes of small tensors that come over together


def place_of(tensor: torch.Tensor) -> TorchPlace | None:
    """Return where a tensor that lies elsewhere can be reduced, ``None`` where that is here."""
    plain = (
        _has_float64(tensor.device)
        and type(tensor) in {torch.Tensor, torch.nn.Parameter}
        and tensor.layout is torch.strided
        and tensor.dtype in _EXACT | _PAIRS
        and not (tensor.is_conj() or tensor.is_neg())
        and tensor.numel() <= MOST // 2
    )
    return TorchPlace(tensor.device) if plain else None


@dataclass(frozen=True, slots=True)
class TorchPlace:
    """Reduce tensors on their device (see `pytest_gradcheck.records.Place`)."""

    device: torch.device

    @property
    def name(self) -> str:
        """Type of the device, and its generation where that is known: ``cuda 9.0``."""
        if self.device.type != "cuda":
            return self.device.type
        major, minor = torch.cuda.get_device_capability(self.device)
        return f"{self.device.type} {major}.{minor}"

    @torch.no_grad()
    def gather(self, views: Mapping[int, Any], *, top: int) -> Gathered:
        """Return what there is to know of tensors, those of `TensorView`, by number."""
        tensors = {number: _real(view.tensor) for number, view in views.items()}
        small = {n: t for n, t in tensors.items() if t.numel() <= LANES}
        large = groups({n: t for n, t in tensors.items() if n not in small})
        numbers = _reduced(large, self.device, top)
        first, *others = _portions(small)
        came = iter(crossing.brought([*chain(*numbers), *first.values()]))
        sums: dict[int, Sums] = {}
        largest: list[tuple[int, int, float]] = []
        odd: Odd = {}
        for group, own in zip(large, numbers, strict=True):
            found, among, wrong = read(group, list(islice(came, len(own))))
            sums |= found
            largest += among
            odd |= wrong
        flat = dict(zip(first, came, strict=True))
        for portion in others:
            flat |= zip(portion, crossing.brought(list(portion.values())), strict=True)
        return Gathered(sums=located(sums, odd), flat=flat, top=largest)

    @torch.no_grad()
    def products(self, groups: Sequence[Sequence[Any]]) -> list[Products]:
        """Return what the tensors of each group are to each other, those of `TensorView`."""
        tensors = {n: [_real(view.tensor) for view in group] for n, group in enumerate(groups)}
        laid = list(batches(tensors))
        numbers = [multiplied(batch.table(), wide=batch.wide) for batch in laid]
        came = iter(crossing.brought([*chain(*numbers)]))
        found = zip(laid, (list(islice(came, len(own))) for own in numbers), strict=True)
        done = multiplications(found)
        return [done[n] for n in range(len(groups))]

    @torch.no_grad()
    def read(self, wanted: Sequence[tuple[Any, tuple[int, ...]]]) -> list[float]:
        """Return single elements of the tensors of `TensorView`, each by its multi-index."""
        found = [_real(view.tensor)[index].to(torch.float64) for view, index in wanted]
        (values,) = crossing.brought([torch.stack(found)])
        return [float(value) for value in values]

    def samples(self) -> Sequence[tuple[ArrayView, ArrayView]]:
        """Return tensors of every kind, there and here."""
        from pytest_gradcheck.backends._torch.device.samples import tensors
        from pytest_gradcheck.backends._torch.views import TensorView

        return [(TensorView(t.to(self.device)), TensorView(t)) for t in tensors()]


@cache
def _has_float64(device: torch.device) -> bool:
    """Return whether there are float64 tensors on a device; there are none on ``mps``."""
    try:
        torch.ones(1, dtype=torch.float64, device=device)
    except (RuntimeError, TypeError):
        return False
    return True


def _real(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of real elements, a complex one as pairs."""
    tensor = tensor.detach()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _reduced(large: Sequence[Group], device: torch.device, top: int) -> list[list[torch.Tensor]]:
    """Return what there is to know of each group, on the device, in the form that `read` takes."""
    if not large:
        return []
    tools = {lanes: Tools(device, lanes) for lanes in {group.lanes for group in large}}
    projector = Projector(device)
    found = [reduced(group, tools[group.lanes], projector, top) for group in large]
    sums = projector.finish().split([len(group.numbers) for group in large])
    return [[its, *others] for its, others in zip(sums, found, strict=True)]


def _portions(tensors: Mapping[int, torch.Tensor]) -> Iterator[dict[int, torch.Tensor]]:
    """Yield at least one portion of small tensors, which may be empty."""
    portion: dict[int, torch.Tensor] = {}
    size = 0
    for number, tensor in tensors.items():
        if size + tensor.nbytes > _AT_ONCE:
            yield portion
            portion, size = {}, 0
        portion[number] = tensor
        size += tensor.nbytes
    yield portion
