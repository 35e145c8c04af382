"""The size of the gradient stays within bounds, globally and for single parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_gradcheck.checks.validate import number
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.records import CheckResult, Finding

if TYPE_CHECKING:
    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import Measurement

__all__ = ["NormBounds"]

_NAMED = 5  # parameters, in a message
_BOUNDS = ("max_norm", "min_norm", "max_abs")


@dataclass(frozen=True, slots=True, kw_only=True)
class NormBounds:
    """Promise bounds on the gradient.

    Attributes:
        max_norm, min_norm: of the global L2 norm.
        max_abs: of the largest absolute element.
        per_parameter: the same three for the parameters that match a pattern.
    """

    max_norm: float | None = None
    min_norm: float | None = None
    max_abs: float | None = None
    per_parameter: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate every bound."""
        self._validate({bound: getattr(self, bound) for bound in _BOUNDS}, "")
        if not isinstance(self.per_parameter, Mapping):
            msg = (
                "per_parameter must map patterns to bounds, such as "
                f"{{'encoder.*': {{'max_norm': 1.0}}}}, not {self.per_parameter!r}"
            )
            raise UsageTypeError(msg)
        for pattern, bounds in self.per_parameter.items():
            if not isinstance(bounds, Mapping) or not set(bounds) <= set(_BOUNDS):
                msg = f"per_parameter[{pattern!r}] takes {', '.join(_BOUNDS)}, not {bounds!r}"
                raise UsageError(msg)
            self._validate(bounds, f"per_parameter[{pattern!r}] ")

    @staticmethod
    def _validate(bounds: Mapping[str, float | None], where: str) -> None:
        """Check each bound, and that they leave room."""
        for bound, value in bounds.items():
            if value is not None:
                number(where + bound, value, strict=bound != "min_norm")
        low, high = bounds.get("min_norm"), bounds.get("max_norm")
        if low is not None and high is not None and low > high:
            msg = f"{where}min_norm {low:g} is above max_norm {high:g}: nothing can pass"
            raise UsageError(msg)

    @property
    def name(self) -> str:
        """The limit's name."""
        return "norm"

    def plan(self, plan: Plan) -> Plan:
        """Need nothing beyond the point."""
        return plan

    def judge(self, measurement: Measurement) -> CheckResult:
        """Fail with one finding for each bound that is left."""
        stats = measurement.native
        whole = {bound: getattr(self, bound) for bound in _BOUNDS}
        findings = list(_outside("total", stats.norm, stats.max_abs, whole))
        for pattern, bounds in self.per_parameter.items():
            matching = [p for p in stats.parameters if fnmatchcase(p.name, pattern)]
            if not matching:
                known = ", ".join([p.name for p in stats.parameters[:_NAMED]])
                more = len(stats.parameters) - _NAMED
                text = f"per_parameter= names no parameter of this model; there are {known}"
                text += f" and {more} more" if more > 0 else ""
                findings.append(Finding(subject=pattern, text=text))
            for p in matching:
                findings += _outside(p.name, p.norm, p.max_abs, bounds)
        return CheckResult(
            check=self.name,
            outcome="failed" if findings else "passed",
            findings=tuple(findings),
        )


def _outside(
    subject: str, norm: float, max_abs: float, bounds: Mapping[str, float | None]
) -> Iterator[Finding]:
    """Yield what lies outside; written so that a NaN never lies inside."""
    for bound, label, observed in (
        ("max_norm", "norm", norm),
        ("min_norm", "norm", norm),
        ("max_abs", "largest element", max_abs),
    ):
        limit = bounds.get(bound)
        if limit is None:
            continue
        inside = observed >= limit if bound == "min_norm" else observed <= limit
        if not inside:
            text = f"{label} {observed:.6g}, {bound} {limit:g}"
            yield Finding(subject=subject, text=text, observed=observed, limit=limit)
