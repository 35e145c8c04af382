"""``--grad-drift``: what drift does to a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

ONE = """
    def test_one(gradcheck):
        verdict = gradcheck(W, value_and_grad=bowl())
        assert verdict.passed
"""


@pytest.fixture
def drifted(suite: Suite) -> Suite:
    """Return a suite whose only gradient changed its sign."""
    suite.write("test_m", ONE)
    suite.update()
    suite.write("test_m", ONE.replace("bowl()", "bowl(sign=-1.0)"))
    return suite


@pytest.mark.parametrize("workers", [0, 2])
def test_drift_can_be_a_warning(drifted: Suite, workers: int) -> None:
    """While a team adopts the plugin, drift must warn with the whole story and fail nothing."""
    before = drifted.baselines()
    result = drifted.run("--grad-drift=warn", "-W", "default", workers=workers)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*GradientDriftWarning: gradients of*", "*drift*baseline -> now*"])
    assert "1 drifted" in drifted.said(result)
    assert drifted.baselines() == before


def test_the_warning_can_be_made_an_error(drifted: Suite) -> None:
    """The warning must have a category of its own, for filters to name."""
    category = "pytest_gradcheck.errors.GradientDriftWarning"
    result = drifted.run("--grad-drift=warn", "-W", f"error::{category}")
    result.assert_outcomes(failed=1)
    result = drifted.run("--grad-drift=warn", "-W", f"ignore::{category}")
    result.assert_outcomes(passed=1, warnings=0)


def test_drift_fails_by_default(drifted: Suite) -> None:
    """Without the flag, and with ``fail``, drift must fail."""
    drifted.run().assert_outcomes(failed=1)
    drifted.run("--grad-drift=fail").assert_outcomes(failed=1)


def test_other_checks_still_fail(drifted: Suite) -> None:
    """The flag must excuse drift and nothing else."""
    drifted.write("test_m", ONE.replace("bowl()", "bowl(sign=-1.0), max_norm=1e-3"))
    result = drifted.run("--grad-drift=warn")
    result.assert_outcomes(failed=1)


def test_a_missing_baseline_still_fails(suite: Suite) -> None:
    """No baseline is no drift, and must fail all the same."""
    suite.write("test_m", ONE)
    suite.run("--grad-drift=warn").assert_outcomes(failed=1)


def test_an_update_accepts_drift_without_a_warning(drifted: Suite) -> None:
    """With an update, drift must be recorded, not warned about."""
    result = drifted.update("--grad-drift=warn")
    result.assert_outcomes(passed=1, warnings=0)
    assert "1 recorded" in drifted.said(result)
