"""Put beside the largest elements of a gradient what the parameter is there, and what it is called.

Requirements:
    Only parameters that own one of the largest elements of all are read, and none further than to
    the last of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_gradcheck.point import CHUNK
from pytest_gradcheck.records import Element
from pytest_gradcheck.stats.largest import flat_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_gradcheck.records import ArrayView, GradientStats, ParameterStats

__all__ = ["placed"]


def placed(
    stats: GradientStats,
    point: Mapping[str, ArrayView],
    label: Callable[[str, tuple[int, ...]], str] | None,
    *,
    top: int,
) -> GradientStats:
    """Return statistics whose largest elements know the parameter's value there.

    Args:
        stats: of the gradient at the point.
        point: the parameters.
        label: returns the coordinates of an element, where the model has names for them.
        top: how many elements over all parameters.
    """
    sizes = sorted((abs(e.value) for p in stats.parameters for e in p.top), reverse=True)
    if not sizes:
        return stats
    bar = sizes[:top][-1]
    done = [_placed(p, point[p.name], label, bar) for p in stats.parameters]
    return replace(stats, parameters=tuple(done))


def _placed(
    parameter: ParameterStats,
    view: ArrayView,
    label: Callable[[str, tuple[int, ...]], str] | None,
    bar: float,
) -> ParameterStats:
    """Return one parameter's statistics, its elements from a size on with their values."""
    flat = {
        e.index: flat_of(e.index, parameter.shape) for e in parameter.top if abs(e.value) >= bar
    }
    if not flat:
        return parameter
    values = _read(view, set(flat.values()))
    elements = [
        Element(
            index=e.index,
            value=e.value,
            at=values[flat[e.index]],
            where="" if label is None else label(parameter.name, e.index),
        )
        if e.index in flat
        else e
        for e in parameter.top
    ]
    return replace(parameter, top=tuple(elements))


def _read(view: ArrayView, wanted: set[int]) -> dict[int, float]:
    """Return the values at flat indices; zero where no chunk covers one."""
    found = dict.fromkeys(wanted, 0.0)
    last = max(wanted)
    for start, values in view.chunks(CHUNK):
        if start > last:
            break
        here = (i for i in wanted if start <= i < start + values.size)
        found.update({i: float(values[i - start]) for i in here})
    return found
