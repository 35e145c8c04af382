"""A training run, step by step: what was watched, what the rules say of it, what is kept of it.

Requirements:
    Plain numbers only: a `Series` holds no tensor and no module, and survives a round trip through
    JSON exactly. A number that a step did not have is absent, never NaN; NaN means that the step
    had it and it was not a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records.objective import Scalar
from pytest_gradcheck.records.verdict import CheckResult, Finding, Judgement

__all__ = ["Healthy", "Metric", "MetricBaseline", "Series", "SeriesBaseline", "SeriesVerdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Hold one number as it went over the steps.

    Attributes:
        key: what it is: ``loss``, ``norm``, ``component.kl``, ``norm.encoder.0.weight``.
        source: the optimizer that it belongs to; empty for the only one, and for what belongs to
            none.
        group: ``core``, ``scale``, ``component``, ``parameter``, ``logged``, or a probe's name.
        steps: at which it was seen, from 0, increasing.
        values: at those steps.
    """

    key: str
    group: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    source: str = ""

    def __post_init__(self) -> None:
        """Check that every value has its step."""
        if len(self.steps) != len(self.values):
            msg = f"metric {self.key!r} has {len(self.values)} values for {len(self.steps)} steps"
            raise UsageError(msg)

    @property
    def name(self) -> str:
        """The key, after the optimizer's name where there are several."""
        return f"{self.source}.{self.key}" if self.source else self.key

    @property
    def finite(self) -> bool:
        """Whether no value is NaN or Inf."""
        return all(map(math.isfinite, self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Hold what was seen of a training run.

    Attributes:
        objective: what was trained, as messages call it.
        backend: which framework trained it.
        device: where the parameters are.
        steps: how many optimizer steps there were, skipped ones included.
        metrics: every number that was seen, core metrics first.
        epochs: the first step of each epoch after the first one.
        facts: what reports show: optimizers, batch size, number of normalisation layers.
        packages: versions.
        notes: what the reader should know about how it was watched.
        seconds: from the first step to the end; never compared.
    """

    objective: str
    backend: str
    device: str
    steps: int
    metrics: tuple[Metric, ...]
    epochs: tuple[int, ...] = ()
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def __getitem__(self, name: str) -> Metric:
        """Return a metric by name.

        Raises:
            KeyError: there is no such metric; the message lists the known ones.
        """
        __tracebackhide__ = True
        for metric in self.metrics:
            if metric.name == name:
                return metric
        known = ", ".join(m.name for m in self.metrics if m.group != "parameter")
        msg = f"no metric {name!r}; known: {known}, and norm.<parameter>"
        raise KeyError(msg)

    def __contains__(self, name: str) -> bool:
        """Whether there is a metric of that name."""
        return any(metric.name == name for metric in self.metrics)

    def matching(self, pattern: str) -> tuple[Metric, ...]:
        """Return the metrics whose name, or key, matches a pattern (``fnmatch``)."""
        return tuple(
            m for m in self.metrics if fnmatchcase(m.name, pattern) or fnmatchcase(m.key, pattern)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricBaseline:
    """Hold what is kept of one metric; ``head`` step by step, the rest summarised.

    Attributes:
        head: the values at the first steps.
        mean: over all steps.
        tail: mean of the last steps.
        head_allowance: largest difference that noise explains at the first step; doubled per step.
        mean_allowance: largest difference of ``mean`` that noise explains.
        tail_allowance: the same of ``tail``; ``None`` in older baselines, where that of ``mean``
            holds for both.
        seen: at how many steps; ``None`` in older baselines, where it is not compared.
    """

    head: tuple[float, ...]
    mean: float
    tail: float
    head_allowance: float
    mean_allowance: float
    tail_allowance: float | None = None
    seen: int | None = None

    @property
    def late_allowance(self) -> float:
        """Largest difference of ``tail`` that noise explains."""
        return self.mean_allowance if self.tail_allowance is None else self.tail_allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesBaseline:
    """Hold what a baseline file keeps of a series.

    Attributes:
        objective, backend, device, steps, facts: as in `Series`.
        metrics: what is kept of each, by name.
        packages: versions it was recorded with.
    """

    objective: str
    backend: str
    device: str
    steps: int
    metrics: Mapping[str, MetricBaseline]
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthy:
    """Hold the range in which a rule finds a number of some metrics healthy.

    Attributes:
        rule: by name.
        observe: the number: ``mean``, ``max``, ``trend``, ...
        metrics: by name.
        low, high: ends of the range, ``None`` where it is open.
    """

    rule: str
    observe: str
    metrics: tuple[str, ...]
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesVerdict(Judgement):
    """Hold the judgement of a series: every rule's result, drift last.

    Attributes:
        name: of the call within its test.
        series: what was judged.
        results: one for each rule, in the order of the rules; drift last.
        baseline: what it was compared with, or ``None``.
        limits: the limits in force, as text by name.
        healthy: the ranges of the rules that found something to look at.
        next_steps: what to try, in the order of likely impact; empty where all passed.
    """

    name: str
    series: Series
    results: tuple[CheckResult, ...]
    healthy: tuple[Healthy, ...] = ()
    baseline: SeriesBaseline | None = None
    limits: Mapping[str, str] = field(default_factory=dict)
    next_steps: tuple[str, ...] = ()

    @property
    def measurement(self) -> Series:
        """What was judged, by the name that a gradient's verdict has for it."""
        return self.series

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What deserves a look though it fails nothing: nothing, since each rule fails or holds."""
        return ()
