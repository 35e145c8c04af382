"""A gradient at one point and at the extra points that checks asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_gradcheck.records.gradient import GradientStats, ParameterStats, Sketch
from pytest_gradcheck.records.objective import Precision, Scalar
from pytest_gradcheck.records.origin import Origin
from pytest_gradcheck.records.replicates import Replicates

if TYPE_CHECKING:
    from pytest_gradcheck.records.component import ComponentStats

__all__ = [
    "POINT_STORED",
    "DirectionalDerivative",
    "Measurement",
    "Mismatch",
    "PointStats",
    "Sample",
]


POINT_STORED = 4096
"""The most values of a point that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Hold the gradient at one extra point, reduced to what the checks and reports need.

    Attributes:
        label: what the point is: ``perturbed 1e-03 #0``, ``prior draw #3 (seed 3)``.
        seed: of the perturbation or the draw.
        scale: of the perturbation, relative to each parameter's RMS; 0 for a point that is none.
        value: the loss or log-density there.
        norm: L2 norm of the gradient there (finite elements).
        cosine: with the gradient at the point itself; ``nan`` where either is not finite or zero.
        nonfinite: parameters with NaN or Inf there.
        nans, infs: element counts.
        dead: parameters whose gradient is disconnected or exactly zero there.
        origins: where the numbers that are not finite there arose, where that is known.
    """

    label: str
    seed: int
    scale: float
    value: float
    norm: float
    cosine: float
    nonfinite: tuple[str, ...] = ()
    nans: int = 0
    infs: int = 0
    dead: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()

    @property
    def finite(self) -> bool:
        """Whether value and gradient are finite there."""
        return math.isfinite(self.value) and not self.nonfinite


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionalDerivative:
    """Hold one comparison of an analytic with a numeric directional derivative.

    Attributes:
        parameters: the parameters that were moved; all of them, or what bisection narrowed to.
        analytic: inner product of the gradient with the direction.
        numeric: central differences, extrapolated.
        error: estimated error of ``numeric``, rounding included.
        scale: sum of ``|gradient x direction|``, what rounding of the analytic side scales with.
        allowed: the largest difference that noise explains.
        precision: in which the numeric side was evaluated: ``float64`` or ``native``.
        seed: of the direction.
    """

    parameters: tuple[str, ...]
    analytic: float
    numeric: float
    error: float
    scale: float
    allowed: float
    precision: Precision
    seed: int

    @property
    def agrees(self) -> bool:
        """Whether the two sides agree within what noise explains."""
        return abs(self.analytic - self.numeric) <= self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Hold where the gradient, and the sum of its components', are not the same.

    Attributes:
        subject: a parameter, or what the value is called.
        distance: between the two over the elements finite in both, relative to what was added up.
        only_whole, only_sum: how many elements are not finite in the gradient alone, and in the sum
            alone.
    """

    subject: str
    distance: float = 0.0
    only_whole: int = 0
    only_sum: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PointStats:
    """Hold what identifies the point: a sketch per parameter, and the values where small.

    Attributes:
        sketches: of each parameter's values, in order of the parameters.
        dtypes: of each parameter.
        values: every value in float64, concatenated in order, or ``None`` when not kept.
    """

    sketches: tuple[Sketch, ...]
    dtypes: tuple[str, ...]
    values: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Hold the statistics of a gradient at one point and at the extra points checks asked for.

    Attributes:
        objective, backend, device, sense, seed, at: as in `Objective`.
        native: in the precision and on the device of the model.
        shadow: the same gradient in float64, ``None`` where there is none.
        point: what identifies the point.
        samples: the perturbed points.
        origins: where the numbers that are not finite at the point arose, where that is known.
        flat: components that depend on parameters and whose gradient is exactly zero, at the point
            and at a perturbed one; empty where no perturbed point was asked for.
        directional: analytic against numeric directional derivatives.
        replicates: the gradient under several seeds.
        allowances: what noise explains in the native tier, see `pytest_gradcheck.drift.allowance`;
            measured when a baseline is recorded and empty before that.
        shadow_allowances: the same for the shadow.
        walked: relative distance to the baseline that this one replaced, 0 for the first.
        mismatches: between the gradient and the sum of its components, where rounding does not
            explain them.
        facts, structure, packages: as in `Objective`.
        policy: of the native tier, as in `Evaluation`.
        notes: anything the reader should know about how it was measured.
        seconds: spent in evaluating the model; never compared, never stored in a baseline.
        histograms: how many elements of each parameter's gradient are of which size, see
            `pytest_gradcheck.stats.histogram`; empty unless asked for, never stored in a baseline.
    """

    objective: str
    backend: str
    device: str
    sense: str
    seed: int
    native: GradientStats
    point: PointStats
    shadow: GradientStats | None = None
    at: str = ""
    samples: tuple[Sample, ...] = ()
    origins: tuple[Origin, ...] = ()
    flat: tuple[str, ...] = ()
    directional: tuple[DirectionalDerivative, ...] = ()
    replicates: Replicates | None = None
    mismatches: tuple[Mismatch, ...] = ()
    allowances: Mapping[str, float] = field(default_factory=dict)
    shadow_allowances: Mapping[str, float] = field(default_factory=dict)
    walked: float = 0.0
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    structure: Mapping[str, Scalar] = field(default_factory=dict)
    policy: Mapping[str, Scalar] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    histograms: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def finite(self) -> bool:
        """Whether value and gradient are finite at the point."""
        return self.native.finite

    @property
    def norm(self) -> float:
        """Global L2 norm of the gradient at the point."""
        return self.native.norm

    @property
    def max_abs(self) -> float:
        """Largest absolute element of the gradient at the point."""
        return self.native.max_abs

    @property
    def value(self) -> float:
        """The loss or log-density at the point."""
        return self.native.value

    @property
    def components(self) -> Mapping[str, ComponentStats]:
        """The components by name, in their own order."""
        return MappingProxyType({c.name: c for c in self.native.components})

    def __getitem__(self, name: str) -> ParameterStats:
        """Return the statistics of one parameter by name."""
        return self.native[name]

    @property
    def max_norm_ratio(self) -> float:
        """Largest factor, up or down, between a perturbed norm and the norm at the point."""
        if not self.samples:
            return 1.0
        return max(_ratio(s.norm, self.native.norm) for s in self.samples)

    @property
    def log_spread(self) -> float:
        """Natural logarithm of the largest over the smallest norm at the perturbed points."""
        norms = [s.norm for s in self.samples if s.finite]
        if len(norms) < 2:  # noqa: PLR2004 - a spread needs two
            return 0.0
        return math.log(_ratio(min(norms), max(norms)))


def _ratio(a: float, b: float) -> float:
    """Return the larger over the smaller; infinite against zero, 1 for two zeros."""
    low, high = min(a, b), max(a, b)
    if low > 0:
        return high / low
    return 1.0 if high == 0 else math.inf
