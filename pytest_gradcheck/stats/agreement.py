"""Find the ranks whose copy of a gradient is not that of the others.

Data-parallel ranks hold one gradient after their all-reduce. Where one of them missed it, scaled
it or skipped it, training goes apart without an error; here it has a number.

Requirements:
    Four numbers for each parameter are exchanged. The copies may differ by rounding: what is
    computed twice, on two kinds of device, is not the same bits.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.records import Disagreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.records import Collective, GradientStats, ParameterStats

__all__ = ["copied_numbers", "disagreements"]

_EPS: Final = {
    "float64": 2.0**-52,
    "complex128": 2.0**-52,
    "float32": 2.0**-23,
    "complex64": 2.0**-23,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
}
_ROUNDINGS: Final = 64.0  # units in the last place of a copy's length
_FLOOR: Final = 1e-6  # of the whole gradient: a smaller parameter holds noise
_WIDTH: Final = 4
_SHOWN: Final = 3


def copied_numbers(here: GradientStats, collective: Collective) -> list[float]:
    """Return what the others need of this rank's part of a gradient."""
    numbers = [x for p in here.parameters for x in (collective.shard(p.name), p.norm, *_turned(p))]
    return [here.value, *numbers]


def disagreements(
    table: NDArray[np.float64], whole: Sequence[ParameterStats]
) -> tuple[Disagreement, ...]:
    """Return what some ranks have that the others do not.

    Args:
        table: the `copied_numbers` of each rank, a row for each.
        whole: the statistics of the whole parameters.
    """
    values = table[:, 0]
    copies = table[:, 1:].reshape(len(table), len(whole), _WIDTH)
    return (*_of_values(values), *_of_gradients(copies, whole))


def _turned(stats: ParameterStats) -> tuple[float, float]:
    """Return two numbers that change when a gradient turns without changing its length."""
    if stats.disconnected:
        return -1.0, 0.0
    if stats.sketch is None:
        return math.nan, float(stats.nans + stats.infs)
    weights = np.cos(np.arange(1.0, 1.0 + len(stats.sketch.values)))
    return 0.0, float(weights @ np.array(stats.sketch.values)) / math.sqrt(len(weights))


def _of_values(values: NDArray[np.float64]) -> list[Disagreement]:
    """Return the ranks whose loss is not finite, unless no rank's is."""
    bad = np.flatnonzero(~np.isfinite(values)).tolist()
    if not bad or len(bad) == values.size:
        return []
    said = ", ".join(f"{values[rank]:g}" for rank in bad[:_SHOWN])
    return [Disagreement(ranks=tuple(bad), text=f"loss {said}, finite on the other ranks")]


def _of_gradients(
    copies: NDArray[np.float64], whole: Sequence[ParameterStats]
) -> list[Disagreement]:
    """Return the ranks that hold another copy than most of those with the same part."""
    length = math.hypot(*(p.norm for p in whole))
    found: dict[tuple[int, ...], list[str]] = {}
    for i, stats in enumerate(whole):
        limit = _ROUNDINGS * _EPS.get(stats.dtype, 2.0**-7) * max(stats.norm, _FLOOR * length)
        for shard in np.unique(copies[:, i, 0]):
            ranks = np.flatnonzero(copies[:, i, 0] == shard).tolist()
            odd, text = _odd(copies[:, i, 1:], ranks, limit)
            if odd:
                found.setdefault(odd, []).append(f"gradient of {stats.name!r} {text}")
    return [
        Disagreement(ranks=ranks, text=said[0] + _more(len(said) - 1))
        for ranks, said in found.items()
    ]


def _odd(
    copies: NDArray[np.float64], ranks: list[int], limit: float
) -> tuple[tuple[int, ...], str]:
    """Return the ranks outside of the largest group of equal copies, and what they hold."""
    groups: dict[int, int] = {}
    for rank in ranks:
        near = (r for r in groups.values() if _same(copies[rank], copies[r], limit))
        groups[rank] = next(near, rank)
    main = Counter(groups.values()).most_common(1)[0][0]
    odd = tuple(rank for rank in ranks if groups[rank] != main)
    if not odd:
        return (), ""
    norms = ", ".join(f"{copies[rank, 0]:.6g}" for rank in odd[:_SHOWN])
    return odd, f"has norm {norms}, on rank {main} {copies[main, 0]:.6g}"


def _same(a: NDArray[np.float64], b: NDArray[np.float64], limit: float) -> bool:
    """Whether two copies are equal but for rounding."""
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= limit
    return bool((near | (np.isnan(a) & np.isnan(b)) | (a == b)).all())


def _more(count: int) -> str:
    """Return how many other parameters there are."""
    return f" (and {count} more)" if count else ""
