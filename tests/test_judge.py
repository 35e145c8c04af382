"""Judging: every check speaks, in any order, and drift is last."""

from __future__ import annotations

import pytest
from hypothesis import given as hypothesis
from hypothesis import settings
from hypothesis import strategies as st

from pytest_gradcheck.checks import Finite, NormBounds, Reaches
from pytest_gradcheck.judge import judge, with_drift
from pytest_gradcheck.limits import Limits, parse
from pytest_gradcheck.records import CheckResult, Finding, Outcome
from tests.measurements import measurement

CHECKS = (Finite(), Reaches(), NormBounds(max_norm=1e-3), NormBounds(max_abs=1e-3))


def test_the_verdict_holds_a_result_of_every_check() -> None:
    """Results must stand in the order of the limits, with the limits as text."""
    limits = parse(("the call", {"max_norm": 1e-3}))
    found = judge(measurement(), limits, name="first")
    assert [r.check for r in found.results] == ["finite", "reaches", "norm", "perturb"]
    assert [r.check for r in found.failures] == ["norm"]
    assert (found.name, found.limits, found.baseline) == ("first", limits.text(), None)
    assert found.measurement == measurement()


@hypothesis(st.permutations(CHECKS))
@settings(max_examples=24, deadline=None)
def test_judging_is_order_free(checks: list[Finite]) -> None:
    """No check may say something else because another one came before it."""
    alone = {id(check): check.judge(measurement()) for check in CHECKS}
    found = judge(measurement(), Limits(checks=tuple(checks)))
    assert list(found.results) == [alone[id(check)] for check in checks]


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_drift_is_judged_last(outcome: Outcome) -> None:
    """What the baseline says must be added behind the others, with the baseline itself."""
    findings = (Finding(subject="a", text="b"),)
    result = CheckResult(check="drift", outcome=outcome, findings=findings)
    was = measurement(seed=9)
    found = with_drift(judge(measurement(), parse()), result, was)
    assert found.results[-1] == found.result("drift") == result
    assert found.baseline == was
    assert found.passed is (outcome == "passed")
