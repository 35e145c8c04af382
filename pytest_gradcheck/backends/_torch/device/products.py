"""Multiply tensors with each other on their device.

Requirements:
    Nothing here waits for the device before `read`, which takes what came over. Sums are those of
    torch along an axis, whose order is fixed; matrix products are not used, because what they take
    for workspace and how exactly they compute are settings of the user's process.
    Of float32 and narrower types no square is beyond float64. Rows of float64 are divided by the
    power of two above their largest element.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from pytest_gradcheck.backends._torch.device.powers import exponents_of, scales_of
from pytest_gradcheck.stats.products import products_of_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.backends._torch.device.tables import Batch
    from pytest_gradcheck.records import Products

__all__ = ["Found", "multiplied", "read"]

Found: TypeAlias = "tuple[Batch, Sequence[NDArray[Any]]]"
"""A batch, and what `multiplied` returned for its table."""


def multiplied(table: torch.Tensor, *, wide: bool) -> list[torch.Tensor]:
    """Return inner products of rows, and what they mean.

    Args:
        table: shape ``(m, rows, lanes)``, of float64; it is changed.
        wide: whether squares of its elements may be beyond float64.

    Returns:
        Inner products, shape ``(m * (m + 1) / 2, rows)``, NaN and Inf counted as zeros; whether all
        elements of each row are finite, shape ``(m, rows)``; the exponents of the powers of two
        that rows were divided by, of the same shape.
    """
    finite = _peaks(table).isfinite()
    table.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
    exponents = torch.zeros_like(finite, dtype=torch.int64)
    if wide:
        exponents = exponents_of(_peaks(table))
        for scale in scales_of(exponents):
            table *= scale[..., None]
    dots = [(one * table[i:]).sum(dim=-1) for i, one in enumerate(table)]
    return [torch.cat(dots), finite, exponents.to(torch.int16)]


def read(found: Iterable[Found]) -> dict[int, Products]:
    """Return what the tensors of each group are to each other, by number."""
    pieces: dict[int, list[list[NDArray[Any]]]] = {}
    for batch, arrays in found:
        ends = np.cumsum(batch.rows)
        for number, end, count in zip(batch.numbers, ends, batch.rows, strict=True):
            pieces.setdefault(number, []).append([a[:, end - count : end] for a in arrays])
    done = {}
    for number, parts in pieces.items():
        dots, finite, exponents = (
            np.concatenate(each, axis=1) for each in zip(*parts, strict=True)
        )
        done[number] = products_of_pieces(dots, exponents.astype(np.int64), finite)
    return done


def _peaks(table: torch.Tensor) -> torch.Tensor:
    """Return the largest absolute element of each row; NaN where there is one."""
    low, high = table.aminmax(dim=-1)
    return torch.maximum(low.abs(), high.abs())
