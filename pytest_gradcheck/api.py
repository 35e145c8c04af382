"""The whole corridor for library users, without pytest: measure, judge, compare."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from pytest_gradcheck import backends
from pytest_gradcheck.blame import of_a_rank
from pytest_gradcheck.checks.drift import compare, moved_parameters, recordable
from pytest_gradcheck.checks.validate import count, number
from pytest_gradcheck.errors import GradientError, UsageTypeError
from pytest_gradcheck.explain import explain
from pytest_gradcheck.judge import judge, with_drift
from pytest_gradcheck.kink import on_a_kink
from pytest_gradcheck.limits import Limits, parse
from pytest_gradcheck.limits.vocabulary import LimitOptions
from pytest_gradcheck.measure import measure
from pytest_gradcheck.measure import samples as _samples
from pytest_gradcheck.plan import Perturbation, Plan
from pytest_gradcheck.point import at_point
from pytest_gradcheck.recording import stored_point
from pytest_gradcheck.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_gradcheck.records import Objective, ParameterStats, Verdict

__all__ = [
    "Probe",
    "assert_gradients",
    "check_gradients",
    "judged",
    "measure_gradients",
    "source",
    "split",
]


class BackendOptions(TypedDict, total=False):
    """Type what a backend may be told; see `pytest_gradcheck.backends.objective`."""

    value_and_grad: Callable[..., Any] | None
    wrt: str | Sequence[str] | None
    name: str | None
    seed: int
    mode: object
    data: object
    streaming: bool


class SourceOptions(BackendOptions, total=False):
    """Type what describes an objective and its point."""

    at: object


class Options(SourceOptions, LimitOptions, total=False):
    """Type everything that a check takes beside the model and its baseline."""


class CheckOptions(Options, total=False):
    """Type everything that a check takes beside the model."""

    baseline: Measurement | None


_SOURCE = tuple(SourceOptions.__annotations__)


def check_gradients(
    model: object,
    loss: Callable[[], object] | None = None,
    *,
    baseline: Measurement | None = None,
    **options: Unpack[Options],
) -> Verdict:
    """Measure and judge the gradients of a model.

    Args:
        model: an ``nn.Module``, a ``pm.Model``, or a mapping of names to tensors or arrays; or a
            `Measurement` that was made elsewhere.
        loss: torch: a function of no arguments that returns a scalar or named components.
        baseline: an earlier measurement to compare with.
        **options: ``value_and_grad``, ``at``, ``wrt``, ``name``, ``seed``, ``mode``, ``data``, and
            every limit of `pytest_gradcheck.limits`.

    Returns:
        The verdict; nothing is raised for a failed check.

    Raises:
        UsageError: the model, the loss, an option or a limit cannot be used.

    Example:
        >>> import numpy as np
        >>> verdict = check_gradients(
        ...     {"w": np.array([3.0, 4.0])},
        ...     value_and_grad=lambda p: (0.5 * (p["w"] ** 2).sum(), {"w": p["w"]}),
        ...     max_norm=10.0,
        ... )
        >>> verdict.passed, verdict.measurement.norm
        (True, 5.0)
    """
    given, written = split(options)
    limits = parse(("the call", written))
    from pytest_gradcheck.elsewhere import subject

    return judged(subject(model, loss, given), limits, baseline=baseline)


def assert_gradients(
    model: object, loss: Callable[[], object] | None = None, **options: Unpack[CheckOptions]
) -> Verdict:
    """Check the gradients of a model as `check_gradients` does, and raise when a check fails.

    Raises:
        GradientError: a check failed; the message says which, on what, by how much.
        UsageError: the model, the loss, an option or a limit cannot be used.
    """
    __tracebackhide__ = True
    verdict = check_gradients(model, loss, **options)
    if not verdict.passed:
        raise GradientError("\n".join(explain(verdict)))
    return verdict


def measure_gradients(
    model: object, loss: Callable[[], object] | None = None, **options: Unpack[SourceOptions]
) -> Probe:
    """Measure the gradients of a model, judged by nobody.

    Args:
        model: as for `check_gradients`.
        loss: as for `check_gradients`.
        **options: the same, without limits.
    """
    given, written = split(options)
    if written:
        names = ", ".join(written)
        msg = (
            f"measure() judges nothing, so it takes no limits: {names}; known: {', '.join(_SOURCE)}"
        )
        raise UsageTypeError(msg)
    return Probe(source(model, loss, **given))


def source(
    model: object,
    loss: Callable[[], object] | None = None,
    *,
    at: object = None,
    **options: Unpack[BackendOptions],
) -> Objective:
    """Return the objective that a call describes, at the point that it names."""
    return at_point(backends.objective(model, loss, **options), at)


def judged(
    objective: Objective | Measurement,
    limits: Limits,
    *,
    baseline: Measurement | None = None,
    name: str = "",
    top: int = 20,
    keep: bool = False,
    histogram: bool = False,
) -> Verdict:
    """Measure an objective, judge it, and compare it with its baseline where there is one.

    A measurement is judged as it is.

    Where the start moved and the baseline kept the whole point, the gradient is compared there.
    With `keep` the measurement has all a baseline needs, with `histogram` the sizes of elements.
    """
    plan = limits.plan(top=top, baseline=keep or baseline is not None)
    plan = dataclasses.replace(plan, histogram=histogram)
    measurement = objective if isinstance(objective, Measurement) else measure(objective, plan)
    verdict = judge(measurement, limits, name=name)
    if baseline is None or not limits.drift:
        return verdict
    if not baseline.allowances:
        baseline = recordable(baseline)
    result = compare(measurement, baseline, min_drift=limits.min_drift)
    if isinstance(objective, Measurement):
        return with_drift(verdict, result, baseline)
    if result.reason == "drift":
        more = on_a_kink(objective, measurement, baseline, limits.min_drift)
        more += of_a_rank(objective, measurement, baseline)
        result = dataclasses.replace(result, diagnosis=(*result.diagnosis, *more))
    stored = stored_point(objective, measurement, baseline)
    if stored is not None:
        there = measure(at_point(objective, stored), plan)
        result = compare(there, baseline, min_drift=limits.min_drift)
        names = ", ".join(moved_parameters(measurement, baseline))
        note = f"the starting point moved ({names}); drift is judged at the baseline's own point"
        noted = dataclasses.replace(measurement, notes=(*measurement.notes, note))
        verdict = dataclasses.replace(verdict, measurement=noted)
    return with_drift(verdict, result, baseline)


def split(options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return what describes the objective, and the limits."""
    given = {k: v for k, v in options.items() if k in _SOURCE}
    return given, {k: v for k, v in options.items() if k not in _SOURCE}


class Probe:
    """Show a measurement, and measure more of the same objective when asked.

    Every attribute of `Measurement` is here: ``g.finite``, ``g.norm``, ``g["encoder.0.weight"]``,
    ``g.components["kl"].norm``.
    """

    def __init__(self, objective: Objective, measurement: Measurement | None = None) -> None:
        """Measure the objective, unless that is done."""
        self._objective: Final = objective
        plan = None if objective.starts is None else Plan(perturbation=Perturbation())
        self.measurement: Final = measurement or measure(objective, plan)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the measurement has
        """Return an attribute of the measurement."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.measurement, name)

    def __getitem__(self, name: str) -> ParameterStats:
        """Return the statistics of one parameter by name."""
        return self.measurement[name]

    def __repr__(self) -> str:
        """Show what was measured."""
        m = self.measurement
        return f"<gradient of {m.objective!r} ({m.backend}): norm {m.norm:.6g}, finite {m.finite}>"

    def perturbed(self, *, scale: float = 1e-3, samples: int = 4, seed: int = 0) -> Probe:
        """Measure the gradient at Gaussian perturbations of the point.

        Args:
            scale: relative to each parameter's RMS.
            samples: how many points.
            seed: of the first one.
        """
        wanted = Perturbation(
            scale=number("scale", scale, strict=True),
            samples=count("samples", samples),
            seed=count("seed", seed, low=0),
        )
        found = _samples(self._objective, self.measurement.native, wanted)
        return Probe(self._objective, dataclasses.replace(self.measurement, samples=found))
