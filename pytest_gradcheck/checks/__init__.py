"""The promises a gradient must keep, each a frozen value that judges a measurement.

A check evaluates nothing. What it needs beyond the gradient at the point it adds to a `Plan`, which
`measure` runs. Drift is the one check that holds two measurements against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytest_gradcheck.checks.balance import Balance
from pytest_gradcheck.checks.finite import Finite
from pytest_gradcheck.checks.norm import NormBounds
from pytest_gradcheck.checks.numeric import Numeric
from pytest_gradcheck.checks.perturbation import PerturbationStability
from pytest_gradcheck.checks.ranks import RanksAgree
from pytest_gradcheck.checks.reaches import Reaches
from pytest_gradcheck.checks.replicates import Concentration

if TYPE_CHECKING:
    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import CheckResult, Measurement

__all__ = [
    "Balance",
    "Check",
    "Concentration",
    "Finite",
    "NormBounds",
    "Numeric",
    "PerturbationStability",
    "RanksAgree",
    "Reaches",
]


class Check(Protocol):
    """Judge one measurement."""

    @property
    def name(self) -> str:
        """The limit's name, as users write it."""
        ...

    def plan(self, plan: Plan) -> Plan:
        """Return the plan with the extra evaluations that this check needs."""
        ...

    def judge(self, measurement: Measurement) -> CheckResult:
        """Return what the check says of a measurement."""
        ...
