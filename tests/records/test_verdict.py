"""Verdicts as values: what failed, and what a result may be."""

from __future__ import annotations

import pytest

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import CheckResult, Finding, Verdict
from tests.measurements import measurement

BAD = CheckResult(check="norm", outcome="failed", findings=(Finding(subject="total", text="x"),))
GOOD = CheckResult(check="finite", outcome="passed")
IDLE = CheckResult(check="numeric", outcome="skipped", reason="why")


def verdict(*results: CheckResult) -> Verdict:
    """Return a verdict of some results."""
    return Verdict(name="", measurement=measurement(), results=results)


def test_a_verdict_passes_unless_a_check_failed() -> None:
    """Checks that were skipped must not count as failures."""
    assert verdict().passed
    assert verdict(GOOD, IDLE).passed
    assert not verdict(GOOD, BAD).passed
    assert verdict(GOOD, BAD, IDLE).failures == (BAD,)


def test_results_are_found_by_check() -> None:
    """A check that did not run must have no result."""
    found = verdict(GOOD, BAD)
    assert found.result("norm") is BAD
    assert found.result("drift") is None


def test_an_unknown_outcome_is_refused() -> None:
    """Only passed, failed and skipped must exist."""
    with pytest.raises(UsageError, match="outcome 'ok' is not one of passed, failed, skipped"):
        CheckResult(check="norm", outcome="ok")  # type: ignore[arg-type] # what is refused


def test_a_failure_says_something() -> None:
    """A failed check without a line to show must be refused where it is made."""
    with pytest.raises(UsageError, match="check 'norm' failed without a finding"):
        CheckResult(check="norm", outcome="failed")
