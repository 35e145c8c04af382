"""Say which rank's share of a gradient explains how it moved.

Sketches are linear: where one rank's loss is scaled, the gradient moves along what that rank adds
to it, and nothing is left once a multiple of that is taken off.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.drift.resemblance import FITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.records import GradientStats

__all__ = ["shares_told"]

_SAME: Final = 1e-5  # relative distance of two shares that come from the same data
_WIDTH: Final = 32  # of a sketch
_ALL: Final = 1e-6  # of the largest share: a smaller one is none


def shares_told(
    now: GradientStats, was: GradientStats, shares: Sequence[GradientStats]
) -> tuple[str, ...]:
    """Return what probably happened, empty where nothing fits.

    Args:
        now: the gradient of all ranks.
        was: that of the baseline.
        shares: what each rank adds to it.
    """
    every = [p for stats in (now, was, *shares) for p in stats.parameters]
    unit = max((share.norm for share in shares), default=0.0)
    if unit == 0 or any(p.sketch is None and not p.disconnected for p in every):
        return ()
    rows = [_row(share, unit) for share in shares]
    sizes = [math.hypot(*row) for row in rows]
    silent = [r for r, size in enumerate(sizes) if size <= _ALL * max(sizes)]
    if silent:
        return (f"{_named(silent)} nothing to the gradient: no data there, or a detached loss?",)
    twins = [
        r
        for r, row in enumerate(rows)
        if any(s != r and math.dist(row, other) <= _SAME * sizes[r] for s, other in enumerate(rows))
    ]
    if twins:
        said = f"{_named(twins)} the same to the gradient: do they see the same data"
        return (f"{said} (a sampler for each rank missing)?",)
    moved = [a - b for a, b in zip(_row(now, unit), _row(was, unit), strict=True)]
    for rank, row in enumerate(rows):
        part = sum(m * x for m, x in zip(moved, row, strict=True)) / sizes[rank] ** 2
        left = math.hypot(*(m - part * x for m, x in zip(moved, row, strict=True)))
        if left <= FITS * math.hypot(*moved) and part != 1.0:
            times = f"{1.0 / (1.0 - part):.4g}"
            return (f"the change lies along what rank {rank} adds: its loss scaled by {times}?",)
    return ()


def _row(stats: GradientStats, unit: float) -> list[float]:
    """Return the sketch of a whole gradient in some unit."""
    return [
        value / unit
        for p in stats.parameters
        for value in (p.sketch.values if p.sketch else (0.0,) * min(p.size, _WIDTH))
    ]


def _named(ranks: Sequence[int]) -> str:
    """Return who adds something."""
    numbers = ", ".join(map(str, ranks))
    return f"rank {numbers} adds" if len(ranks) == 1 else f"ranks {numbers} add"
