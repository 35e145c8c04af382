"""Measure a gradient that never exists as a whole: each parameter's is reduced and dropped."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.stats.streamed import KEPT, Reducer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import Evaluation, Jitter, Objective, Precision

__all__ = ["streamed"]


def streamed(objective: Objective) -> Objective:
    """Return an objective whose evaluations hold statistics in place of gradients.

    Raises:
        UsageError: its gradients are there all at once anyway.
    """
    passing = objective.passing
    if passing is None:
        why = "ranks exchange gradients whole" if objective.collective else "it has all at once"
        msg = (
            f"streaming=True has no use with '{objective.name}' ({objective.backend}): {why}; "
            "leave it out"
        )
        raise UsageError(msg)

    def value_and_grad(
        point: Mapping[str, Any] | None = None,
        *,
        components: bool = True,
        precision: Precision = "native",
        jitter: Jitter | None = None,
        seed: int | None = None,
    ) -> Evaluation:
        plain = components and precision == "native" and jitter is None
        reducer = Reducer(objective.point, top=KEPT if plain else 0)
        evaluation = passing(reducer.take, point, precision=precision, jitter=jitter, seed=seed)
        return reducer.finish(evaluation)

    return dataclasses.replace(objective, value_and_grad=value_and_grad)
