"""Take the gradient of one objective under several seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.progress import working
from pytest_gradcheck.stats import gradient_stats
from pytest_gradcheck.stats.replicates import Spread
from pytest_gradcheck.weighing import collecting

if TYPE_CHECKING:
    from pytest_gradcheck.records import Objective, Replicates

__all__ = ["replicates"]


def replicates(objective: Objective, count: int) -> Replicates:
    """Return the statistics of the gradient under `count` seeds, from the objective's own on.

    One gradient is held at a time, beside their running mean.
    """
    if objective.collective is not None:
        msg = (
            f"replicates={count}: the gradient of {objective.name!r} is spread over "
            f"{objective.collective.size} ranks, and its noise is known to none of them; "
            "measure replicates on one process"
        )
        raise UsageError(msg)
    spread = Spread({name: view.size for name, view in objective.point.items()})
    with working(f"evaluating replicates of {objective.name!r}", total=count) as advance:
        for seed in range(objective.seed, objective.seed + count):
            with collecting() as tally:
                evaluation = objective.value_and_grad(components=False, seed=seed)
            stats = gradient_stats(evaluation, objective.point, top=0)
            spread.add(seed, evaluation.grads, stats, tally.finish())
            advance()
    return spread.finish(objective.seed, count, objective.stream())
