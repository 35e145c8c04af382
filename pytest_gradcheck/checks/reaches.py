"""Every trainable parameter gets a gradient somewhere.

Requirements:
    A parameter is dead only if its gradient is exactly zero at every point measured, the perturbed
    ones included: a symmetric starting point or a zero-initialised layer is healthy.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_gradcheck.checks.validate import patterns
from pytest_gradcheck.records import CheckResult, Finding

if TYPE_CHECKING:
    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import Measurement, ParameterStats

__all__ = ["Reaches"]

_MEANT = "allow_missing= and allow_zero= take patterns for what is meant to be so"
_HINT = (
    "look for a detach(), a no_grad block, a layer that is built and not called, or an activation "
    f"that is always off; {_MEANT}"
)
_HINT_OF_DENSITY = (
    "look for a flat prior that no likelihood and no potential uses, or a comparison, round() or "
    f"argmax() on the way; {_MEANT}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaches:
    """Promise that a gradient that is not zero reaches every parameter.

    Attributes:
        allow_missing: patterns of parameters that may be disconnected.
        allow_zero: patterns of parameters whose gradient may be zero everywhere.
    """

    allow_missing: tuple[str, ...] = ()
    allow_zero: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Validate the patterns."""
        for name in ("allow_missing", "allow_zero"):
            object.__setattr__(self, name, patterns(name, getattr(self, name)))

    @property
    def name(self) -> str:
        """The limit's name."""
        return "reaches"

    def plan(self, plan: Plan) -> Plan:
        """Need nothing beyond the point; perturbed points are used where there are any."""
        return plan

    def judge(self, measurement: Measurement) -> CheckResult:
        """Fail with one finding for each parameter that no gradient reaches."""
        findings = [
            Finding(subject=p.name, text=self._text(p, measurement))
            for p in measurement.native.parameters
            if self._dead(p, measurement)
        ]
        if not findings:
            return CheckResult(check=self.name, outcome="passed")
        return CheckResult(
            check=self.name,
            outcome="failed",
            findings=tuple(findings),
            hints=(_HINT_OF_DENSITY if measurement.sense == "logp" else _HINT,),
        )

    def _dead(self, parameter: ParameterStats, measurement: Measurement) -> bool:
        """Whether nothing reaches the parameter and nobody allowed that."""
        if parameter.size == 0 or not parameter.dead:
            return False
        allowed = self.allow_missing if parameter.disconnected else self.allow_zero
        if any(fnmatchcase(parameter.name, pattern) for pattern in allowed):
            return False
        return all(parameter.name in sample.dead for sample in measurement.samples)

    @staticmethod
    def _text(parameter: ParameterStats, measurement: Measurement) -> str:
        """Say how the parameter is dead, and at how many points."""
        if parameter.disconnected:
            return "receives no gradient: it is not connected to the " + measurement.sense
        points = 1 + len(measurement.samples)
        where = "at the point" if points == 1 else f"at all {points} points measured"
        return f"gradient is exactly zero {where}"
