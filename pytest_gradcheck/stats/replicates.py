"""Reduce gradients of several seeds to their mean, their variance and what follows from the two.

Requirements:
    One gradient at a time: the running mean in float64 and one sum of squares for each parameter
    (Welford 1962), the norm and a sketch for each replicate. The mean and the variance are exact;
    intervals come from the sketches, by the jackknife (Miller 1974, "The jackknife: a review").
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.records import (
    Estimate,
    ParameterReplicates,
    Replicate,
    Replicates,
    Sketch,
    WeightStats,
)
from pytest_gradcheck.stats.distributions import t_quantile
from pytest_gradcheck.stats.signs import ROWS
from pytest_gradcheck.stats.sketch import total_cosine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView, GradientStats

__all__ = ["LEVEL", "Spread", "jackknife", "log_estimate", "short"]

LEVEL: Final = 0.05  # what the intervals leave out

_FEWEST = 3  # of which one may be left out and a variance remains
_KEPT = 16
_MOST_LOG = 300.0  # half an interval of that width reaches everywhere


def short(sketch: Sketch | None, size: int) -> tuple[float, ...]:
    """Return the projection of a gradient that is kept for each replicate.

    Args:
        sketch: of the gradient, ``None`` for one that is disconnected.
        size: number of its elements.
    """
    if sketch is None:
        return (0.0,) * (size if size <= ROWS else _KEPT)
    if size <= ROWS:
        return sketch.values
    grown = math.sqrt(ROWS / _KEPT)  # fewer rows, each with a larger share
    return tuple(grown * value for value in sketch.values[:_KEPT])


class Spread:
    """Gather the gradients of one objective under several seeds."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        """Start with none, of parameters with as many elements each."""
        self._means = {name: np.zeros(size) for name, size in sizes.items()}
        self._squares = dict.fromkeys(sizes, 0.0)
        self._norms: dict[str, list[float]] = {name: [] for name in sizes}
        self._sketches: dict[str, list[tuple[float, ...]]] = {name: [] for name in sizes}
        self._replicates: list[Replicate] = []
        self._lost: list[int] = []

    def add(
        self,
        seed: int,
        grads: Mapping[str, ArrayView | None],
        stats: GradientStats,
        weights: WeightStats | None = None,
    ) -> None:
        """Add the gradient under one seed; one that is not finite is only counted."""
        if not stats.finite:
            self._lost.append(seed)
            return
        self._replicates.append(
            Replicate(seed=seed, value=stats.value, norm=stats.norm, weights=weights)
        )
        count = len(self._replicates)
        for p in stats.parameters:
            mean, view = self._means[p.name], grads[p.name]
            off = -mean if view is None else to_numpy(view).reshape(-1) - mean
            mean += off / count
            self._squares[p.name] += float(off @ off) * (count - 1) / count
            self._norms[p.name].append(p.norm)
            self._sketches[p.name].append(short(p.sketch, p.size))

    def finish(self, seed: int, count: int, stream: str) -> Replicates:
        """Return the statistics of what was added.

        Args:
            seed: the first one.
            count: how many were asked for.
            stream: the name of the random streams.
        """
        found = len(self._replicates)
        parameters = tuple(
            ParameterReplicates(
                name=name,
                size=mean.size,
                mean_norm=float(np.linalg.norm(mean)),
                variance=self._squares[name] / (found - 1) if found > 1 else 0.0,
                norms=tuple(self._norms[name]),
                sketches=tuple(self._sketches[name]),
            )
            for name, mean in self._means.items()
        )
        norms = np.array([one.norm for one in self._replicates])
        mean_norm = math.hypot(*(p.mean_norm for p in parameters))
        variance = math.fsum(p.variance for p in parameters)
        rows = projections(parameters)
        return Replicates(
            seed=seed,
            count=count,
            each=_with_cosines(self._replicates, parameters),
            lost=tuple(self._lost),
            parameters=parameters,
            mean_norm=mean_norm,
            norm=_mean(norms),
            cv=log_estimate(_cv(norms), norms[:, None], lambda n: _cv(n[:, 0])),
            variance=log_estimate(variance, rows, total_variance),
            snr_squared=_snr(mean_norm, variance, rows),
            stream=stream,
        )


def projections(parameters: Sequence[ParameterReplicates]) -> NDArray[np.float64]:
    """Return the sketches of all parameters side by side, ``(replicates, numbers)``."""
    if not all(p.norms for p in parameters):
        return np.zeros((0, 1))
    return np.concatenate([np.array(p.sketches) for p in parameters], axis=1)


def total_variance(rows: NDArray[np.float64]) -> float:
    """Return the trace of the covariance of rows, ``(replicates, numbers)``."""
    return float(rows.var(axis=0, ddof=1).sum())


def jackknife(
    rows: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], float]
) -> float:
    """Return the jackknife standard error of a statistic of rows; infinite where one is."""
    count = len(rows)
    without = np.array([statistic(np.delete(rows, r, axis=0)) for r in range(count)])
    if not np.isfinite(without).all():
        return math.inf
    return math.sqrt((count - 1) / count) * float(np.linalg.norm(without - without.mean()))


def log_estimate(
    value: float,
    rows: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], float],
    level: float = LEVEL,
) -> Estimate:
    """Return a positive estimate with an interval by the jackknife on a logarithmic scale.

    Args:
        value: the estimate, which the interval surrounds.
        rows: what it can be estimated from, less exactly, ``(replicates, numbers)``.
        statistic: estimates it from rows.
        level: what the interval leaves out.
    """
    if not (len(rows) >= _FEWEST and value > 0):
        return Estimate(value=value if math.isfinite(value) else None)
    error = jackknife(rows, lambda kept: _log(statistic(kept)))
    half = error * t_quantile(level, len(rows) - 1)
    if not half < _MOST_LOG:
        return Estimate(value=value, low=0.0)
    return Estimate(value=value, low=value * math.exp(-half), high=value * math.exp(half))


def _log(value: float) -> float:
    """Return the logarithm, minus infinity for zero."""
    return math.log(value) if value > 0 else -math.inf


def _mean(values: NDArray[np.float64]) -> Estimate:
    """Return a mean with its interval by Student's t."""
    count = values.size
    if not count:
        return Estimate(value=None)
    mean = float(values.mean())
    if count == 1:
        return Estimate(value=mean)
    half = t_quantile(LEVEL, count - 1) * float(values.std(ddof=1)) / math.sqrt(count)
    return Estimate(value=mean, low=mean - half, high=mean + half)


def _cv(values: NDArray[np.float64]) -> float:
    """Return the coefficient of variation; 0 where all are 0."""
    mean = float(values.mean()) if values.size else 0.0
    return float(values.std(ddof=1)) / mean if values.size > 1 and mean > 0 else 0.0


def _snr(mean_norm: float, variance: float, rows: NDArray[np.float64]) -> Estimate:
    """Return the bias-corrected squared signal-to-noise ratio; undefined without noise.

    ``E |mean|^2 = |G|^2 + tr / R``, so that ``tr / R`` is taken out (McCandlish et al. 2018,
    appendix A.1, with batches of one replicate and of R).
    """
    if not variance > 0:
        return Estimate(value=None)
    value = mean_norm**2 / variance - 1.0 / len(rows)
    if len(rows) < _FEWEST:
        return Estimate(value=value)

    def statistic(kept: NDArray[np.float64]) -> float:
        noise = total_variance(kept)
        signal = float(np.square(kept.mean(axis=0)).sum())
        return signal / noise - 1.0 / len(kept) if noise > 0 else math.inf

    half = t_quantile(LEVEL, len(rows) - 1) * jackknife(rows, statistic)
    if not math.isfinite(half):
        return Estimate(value=value)
    return Estimate(value=value, low=value - half, high=value + half)


def _with_cosines(
    replicates: Sequence[Replicate], parameters: Sequence[ParameterReplicates]
) -> tuple[Replicate, ...]:
    """Return the replicates with their cosines to the mean gradient, from sketches."""
    means = [
        Sketch(norm=p.mean_norm, values=tuple(np.mean(p.sketches, axis=0).tolist()))
        for p in parameters
        if p.sketches
    ]
    found = []
    for r, one in enumerate(replicates):
        pairs = [
            (Sketch(norm=p.norms[r], values=p.sketches[r]), mean)
            for p, mean in zip(parameters, means, strict=True)
        ]
        cosine = total_cosine(pairs)
        found.append(replace(one, cosine=None if math.isnan(cosine) else cosine))
    return tuple(found)
