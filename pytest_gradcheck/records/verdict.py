"""What the checks say of a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records.measurement import Measurement
from pytest_gradcheck.records.table import Table

__all__ = ["OUTCOMES", "CheckResult", "Finding", "Judgement", "Outcome", "Verdict"]

OUTCOMES = ("passed", "failed", "skipped")
Outcome = Literal["passed", "failed", "skipped"]

_DRIFTED = ("drift", "structure", "policy", "point")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Hold one line of a failed check.

    Attributes:
        subject: what it is about: a parameter, a component, ``total``, ``loss``.
        text: observed and allowed, ready to read.
        observed, limit: the two numbers, where there are two.
    """

    subject: str
    text: str
    observed: float | None = None
    limit: float | None = None

    @property
    def line(self) -> str:
        """The text after its subject."""
        return f"[{self.subject}] {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Hold what one check says of one measurement.

    Attributes:
        check: the limit's name: ``finite``, ``reaches``, ``drift``.
        outcome: ``passed``, ``failed`` or ``skipped``.
        findings: one for each line to show; for a passed check what it has to say anyway.
        reason: why it was skipped, or what kind of failure it is (``drift``, ``missing``,
            ``structure``, ``policy``, ``point``, ``unreadable``).
        hints: what to do; the reader is shown one.
        diagnosis: the probable cause, in sentences; empty where nothing fits.
    """

    check: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    hints: tuple[str, ...] = ()
    diagnosis: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the outcome and that a failure says something."""
        if self.outcome not in OUTCOMES:
            msg = f"outcome {self.outcome!r} is not one of {', '.join(OUTCOMES)}"
            raise UsageError(msg)
        if self.outcome == "failed" and not self.findings:
            msg = f"check {self.check!r} failed without a finding"
            raise UsageError(msg)


class Judgement:
    """Answer what every verdict is asked, from the results that it holds."""

    __slots__ = ()

    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks or rules that failed."""
        return tuple([r for r in self.results if r.outcome == "failed"])

    @property
    def drifted(self) -> bool:
        """Whether the gradient, the point or the structure is not that of the baseline."""
        drift = self.result("drift")
        return drift is not None and drift.reason.partition(":")[0] in _DRIFTED

    def result(self, check: str) -> CheckResult | None:
        """Return the result of one check or rule by name, ``None`` where it did not run."""
        for result in self.results:
            if result.check == check:
                return result
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Judgement):
    """Hold the judgement of one measurement: every check's result, and against which baseline.

    Attributes:
        name: of the call within its test.
        measurement: what was judged.
        baseline: what it was compared with, or ``None``.
        results: in the order in which the checks ran; drift last.
        limits: the limits in force, as text by name.
        warnings: what deserves a look though it fails nothing.
        tables: what else there is to show.
    """

    name: str
    measurement: Measurement
    results: tuple[CheckResult, ...]
    baseline: Measurement | None = None
    limits: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
