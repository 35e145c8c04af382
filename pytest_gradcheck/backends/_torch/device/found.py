"""Read what came over from a device: what each tensor of a group adds up to, and where NaN is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from pytest_gradcheck.backends._torch.device import crossing
from pytest_gradcheck.backends._torch.device.fold import Tools, folded, largest_of, seen
from pytest_gradcheck.backends._torch.device.rows import Group
from pytest_gradcheck.records import Sums
from pytest_gradcheck.stats.totals import NONFINITE_SHOWN
from pytest_gradcheck.stats.whole import HALF

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.backends._torch.device.project import Projector

__all__ = ["Odd", "located", "read", "reduced"]

Odd: TypeAlias = "dict[int, tuple[Group, list[int]]]"
"""The group and the first rows with NaN or Inf of tensors that have some, by number."""


def reduced(group: Group, tools: Tools, projector: Projector, top: int) -> list[torch.Tensor]:
    """Return all there is to know of a group's tensors but what becomes of their lanes.

    Args:
        group: the tensors.
        tools: for its number of lanes.
        projector: takes the lanes.
        top: how many of the largest elements to find.
    """
    kept = list(group.matrices()) if group.fits else None
    survey = seen(kept or group.matrices(), places=top > 0)
    peaks = survey.peaks(group)
    projector.add(folded(kept or group.matrices(), group, peaks, tools))
    index, values = survey.columns, survey.values
    if top:
        source = kept[0] if kept else group.tensors[0]
        index, values = largest_of(source, survey.patterns, group.lanes, top)
    counts = [survey.filled, survey.odd, survey.columns]
    if not kept:
        counts = [count.to(torch.int16) for count in counts]
    return [peaks, *counts, survey.values, index, values]


def read(
    group: Group, arrays: Sequence[NDArray[Any]]
) -> tuple[dict[int, Sums], list[tuple[int, int, float]], Odd]:
    """Return what is known of each tensor of a group, its largest elements, and what to look for.

    Args:
        group: the tensors.
        arrays: what its lanes were projected to, and what `reduced` returned.
    """
    sums, peaks, filled, odd, columns, values, index, top = arrays
    ends = np.cumsum(group.rows)
    starts = [0, *ends[:-1].tolist()]
    found: dict[int, Sums] = {}
    unusual: Odd = {}
    for k, (number, tensor) in enumerate(zip(group.numbers, group.tensors, strict=True)):
        here = slice(starts[k], int(ends[k]))
        wrong = int(odd[here].sum(dtype=np.int64))
        whole = [(high << HALF) + low for high, low in zip(*sums[k].tolist(), strict=True)]
        *lanes, steps, squares = whole
        found[number] = Sums(
            size=tensor.numel(),
            peak=float(peaks[k]),
            zeros=tensor.numel() - wrong - int(filled[here].sum(dtype=np.int64)),
            infs=wrong,
            steps=steps,
            squares=squares,
            lanes=tuple(lanes),
            first=_first(columns[here], values[here], group.lanes) if values.size else None,
        )
        if wrong:
            unusual[number] = group, np.flatnonzero(odd[here])[:NONFINITE_SHOWN].tolist()
    owners = np.searchsorted(ends, index // group.lanes, side="right").tolist()
    largest = [
        (group.numbers[k], i - starts[k] * group.lanes, value)
        for k, i, value in zip(owners, index.tolist(), top.tolist(), strict=True)
    ]
    return found, largest, unusual


def located(sums: Mapping[int, Sums], odd: Odd) -> dict[int, Sums]:
    """Return sums that tell NaN from Inf and say where they are, after one more crossing."""
    if not odd:
        return dict(sums)
    nans, rows = [], []
    for number, (group, wanted) in odd.items():
        tensor = group.tensors[group.numbers.index(number)]
        alone = Group(numbers=[number], tensors=[tensor], lanes=group.lanes)
        nans.append(torch.stack([torch.isnan(m).sum() for m in alone.matrices()]).sum())
        rows += [_row(tensor, row, group.lanes) for row in wanted]
    counts, *shown = crossing.brought([torch.stack(nans), *rows])
    result, parts = dict(sums), iter(shown)
    for (number, (group, wanted)), count in zip(odd.items(), counts.tolist(), strict=True):
        places = [
            row * group.lanes + column
            for row in wanted
            for column in np.flatnonzero(~np.isfinite(next(parts))).tolist()
        ]
        result[number] = replace(
            sums[number],
            nans=count,
            infs=sums[number].infs - count,
            nonfinite=tuple(places[:NONFINITE_SHOWN]),
        )
    return result


def _row(tensor: torch.Tensor, row: int, lanes: int) -> torch.Tensor:
    """Return one row of a tensor, the last one as short as it is."""
    start, stop = row * lanes, min((row + 1) * lanes, tensor.numel())
    return tensor.take(torch.arange(start, stop, dtype=torch.int64, device=tensor.device))


def _first(
    columns: NDArray[np.integer], values: NDArray[np.floating], lanes: int
) -> tuple[int, float] | None:
    """Return flat index and value of the first element of largest size; ``None`` for zeros."""
    sizes = np.where(np.isfinite(values), np.abs(values), 0)
    row = int(sizes.argmax())
    return (row * lanes + int(columns[row]), float(values[row])) if sizes[row] > 0 else None
