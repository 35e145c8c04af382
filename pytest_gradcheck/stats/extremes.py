"""Find over all ranks what does not add up: the largest elements, and those that are not finite."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.records import Element
from pytest_gradcheck.stats.largest import flat_of, index_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.records import Collective, ParameterStats

__all__ = ["top_rows", "with_places", "with_top"]

NONFINITE_SHOWN: Final = 5
_NONE: Final = -1.0


def top_rows(mine: Sequence[ParameterStats | None], *, room: int) -> list[float]:
    """Return the largest elements kept here, three numbers each, in as much room as all ranks have.

    Args:
        mine: this rank's parts of the parameters that it speaks for.
        room: for so many elements.
    """
    rows = [(i, _flat(e.index, p.shape), e.value) for i, p in enumerate(mine) if p for e in p.top]
    return _padded(rows, room)


def with_top(
    found: Sequence[ParameterStats], table: NDArray[np.float64], top: int
) -> list[ParameterStats]:
    """Give every parameter its share of the largest elements, or its own largest one.

    Args:
        found: statistics of the whole parameters.
        table: the `top_rows` of each rank.
        top: how many elements to keep over all parameters.
    """
    rows = _ordered(table)
    order = np.argsort(-np.abs(rows[:, 2]), kind="stable")
    kept = set(order[:top].tolist())
    own: dict[int, int] = {}
    for k in order.tolist():
        own.setdefault(int(rows[k, 0]), k)
    shares: dict[int, list[int]] = {}
    for k in order.tolist():
        if k in kept:
            shares.setdefault(int(rows[k, 0]), []).append(k)
    result = []
    for i, stats in enumerate(found):
        mine = shares.get(i) or ([own[i]] if i in own else [])
        elements = (
            Element(index=index_of(int(rows[k, 1]), stats.shape), value=float(rows[k, 2]))
            for k in mine
        )
        result.append(replace(stats, top=tuple(elements)))
    return result


def with_places(
    found: Sequence[ParameterStats], mine: Sequence[ParameterStats | None], collective: Collective
) -> list[ParameterStats]:
    """Say of every parameter where its first elements are that are not finite; ask if there are.

    Args:
        found: statistics of the whole parameters.
        mine: this rank's parts of those that it speaks for.
        collective: the ranks.
    """
    if not any(p.nans or p.infs for p in found):
        return list(found)
    places = [
        (i, _flat(index, p.shape), 0.0) for i, p in enumerate(mine) if p for index in p.nonfinite
    ]
    table = collective.gather(np.array(_padded(places, NONFINITE_SHOWN * len(found))))
    rows = _ordered(table)
    return [replace(p, nonfinite=_first(rows, i, p)) for i, p in enumerate(found)]


def _flat(index: tuple[int, ...], shape: tuple[int, ...]) -> float:
    """Return the flat C-order index; float64 holds it exactly below ``2**53``."""
    return float(flat_of(index, shape))


def _padded(rows: Sequence[tuple[float, float, float]], room: int) -> list[float]:
    """Return the numbers of rows, filled up with rows that stand for none."""
    missing = room - len(rows)
    return [x for row in rows for x in row] + [_NONE] * (3 * missing)


def _ordered(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rows of all ranks, shape ``(k, 3)``, in the order of parameters and indices."""
    every = table.reshape(-1, 3)
    every = every[every[:, 0] != _NONE]
    ordered: NDArray[np.float64] = every[np.lexsort((every[:, 1], every[:, 0]))]
    return ordered


def _first(
    rows: NDArray[np.float64], number: int, stats: ParameterStats
) -> tuple[tuple[int, ...], ...]:
    """Return the first elements of a parameter that are not finite."""
    flat = [int(row[1]) for row in rows if int(row[0]) == number]
    return tuple(index_of(i, stats.shape) for i in flat[:NONFINITE_SHOWN])
