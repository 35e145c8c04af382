"""Find over all ranks what does not add up: the largest elements, and those that are not finite."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.records import Element
from pytest_gradcheck.stats.largest import indices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.records import Collective, ParameterStats

__all__ = ["extremes"]

NONFINITE_SHOWN: Final = 5
_NONE: Final = -1.0


def extremes(
    here: Sequence[ParameterStats],
    whole: Sequence[ParameterStats],
    collective: Collective,
    *,
    top: int,
) -> list[ParameterStats]:
    """Return the whole parameters' statistics with their largest and non-finite elements.

    Args:
        here: statistics of this rank's parts.
        whole: those of the whole parameters, but for extremes.
        collective: the ranks.
        top: how many of the largest elements to keep over all parameters; each keeps its own
            largest one. With none, the largest absolute values alone are found.
    """
    mine = [p if collective.owns(p.name) else None for p in here]
    sizes = [p.max_abs if p else 0.0 for p in mine]
    found = [
        replace(p, max_abs=size, top=(), nonfinite=())
        for p, size in zip(whole, collective.largest(np.array(sizes)).tolist(), strict=True)
    ]
    if top:
        rows = _gathered([_top_rows(i, p) for i, p in enumerate(mine)], top + len(here), collective)
        found = _with_top(found, rows, top)
    if any(p.nans or p.infs for p in whole):
        places = [_bad_rows(i, p) for i, p in enumerate(mine)]
        rows = _gathered(places, NONFINITE_SHOWN * len(here), collective)
        found = [replace(p, nonfinite=_first(rows, i, p)) for i, p in enumerate(found)]
    return found


def _top_rows(number: int, stats: ParameterStats | None) -> list[tuple[float, float, float]]:
    """Return parameter, flat index and value of the elements kept here."""
    if stats is None:
        return []
    return [(number, _flat(e.index, stats.shape), e.value) for e in stats.top]


def _bad_rows(number: int, stats: ParameterStats | None) -> list[tuple[float, float, float]]:
    """Return parameter and flat index of the elements that are not finite here."""
    if stats is None:
        return []
    return [(number, _flat(index, stats.shape), 0.0) for index in stats.nonfinite]


def _flat(index: tuple[int, ...], shape: tuple[int, ...]) -> float:
    """Return the flat C-order index; float64 holds it exactly below ``2**53``."""
    return float(np.ravel_multi_index(index, shape)) if shape else 0.0


def _gathered(
    parts: Sequence[list[tuple[float, float, float]]], room: int, collective: Collective
) -> NDArray[np.float64]:
    """Return the rows of all ranks, shape ``(k, 3)``, in the order of parameters and indices."""
    rows = np.full((room, 3), _NONE)
    mine = [row for part in parts for row in part]
    rows[: len(mine)] = np.array(mine, dtype=np.float64).reshape(-1, 3)
    every = collective.gather(rows.reshape(-1)).reshape(-1, 3)
    every = every[every[:, 0] != _NONE]
    ordered: NDArray[np.float64] = every[np.lexsort((every[:, 1], every[:, 0]))]
    return ordered


def _with_top(
    found: list[ParameterStats], rows: NDArray[np.float64], top: int
) -> list[ParameterStats]:
    """Give every parameter its share of the largest elements, or its own largest one."""
    order = np.argsort(-np.abs(rows[:, 2]), kind="stable")
    kept = set(order[:top].tolist())
    own: dict[int, int] = {}
    for k in order.tolist():
        own.setdefault(int(rows[k, 0]), k)
    result = []
    for i, stats in enumerate(found):
        mine = [k for k in order.tolist() if int(rows[k, 0]) == i and k in kept]
        mine = mine or ([own[i]] if i in own else [])
        places = indices([int(rows[k, 1]) for k in mine], stats.shape)
        values = (float(rows[k, 2]) for k in mine)
        elements = (Element(index=p, value=v) for p, v in zip(places, values, strict=True))
        result.append(replace(stats, top=tuple(elements)))
    return result


def _first(
    rows: NDArray[np.float64], number: int, stats: ParameterStats
) -> tuple[tuple[int, ...], ...]:
    """Return the first elements of a parameter that are not finite."""
    flat = [int(row[1]) for row in rows if int(row[0]) == number]
    return tuple(indices(flat[:NONFINITE_SHOWN], stats.shape))
