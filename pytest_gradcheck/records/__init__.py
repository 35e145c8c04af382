"""The immutable values that travel through the package, and their invariants.

Data moves one way: ``source -> Objective -> Measurement -> Verdict -> report``. A baseline is a
stored `Measurement`. Nothing here computes; `stats`, `measure` and `judge` do.

Requirements:
    Values are frozen and hold tuples. A `Measurement` holds statistics and sketches, never a
    full-size array, and survives a round trip through JSON exactly. Norms, extremes and means are
    taken over the finite elements; what is not finite is counted beside them, so that one NaN
    never erases the rest.
"""

from __future__ import annotations

from pytest_gradcheck.records.collective import Collective
from pytest_gradcheck.records.component import ComponentStats, Push
from pytest_gradcheck.records.gradient import (
    Disagreement,
    Element,
    GradientStats,
    ParameterStats,
    Sketch,
)
from pytest_gradcheck.records.measurement import (
    POINT_STORED,
    DirectionalDerivative,
    Measurement,
    Mismatch,
    PointStats,
    Sample,
)
from pytest_gradcheck.records.noise import Noise, TierNoise
from pytest_gradcheck.records.objective import (
    ArrayView,
    ComponentEvaluation,
    Evaluation,
    Jitter,
    Objective,
    Precision,
    Scalar,
    Start,
)
from pytest_gradcheck.records.origin import Origin
from pytest_gradcheck.records.place import Gathered, Place, Products, Sums
from pytest_gradcheck.records.replicates import (
    Estimate,
    ParameterReplicates,
    Replicate,
    Replicates,
    WeightStats,
)
from pytest_gradcheck.records.series import (
    Healthy,
    Metric,
    MetricBaseline,
    Series,
    SeriesBaseline,
    SeriesVerdict,
)
from pytest_gradcheck.records.table import Table
from pytest_gradcheck.records.verdict import CheckResult, Finding, Outcome, Verdict

Kept = Measurement | SeriesBaseline
"""What an entry of a baseline file holds: a gradient, or what is kept of a training run."""

__all__ = [
    "POINT_STORED",
    "ArrayView",
    "CheckResult",
    "Collective",
    "ComponentEvaluation",
    "ComponentStats",
    "DirectionalDerivative",
    "Disagreement",
    "Element",
    "Estimate",
    "Evaluation",
    "Finding",
    "Gathered",
    "GradientStats",
    "Healthy",
    "Jitter",
    "Kept",
    "Measurement",
    "Metric",
    "MetricBaseline",
    "Mismatch",
    "Noise",
    "Objective",
    "Origin",
    "Outcome",
    "ParameterReplicates",
    "ParameterStats",
    "Place",
    "PointStats",
    "Precision",
    "Products",
    "Push",
    "Replicate",
    "Replicates",
    "Sample",
    "Scalar",
    "Series",
    "SeriesBaseline",
    "SeriesVerdict",
    "Sketch",
    "Start",
    "Sums",
    "Table",
    "TierNoise",
    "Verdict",
    "WeightStats",
]
