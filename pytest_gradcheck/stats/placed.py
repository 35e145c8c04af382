"""Put beside the largest elements of a gradient what the parameter is there, and what it is called.

Requirements:
    Only parameters that own one of the largest elements of all are read, and none further than to
    the last of them; where a parameter lies elsewhere, these elements alone come over, all at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_gradcheck.point import CHUNK
from pytest_gradcheck.records import Element
from pytest_gradcheck.stats.largest import flat_of
from pytest_gradcheck.stats.trust import place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_gradcheck.records import ArrayView, GradientStats, ParameterStats, Place

    Index = tuple[int, ...]

__all__ = ["placed"]


def placed(
    stats: GradientStats,
    point: Mapping[str, ArrayView],
    label: Callable[[str, Index], str] | None,
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
    wanted = {p.name: [e.index for e in p.top if abs(e.value) >= bar] for p in stats.parameters}
    values = dict(_read(point, {name: places for name, places in wanted.items() if places}))
    done = [_placed(p, values.get(p.name, {}), label) for p in stats.parameters]
    return replace(stats, parameters=tuple(done))


def _placed(
    parameter: ParameterStats,
    values: Mapping[Index, float],
    label: Callable[[str, Index], str] | None,
) -> ParameterStats:
    """Return one parameter's statistics, its elements with those of its values that were read."""
    if not values:
        return parameter
    elements = [
        Element(
            index=e.index,
            value=e.value,
            at=values[e.index],
            where="" if label is None else label(parameter.name, e.index),
        )
        if e.index in values
        else e
        for e in parameter.top
    ]
    return replace(parameter, top=tuple(elements))


def _read(
    point: Mapping[str, ArrayView], wanted: Mapping[str, list[Index]]
) -> Iterator[tuple[str, dict[Index, float]]]:
    """Yield the values of parameters at some places, by name."""
    afar: dict[Place, list[str]] = {}
    for name, places in wanted.items():
        if (place := place_of(point[name])) is not None:
            afar.setdefault(place, []).append(name)
        else:
            yield name, _read_here(point[name], places)
    for place, names in afar.items():
        asked = [(name, index) for name in names for index in wanted[name]]
        values = iter(place.read([(point[name], index) for name, index in asked]))
        yield from ((name, {index: next(values) for index in wanted[name]}) for name in names)


def _read_here(view: ArrayView, places: list[Index]) -> dict[Index, float]:
    """Return the values at some places; zero where no chunk covers one."""
    shape = view.shape
    flat = {index: flat_of(index, shape) for index in places}
    found = dict.fromkeys(flat.values(), 0.0)
    last = max(found)
    for start, values in view.chunks(CHUNK):
        if start > last:
            break
        here = (i for i in found if start <= i < start + values.size)
        found.update({i: float(values[i - start]) for i in here})
    return {index: found[i] for index, i in flat.items()}
