"""Find the rank whose share of a gradient moved it: a diagnosis, asked for only after drift.

After an all-reduce every rank holds the same gradient, whichever of them spoilt it. So each rank's
own share is measured once more, the others silent, and held against what changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_gradcheck.drift.shares import shares_told
from pytest_gradcheck.stats import gradient_stats

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement, Objective

__all__ = ["of_a_rank"]

MOST: Final = 16  # ranks; each costs an evaluation


def of_a_rank(
    objective: Objective, measurement: Measurement, baseline: Measurement
) -> tuple[str, ...]:
    """Return what the ranks' shares say, empty where they say nothing.

    Args:
        objective: that was measured.
        measurement: that drifted from its baseline.
        baseline: that it drifted from.
    """
    ranks, share = objective.collective, objective.contribution
    if ranks is None or share is None or ranks.size > MOST or not measurement.finite:
        return ()
    shares = [gradient_stats(share(r), objective.point, top=0) for r in range(ranks.size)]
    return shares_told(measurement.native, baseline.native, shares)
