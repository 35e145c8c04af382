"""The same gradient under several seeds: what varies, and how far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Estimate", "ParameterReplicates", "Replicate", "Replicates", "WeightStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Hold an estimated number with its 95 % confidence interval.

    Attributes:
        value: ``None`` where it is not defined.
        low, high: ends of the interval; ``None`` where there is no such end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightStats:
    """Hold what the weights, or advantages, of one evaluation say about it.

    The effective sample size is ``(sum w)^2 / sum w^2`` over the last axis. It is that of
    importance sampling for weights of one sign alone; for signed ones it is a diagnostic, which
    cancellation makes small.

    Attributes:
        instances: rows of weights.
        samples: weights in the shortest row.
        ess: mean over the instances; a row of zeros counts as 0.
        least: the smallest of any instance.
        ess_absolute: the mean with absolute weights: how many samples share the weight.
        largest: the largest absolute weight.
        signed: whether weights of both signs occur.
        nonfinite: weights that are NaN or Inf, left out of everything else.
        each: of the first 256 instances.
    """

    instances: int
    samples: int
    ess: float
    least: float
    ess_absolute: float
    largest: float
    signed: bool = False
    nonfinite: int = 0
    each: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate:
    """Hold the gradient under one seed.

    Attributes:
        seed: of every random stream.
        value: the loss or log-density.
        norm: L2 norm of the whole gradient.
        cosine: with the mean gradient, estimated from sketches: exact for parameters of at most 32
            elements, else with a standard deviation of at most 0.25; ``None`` for a zero gradient.
        weights: that the loss reported, if any.
    """

    seed: int
    value: float
    norm: float
    cosine: float | None = None
    weights: WeightStats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterReplicates:
    """Hold one parameter's gradient under every seed.

    Attributes:
        name: of the parameter.
        size: number of its elements.
        mean_norm: L2 norm of the mean gradient.
        variance: trace of the covariance, unbiased.
        norms: L2 norm under each seed.
        sketches: a fixed random projection under each seed: the elements themselves up to 32, else
            16 numbers (see `pytest_gradcheck.stats.sketch`).
    """

    name: str
    size: int
    mean_norm: float
    variance: float
    norms: tuple[float, ...]
    sketches: tuple[tuple[float, ...], ...]

    @property
    def snr_squared(self) -> float | None:
        """Squared signal-to-noise ratio, bias-corrected; ``None`` without any noise."""
        if self.variance == 0:
            return None
        return self.mean_norm**2 / self.variance - 1.0 / len(self.norms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicates:
    """Hold the gradient under the seeds ``seed .. seed + count - 1``.

    Intervals are of 95 %: of the mean norm by Student's t, of the others by the jackknife (Miller
    1974), on a logarithmic scale for `cv` and `variance`.

    Attributes:
        seed: the first one.
        count: how many were asked for.
        each: the replicates whose value and gradient are finite.
        lost: seeds of the others, which nothing here includes.
        parameters: in order.
        mean_norm: L2 norm of the mean gradient.
        norm: mean of the norms.
        cv: coefficient of variation of the norms: standard deviation over mean.
        variance: trace of the gradient's covariance, summed over the parameters.
        snr_squared: ``(|mean|^2 - variance / R) / variance``, the squared signal-to-noise ratio
            with the bias of ``|mean|^2`` taken out; negative where R replicates cannot tell the
            signal from zero, undefined without any noise.
        stream: what the random streams gave under a fixed seed, hashed; replicates of equal
            streams met equal draws.
        allowances: what rounding explains, by parameter, relative; and of ``[value]``.
    """

    seed: int
    count: int
    each: tuple[Replicate, ...]
    parameters: tuple[ParameterReplicates, ...]
    mean_norm: float
    norm: Estimate
    cv: Estimate
    variance: Estimate
    snr_squared: Estimate
    lost: tuple[int, ...] = ()
    stream: str = ""
    allowances: Mapping[str, float] = field(default_factory=dict)

    @property
    def snr(self) -> float:
        """Signal-to-noise ratio; 0 where it cannot be told from 0, infinite without noise."""
        squared = self.snr_squared.value
        return math.inf if squared is None else math.sqrt(max(squared, 0.0))

    @property
    def noise_scale(self) -> float | None:
        """Simple gradient noise scale, the reciprocal of `snr_squared`, in replicates.

        That many replicates averaged have noise as large as the signal (McCandlish et al. 2018,
        "An Empirical Model of Large-Batch Training"); times the batch size it is their
        ``B_simple``. ``None`` where the signal cannot be told from zero: then only `snr_squared`
        and its interval say anything.
        """
        squared = self.snr_squared.value
        if squared is None:
            return 0.0
        return 1.0 / squared if squared > 0 else None

    @property
    def identical(self) -> bool:
        """Whether every seed gave the same gradient: nothing is random."""
        return len(self.each) > 1 and self.variance.value == 0

    @property
    def weighed(self) -> tuple[WeightStats, ...]:
        """The weights of every replicate that reported some."""
        return tuple(one.weights for one in self.each if one.weights is not None)

    @property
    def ess(self) -> float | None:
        """Effective sample size, the mean over instances and replicates."""
        found = self.weighed
        return math.fsum(w.ess for w in found) / len(found) if found else None

    @property
    def max_weight(self) -> float | None:
        """Largest absolute weight of any replicate."""
        return max((w.largest for w in self.weighed), default=None)

    def __getitem__(self, name: str) -> ParameterReplicates:
        """Return one parameter by name."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)
