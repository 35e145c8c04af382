"""What one run of one test says, and how that leaves with the reports of the test."""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from dataclasses import dataclass, field

import pytest

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.session.ledger import Ended, Said

__all__ = ["DESK", "RUNNING", "Desk", "attach", "seat"]


@dataclass(slots=True)
class Desk:
    """Gather what one run of one test says, until its reports take it away.

    Attributes:
        used: whether the fixture was called at all.
        watched: how many training runs were to be watched.
        entered: how many of them were.
        judged: how many gradients were to be judged.
        calls: what those say that were not yet reported.
        raised: the failure that the last call raised for drift or a missing baseline alone.
        finished: whether the test had come to its end before that.
        passed: whether the test function came to its end.
        unheard: what failed in threads that the test started, where pytest does not see it.
    """

    used: bool = False
    watched: int = 0
    entered: int = 0
    judged: int = 0
    raised: BaseException | None = None
    finished: bool = False
    passed: bool = False
    unheard: list[BaseException] = field(default_factory=list)
    calls: list[Said] = field(default_factory=list)
    _unnamed: int = 0
    _claimed: set[str] = field(default_factory=set)

    def claim(self, name: str | None) -> str:
        """Return the name of the next call within its test: its own, or its number.

        Raises:
            UsageError: the name was used before, or cannot be one.
        """
        if name is None:
            self._unnamed += 1
            label = "" if self._unnamed == 1 else str(self._unnamed)
        else:
            label = name
            if not isinstance(name, str) or not name.strip() or not name.isprintable():
                msg = f"the name of a call must be text on one line, not {name!r}"
                raise UsageError(msg)
        if label in self._claimed:
            msg = f"two calls of one test have the name {label!r}; give each its own name="
            raise UsageError(msg)
        self._claimed.add(label)
        return label


DESK = pytest.StashKey[Desk]()
RUNNING: ContextVar[pytest.Item] = ContextVar("RUNNING")
"""The test that runs; a fixture that asks for ``request`` instead costs pytest three signatures."""


def seat(item: pytest.Item) -> Desk:
    """Return an empty desk for a run of a test; one that runs again says everything again."""
    desk = item.stash[DESK] = Desk()
    if item.user_properties:
        kept = [one for one in item.user_properties if one[0] != "gradcheck"]
        item.user_properties[:] = kept
    return desk


def attach(
    item: pytest.Item,
    report: pytest.TestReport,
    excinfo: pytest.ExceptionInfo[BaseException] | None = None,
) -> None:
    """Put on a report what its test said in that phase, and whether drift alone ended it."""
    desk = item.stash.get(DESK, None)
    if desk is None:
        return
    if report.when == "call":
        desk.passed = report.passed
    # A fixture may still call it while it is torn down.
    idle = report.when == "teardown" and desk.passed and not desk.used
    if desk.calls or idle:
        ended = _ended(item, desk, excinfo) if report.when == "call" else ""
        report.gradcheck = {  # type: ignore[attr-defined]
            "calls": desk.calls.copy(),
            "idle": idle,
            "ended": ended,
        }
        desk.calls.clear()
    if report.when == "teardown":
        del item.stash[DESK]  # which pytest keeps for as long as the item


def _ended(
    item: pytest.Item, desk: Desk, excinfo: pytest.ExceptionInfo[BaseException] | None
) -> Ended:
    """Return how drift ended a test, if it was drift that did."""
    if excinfo is None or desk.raised is None or excinfo.value is not desk.raised:
        return ""
    if desk.finished:
        return "last"
    from pytest_gradcheck.session.ending import stopped_early

    function = inspect.unwrap(getattr(item, "obj", None) or stopped_early)
    early = stopped_early(excinfo.value.__traceback__, getattr(function, "__code__", None))
    return "early" if early else "last"
