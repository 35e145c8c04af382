"""Stochastic objectives whose gradient's distribution is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_gradcheck.measure import replicates
from tests.objectives import of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_gradcheck.records import Objective, Replicates

SIGNAL = {"w": np.arange(1.0, 41.0) / 40, "b": np.array([0.5, -0.25])}


def noisy(
    *, signal: float = 1.0, noise: float = 0.2, weights: Callable[[], Any] | None = None
) -> Callable[[Mapping[str, Any]], tuple[Any, Any]]:
    """Return a function whose gradient is a fixed signal plus Gaussian noise of numpy's stream."""

    def function(_: Mapping[str, Any]) -> tuple[Any, Any]:
        grads = {
            name: signal * one + noise * np.random.standard_normal(one.shape)  # noqa: NPY002
            for name, one in SIGNAL.items()
        }
        if weights is None:
            return 1.0, grads
        return {"loss": 1.0, "weights": weights()}, {"loss": grads}

    return function


def objective(**options: Any) -> Objective:
    """Return such a function as an objective."""
    return of(noisy(**options), {name: np.ones_like(one) for name, one in SIGNAL.items()})


def taken(
    count: int = 16, *, seed: int = 0, stream: str | None = None, **options: Any
) -> Replicates:
    """Return replicates of such a function, under another stream's name if one is given."""
    found = replicates(replace(objective(**options), seed=seed), count)
    return found if stream is None else replace(found, stream=stream)
