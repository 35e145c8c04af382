"""The analytic gradient is the derivative of the value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.checks.validate import count, number, patterns
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.plan import Directions
from pytest_gradcheck.records import CheckResult, DirectionalDerivative, Finding

if TYPE_CHECKING:
    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import Measurement

__all__ = ["Numeric"]

_HINT = (
    "finite differences see through detach() and stop_gradient: leave parameters behind one out "
    "with Numeric(exclude=...); otherwise look at the backward of a custom function"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric:
    """Promise that directional derivatives agree with finite differences.

    Attributes:
        directions: how many random directions.
        seed: of the first one.
        rtol, atol: allowed difference beyond the estimated numeric error, relative to the sum of
            ``|gradient x direction|`` and absolute; both or neither. The default fits the dtype.
        exclude: patterns of parameters to leave out.
    """

    directions: int = 3
    seed: int = 0
    rtol: float | None = None
    atol: float | None = None
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Validate every argument."""
        count("directions", self.directions)
        count("seed", self.seed, low=0)
        if (self.rtol is None) != (self.atol is None):
            msg = f"rtol and atol are given together or not at all, not {self.rtol}, {self.atol}"
            raise UsageError(msg)
        for name in ("rtol", "atol"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name))
        object.__setattr__(self, "exclude", patterns("exclude", self.exclude))

    @property
    def name(self) -> str:
        """The limit's name."""
        return "numeric"

    def plan(self, plan: Plan) -> Plan:
        """Add the directions."""
        wanted = Directions(
            count=self.directions,
            seed=self.seed,
            rtol=self.rtol,
            atol=self.atol,
            exclude=self.exclude,
        )
        return dataclasses.replace(plan, directions=wanted)

    def judge(self, measurement: Measurement) -> CheckResult:
        """Fail with one finding for each smallest group of parameters that disagrees."""
        if not measurement.finite:
            return CheckResult(
                check=self.name, outcome="skipped", reason="the gradient is not finite"
            )
        if not measurement.directional:
            reason = "nothing was compared: every parameter is excluded, or a note says why"
            return CheckResult(check=self.name, outcome="skipped", reason=reason)
        wrong = [d for d in measurement.directional if not d.agrees]
        smallest = [
            d for d in wrong if not any(set(o.parameters) < set(d.parameters) for o in wrong)
        ]
        if not smallest:
            return CheckResult(check=self.name, outcome="passed")
        return CheckResult(
            check=self.name,
            outcome="failed",
            findings=tuple(_finding(d) for d in smallest),
            hints=(_HINT,),
        )


def _finding(d: DirectionalDerivative) -> Finding:
    """Return one line: both sides, the difference, what is allowed, how to make it again."""
    subject = d.parameters[0] if len(d.parameters) == 1 else f"{len(d.parameters)} parameters"
    difference = abs(d.analytic - d.numeric)
    text = (
        f"analytic {d.analytic:.8g}, numeric {d.numeric:.8g}, difference {difference:.2g}, "
        f"allowed {d.allowed:.2g} (seed {d.seed}, {d.precision})"
    )
    if len(d.parameters) > 1:
        text += f": {', '.join(d.parameters[:4])}{', ...' if len(d.parameters) > 4 else ''}"  # noqa: PLR2004 - enough to recognise
    return Finding(subject=subject, text=text, observed=difference, limit=d.allowed)
