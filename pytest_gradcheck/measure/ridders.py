"""Extrapolate central differences to the step zero, with an estimate of the error.

After C. J. F. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", Advances in Engineering
Software, 1982: the error of a central difference is a series in the square of the step, so that two
of them cancel its first term, three the second one. The entry of the tableau with the smallest
error, truncation and rounding together, is kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["extrapolated"]


def extrapolated(estimates: Sequence[tuple[float, float]], rounding: float) -> tuple[float, float]:
    """Return the best derivative and its error from central differences.

    Args:
        estimates: ``(step, central difference)``, steps falling.
        rounding: absolute rounding error of one function value.
    """
    best = (math.nan, math.inf)
    previous: list[float] = []
    for row, (step, first) in enumerate(estimates):
        column = [first]
        for order in range(1, row + 1):
            gain = (estimates[row - 1][0] / step) ** (2 * order)
            column.append(column[-1] + (column[-1] - previous[order - 1]) / (gain - 1.0))
            spread = max(
                abs(column[order] - column[order - 1]), abs(column[order] - previous[order - 1])
            )
            error = spread + 2.0 * rounding / step
            if error < best[1]:
                best = (column[order], error)
        previous = column
    return best
