"""No NaN and no Inf: in the value, in a component, in any element of the gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.checks.mismatch import mismatch_findings
from pytest_gradcheck.checks.origin import origin_findings
from pytest_gradcheck.records import CheckResult, Finding

if TYPE_CHECKING:
    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import Measurement, ParameterStats

__all__ = ["Finite"]

_HINT_VALUE = (
    "look for NaN in the inputs, log or sqrt of a negative number, 0 / 0, or numbers too large for "
    "the precision"
)
_HINT = (
    "a finite value with a non-finite gradient often comes from sqrt or a norm at 0, log or a "
    "division by 0, or a where() whose other branch is not finite"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finite:
    """Promise that value, components and gradient are finite at the point."""

    @property
    def name(self) -> str:
        """The limit's name."""
        return "finite"

    def plan(self, plan: Plan) -> Plan:
        """Need nothing beyond the point."""
        return plan

    def judge(self, measurement: Measurement) -> CheckResult:
        """Fail with one finding for the value, each component and each parameter."""
        stats = measurement.native
        findings = []
        if not math.isfinite(stats.value):
            findings.append(Finding(subject=measurement.sense, text=f"is {stats.value}"))
        for component in stats.components:
            if component.finite:
                continue
            said = f"value {component.value:g}"
            if component.nonfinite:
                said += f", gradient not finite in {', '.join(component.nonfinite)}"
            findings.append(Finding(subject=f"component {component.name}", text=said))
        findings += [
            Finding(subject=p.name, text=_counts(p), observed=p.nans + p.infs, limit=0)
            for p in stats.parameters
            if not p.finite
        ]
        findings += origin_findings(measurement.origins)
        findings += mismatch_findings(measurement)
        if not findings:
            return CheckResult(check=self.name, outcome="passed")
        return CheckResult(
            check=self.name,
            outcome="failed",
            findings=tuple(findings),
            hints=() if measurement.origins else (self._hint(stats.value),),
        )

    @staticmethod
    def _hint(value: float) -> str:
        """Return where to look, for a backend that cannot say where it arose."""
        return _HINT if math.isfinite(value) else _HINT_VALUE


def _counts(parameter: ParameterStats) -> str:
    """Return how many elements are not finite, and where the first ones are."""
    kinds = [(parameter.nans, "NaN"), (parameter.infs, "Inf")]
    counted = " and ".join(f"{n} / {parameter.size} {kind}" for n, kind in kinds if n)
    where = ", ".join(str(list(index)) for index in parameter.nonfinite if index)
    more = ", ..." if parameter.nans + parameter.infs > len(parameter.nonfinite) else ""
    return f"{counted} at {where}{more}" if where else counted
