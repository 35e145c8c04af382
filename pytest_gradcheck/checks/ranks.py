"""The ranks of a distributed run hold the same gradient wherever they must."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.records import CheckResult, Finding

if TYPE_CHECKING:
    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import Disagreement, Measurement

__all__ = ["RanksAgree"]

_HINT = (
    "the ranks no longer hold one gradient: look for a missed or repeated all-reduce (no_sync(), a "
    "module called past its wrapper), an unused parameter, or data that one rank alone has"
)


class RanksAgree:
    """Require that ranks which hold the same part of a gradient hold the same numbers.

    Judged wherever more than one rank measured; there is no limit to set.
    """

    name = "ranks"

    def plan(self, plan: Plan) -> Plan:
        """Return the plan as it is: every distributed measurement is compared."""
        return plan

    def judge(self, measurement: Measurement) -> CheckResult:
        """Return what the ranks say of each other."""
        found = measurement.native.disagreements
        if not found:
            return CheckResult(check=self.name, outcome="passed")
        return CheckResult(
            check=self.name,
            outcome="failed",
            findings=tuple(Finding(subject=_subject(d), text=d.text) for d in found),
            hints=(_HINT,),
        )


def _subject(found: Disagreement) -> str:
    """Return who stands against the others."""
    numbers = ", ".join(map(str, found.ranks))
    return f"rank {numbers}" if len(found.ranks) == 1 else f"ranks {numbers}"
