from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_gradcheck.session.ledger import Call, Ledger

CALL = Call(name="", path="/p/f.json", key="test_f", baseline="missing", action="create")
PASSED = (("setup", "passed"), ("call", "passed"), ("teardown", "passed"))


def report(when: str, outcome: str, *calls: Call, **more: Any) -> Any:
    """Return the report of one phase."""
    message = {"calls": [asdict(call) for call in calls], "idle": False}
    given = {"nodeid": "t", "when": when, "outcome": outcome, "gradcheck": message}
    return SimpleNamespace(**(given | more))


def run(ledger: Ledger, *phases: tuple[str, str], call: Call = CALL, **more: Any) -> None:
    """Report one run of a test that makes one call."""
    for when, outcome in phases:
        calls = (call,) if when == "call" else ()
        ledger.add(report(when, outcome, *calls, **more))


def obstacles(ledger: Ledger) -> list[str]:
    """Return why each call is not recorded."""
    return [ledger.obstacle(attempt, call) for attempt, call in ledger.calls]


def test_a_test_that_passed_is_ready() -> None:
    """When all phases passed, the call must be recorded in its file under its key."""
    ledger = Ledger()
    run(ledger, *PASSED)
    assert ledger.ready() == {Path("/p/f.json"): {"test_f": CALL}}
    assert obstacles(ledger) == [""]


@pytest.mark.parametrize(
    ("phases", "reason"),
    [
        ((("setup", "passed"), ("call", "failed"), ("teardown", "passed")), "the test failed"),
        ((("setup", "passed"), ("call", "passed"), ("teardown", "failed")), "the tear-down failed"),
        (
            (("setup", "passed"), ("call", "skipped"), ("teardown", "passed")),
            "the test was skipped",
        ),
        ((("setup", "passed"), ("call", "passed")), "the test did not finish"),
        ((("setup", "passed"), ("call", "failed"), ("call", "passed")), "the test failed"),
    ],
)
def test_a_test_that_did_not_pass_is_not_ready(
    phases: tuple[tuple[str, str], ...], reason: str
) -> None:
    """Any other end of a test must hold its entries back."""
    ledger = Ledger()
    run(ledger, *phases)
    assert ledger.ready() == {}
    assert set(obstacles(ledger)) == {reason}


def test_the_reason_nearest_to_the_gradient_is_given() -> None:
    """A failed check says more than the failed test, and both more than nothing."""
    ledger = Ledger()
    bad = Call(**(asdict(CALL) | {"failed": ("finite", "drift"), "unfit": "NaN"}))
    run(ledger, ("setup", "passed"), ("call", "failed"), ("teardown", "passed"), call=bad)
    assert obstacles(ledger) == ["finite failed"]


def test_what_is_unfit_is_not_ready() -> None:
    """A test that passes with NaN must record nothing."""
    ledger = Ledger()
    run(ledger, *PASSED, call=Call(**(asdict(CALL) | {"unfit": "NaN"})))
    assert obstacles(ledger) == ["NaN"]
    assert ledger.ready() == {}


def test_a_call_without_an_action_is_never_ready() -> None:
    """A test that only compares must write nothing."""
    ledger = Ledger()
    run(ledger, *PASSED, call=Call(**(asdict(CALL) | {"action": ""})))
    assert ledger.ready() == {}
    assert ledger.said


def test_the_last_run_counts() -> None:
    """A rerun must replace all that was said before, on any worker."""
    ledger = Ledger()
    run(ledger, ("setup", "passed"), ("call", "rerun"), call=Call(**(asdict(CALL) | {"key": "x"})))
    run(ledger, *PASSED)
    assert list(ledger.ready()[Path("/p/f.json")]) == ["test_f"]


def test_a_crash_voids_what_was_said() -> None:
    """When the worker dies, its test must be failed until it is run again."""
    ledger = Ledger()
    run(ledger, ("setup", "passed"), ("call", "passed"), worker_id="gw0")
    ledger.add(report("???", "failed"))
    assert [attempt.outcome for attempt in ledger] == ["failed"]
    assert ledger.ready() == {}
    run(ledger, *PASSED, worker_id="gw1")
    assert [attempt.outcome for attempt in ledger] == ["passed"]
    assert list(ledger.ready()) == [Path("/p/f.json")]


def test_one_failure_on_any_worker_holds_the_entry_back() -> None:
    """When several workers run one test, it must have passed in all of them."""
    ledger = Ledger()
    run(ledger, *PASSED, worker_id="gw0")
    run(
        ledger,
        ("setup", "passed"),
        ("call", "failed"),
        ("teardown", "passed"),
        worker_id="gw1",
    )
    assert obstacles(ledger) == ["the test failed", "the test failed"]


@pytest.mark.parametrize(("outcome", "expected"), [("skipped", "xfailed"), ("passed", "xpassed")])
def test_an_expected_failure_has_a_name_of_its_own(outcome: str, expected: str) -> None:
    """What pytest calls the outcome must be what the ledger calls it."""
    ledger = Ledger()
    run(ledger, ("setup", "passed"), ("call", outcome), ("teardown", "passed"), wasxfail="")
    assert [attempt.outcome for attempt in ledger] == [expected]
    assert obstacles(ledger) == ["the test is expected to fail"]
