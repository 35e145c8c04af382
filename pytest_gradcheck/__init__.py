"""Gradient regression testing: assert what gradients must satisfy, and fail when they drift.

Public names are resolved on first use, so that importing the package, or loading the plugin,
imports no numerical library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_gradcheck.api import (
        Probe,
        assert_gradients,
        check_gradients,
        measure_gradients,
    )
    from pytest_gradcheck.checks import (
        Balance,
        Check,
        Concentration,
        Finite,
        NormBounds,
        Numeric,
        PerturbationStability,
        Reaches,
    )
    from pytest_gradcheck.elsewhere import record_gradients
    from pytest_gradcheck.errors import (
        BaselineError,
        GradientError,
        MissingExtraError,
        PrecisionError,
        RankError,
        UsageError,
    )
    from pytest_gradcheck.estimators import Comparison
    from pytest_gradcheck.posterior import posterior_points
    from pytest_gradcheck.records import Measurement, Replicates, Series, SeriesVerdict, Verdict
    from pytest_gradcheck.series.rows import StepProbe
    from pytest_gradcheck.series.rules import RULES, Rule
    from pytest_gradcheck.series.run import TrainingRun
    from pytest_gradcheck.session.fixture import GradCheck
    from pytest_gradcheck.snapshot import GradientSnapshotExtension
    from pytest_gradcheck.strategies import points
    from pytest_gradcheck.studies import (
        compare_gradients,
        replicate_gradients,
        sweep_gradients,
    )
    from pytest_gradcheck.sweep import Sweep
    from pytest_gradcheck.watching import watch
    from pytest_gradcheck.weighing import weights

__version__ = "0.1.0"

__all__ = [
    "RULES",
    "Balance",
    "BaselineError",
    "Check",
    "Comparison",
    "Concentration",
    "Finite",
    "GradCheck",
    "GradientError",
    "GradientSnapshotExtension",
    "Measurement",
    "MissingExtraError",
    "NormBounds",
    "Numeric",
    "PerturbationStability",
    "PrecisionError",
    "Probe",
    "RankError",
    "RankPool",
    "Reaches",
    "Replicates",
    "Rule",
    "Series",
    "SeriesVerdict",
    "StepProbe",
    "Sweep",
    "TrainingRun",
    "UsageError",
    "Verdict",
    "assert_gradients",
    "check_gradients",
    "compare_gradients",
    "measure_gradients",
    "points",
    "posterior_points",
    "record_gradients",
    "replicate_gradients",
    "sweep_gradients",
    "watch",
    "weights",
]

_HOMES = {
    "weights": "weighing",
    "sweep_gradients": "studies",
    "replicate_gradients": "studies",
    "compare_gradients": "studies",
    "Sweep": "sweep",
    "Replicates": "records",
    "Comparison": "estimators",
    "Probe": "api",
    "assert_gradients": "api",
    "check_gradients": "api",
    "measure_gradients": "api",
    "Balance": "checks",
    "Check": "checks",
    "Concentration": "checks",
    "Finite": "checks",
    "NormBounds": "checks",
    "Numeric": "checks",
    "PerturbationStability": "checks",
    "Reaches": "checks",
    "BaselineError": "errors",
    "GradientError": "errors",
    "MissingExtraError": "errors",
    "PrecisionError": "errors",
    "RankError": "errors",
    "UsageError": "errors",
    "RankPool": "ranks",
    "record_gradients": "elsewhere",
    "GradCheck": "session.fixture",
    "Measurement": "records",
    "Series": "records",
    "SeriesVerdict": "records",
    "Verdict": "records",
    "StepProbe": "series.rows",
    "RULES": "series.rules",
    "Rule": "series.rules",
    "TrainingRun": "series.run",
    "GradientSnapshotExtension": "snapshot",
    "points": "strategies",
    "watch": "watching",
    "posterior_points": "posterior",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    """Import a public name from its home on first use."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *__all__])
