"""A small step away from the point, the gradient is still there and still much the same."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_gradcheck.checks.origin import origin_findings
from pytest_gradcheck.checks.validate import count, number
from pytest_gradcheck.plan import Perturbation
from pytest_gradcheck.records import CheckResult, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import Measurement, Sample

__all__ = ["PerturbationStability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbationStability:
    """Promise a finite gradient near the point, and optionally a similar one.

    Attributes:
        scale: of the Gaussian perturbation, relative to each parameter's RMS.
        samples: number of perturbed points.
        seed: of the first one.
        max_norm_ratio: largest factor, up or down, by which the gradient norm may change.
        min_cosine: smallest cosine with the gradient at the point.
    """

    scale: float = 1e-3
    samples: int = 4
    seed: int = 0
    max_norm_ratio: float | None = None
    min_cosine: float | None = None

    def __post_init__(self) -> None:
        """Validate every argument."""
        number("perturb", self.scale, strict=True)
        count("samples", self.samples)
        count("seed", self.seed, low=0)
        if self.max_norm_ratio is not None:
            number("max_norm_ratio", self.max_norm_ratio, low=1.0)
        if self.min_cosine is not None:
            number("min_cosine", self.min_cosine, low=-1.0, high=1.0)

    @property
    def name(self) -> str:
        """The limit's name."""
        return "perturb"

    def plan(self, plan: Plan) -> Plan:
        """Add the perturbed points."""
        wanted = Perturbation(scale=self.scale, samples=self.samples, seed=self.seed)
        return dataclasses.replace(plan, perturbation=wanted)

    def judge(self, measurement: Measurement) -> CheckResult:
        """Fail with one finding for each broken promise at each perturbed point."""
        findings = [f for s in measurement.samples for f in self._broken(s, measurement)]
        for sample in measurement.samples:
            findings += (
                replace(finding, subject=f"{sample.label} {finding.subject}")
                for finding in origin_findings(sample.origins)
            )
        return CheckResult(
            check=self.name,
            outcome="failed" if findings else "passed",
            findings=tuple(findings),
        )

    def _broken(self, sample: Sample, measurement: Measurement) -> Iterator[Finding]:
        """Yield what is wrong at one perturbed point, with the seed that makes it again."""
        where = f" (seed {sample.seed}, scale {sample.scale:g})" if sample.scale else ""
        if not math.isfinite(sample.value):
            text = f"{measurement.sense} is {sample.value}{where}"
            yield Finding(subject=sample.label, text=text)
        if sample.nonfinite:
            bad = ", ".join(sample.nonfinite)
            text = f"gradient not finite in {bad}: {sample.nans} NaN, {sample.infs} Inf{where}"
            yield Finding(subject=sample.label, text=text)
        base, norm = measurement.norm, sample.norm
        if self.max_norm_ratio is not None and sample.finite and (base > 0 or norm > 0):
            ratio = max(base, norm) / min(base, norm) if min(base, norm) > 0 else math.inf
            if ratio > self.max_norm_ratio:
                text = (
                    f"norm {base:.6g} -> {norm:.6g}, ratio {ratio:.4g}, "
                    f"max_norm_ratio {self.max_norm_ratio:g}{where}"
                )
                yield Finding(
                    subject=sample.label, text=text, observed=ratio, limit=self.max_norm_ratio
                )
        if self.min_cosine is not None and sample.cosine < self.min_cosine:
            text = f"cosine {sample.cosine:.4g}, min_cosine {self.min_cosine:g}{where}"
            yield Finding(
                subject=sample.label, text=text, observed=sample.cosine, limit=self.min_cosine
            )
