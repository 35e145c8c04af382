"""What every test said about its gradients, and which of it becomes a baseline.

One process keeps the ledger and writes: the one that the user started. What the tests have to say
reaches it with their reports, in built-in types, so that it does not matter where they ran.

Requirements:
    An entry is written only when set-up, call and tear-down of its test passed, every other check
    held and every value is finite. Anything else is withheld, with the reason. A test that runs
    again replaces what it said before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pytest

__all__ = ["Action", "Attempt", "Call", "Ended", "Found", "Ledger", "Said"]

Action = Literal["", "create", "rewrite"]
Found = Literal["compared", "missing", "unreadable", "off"]
Ended = Literal["", "early", "last"]
"""Whether drift alone ended a test: not at all, before its end, or in its last statement."""

Said = dict[str, Any]
"""What a call says, as keywords of `Call`, in built-in types."""

_CRASH = "???"  # the phase of the report that stands for a worker that died
_PHASES = {"setup": "set-up", "call": "test", "teardown": "tear-down"}


@dataclass(slots=True, kw_only=True)  # not frozen, which takes long to make
class Call:
    """Hold what one call said, in built-in types; nobody changes it.

    Attributes:
        name: of the call within its test, empty for the only one.
        path: of the baseline file.
        key: of the entry in it.
        baseline: what was found: ``compared``, ``missing``, ``unreadable``; ``off`` where nobody
            looked.
        action: what is to become of the entry.
        offer: what an update would make of the entry, where this run leaves it.
        replaces: digest of the entry that was compared with, where one is recorded or offered.
        source, line: file and line of the call.
        failed: the checks that failed.
        drifted: whether the gradient is not that of the baseline.
        moved: the parameters that no longer start where they did, though nothing drifted.
        reason: why the baseline could not be compared with.
        unfit: why the measurement must not become a baseline.
        sees: the smallest drift that a new baseline can see.
        warnings: what deserves a look though it failed nothing.
        seconds: that evaluating the model took.
        entry: what to record, or to offer, as JSON data.
        verdict: as JSON data, where somebody will read it.
        command: that records the entry.
        kind: what was judged: a ``gradient``, or a ``series`` of training steps.
    """

    path: str
    key: str
    name: str = ""
    baseline: Found = "off"
    action: Action = ""
    offer: Action = ""
    replaces: str = ""
    source: str = ""
    line: int = 0
    failed: Sequence[str] = ()
    drifted: bool = False
    moved: Sequence[str] = ()
    reason: str = ""
    unfit: str = ""
    sees: str = ""
    warnings: Sequence[str] = ()
    seconds: float = 0.0
    entry: Mapping[str, Any] | None = None
    verdict: Mapping[str, Any] | None = None
    command: str = ""
    kind: Literal["gradient", "series"] = "gradient"


@dataclass(slots=True)
class Attempt:
    """Gather one run of one test.

    Attributes:
        nodeid: of the test.
        outcomes: by phase.
        calls: in the order in which they were made.
        idle: whether the test asked for the fixture and never called it.
        expected: whether the test is expected to fail.
        ended: whether drift alone made it fail.
    """

    nodeid: str
    outcomes: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    idle: bool = False
    expected: bool = False
    ended: Ended = ""

    def add(self, report: pytest.TestReport) -> None:
        """Take in the report of one phase, and take from it what it brought: pytest keeps it."""
        if self.outcomes.get(report.when) != "failed":  # a part of a phase may report for itself
            self.outcomes[report.when] = report.outcome
        brought = vars(report)
        if "wasxfail" in brought:
            self.expected = True
        if message := brought.pop("gradcheck", None):
            self.calls += [Call(**call) for call in message.get("calls", ())]
            self.idle |= message.get("idle", False)
            self.ended = message.get("ended", "") or self.ended

    @property
    def outcome(self) -> str:
        """The outcome of the test as pytest calls it."""
        outcomes = self.outcomes.values()
        if self.expected:
            return "xfailed" if "skipped" in outcomes else "xpassed"
        for one in ("failed", "skipped", "rerun"):
            if one in outcomes:
                return one
        return "passed"

    @property
    def complete(self) -> bool:
        """Whether all phases were heard of."""
        return self.outcomes.keys() >= _PHASES.keys()

    def obstacle(self, call: Call) -> str:
        """Return why a call's measurement is not recorded, empty where nothing speaks against."""
        checks = [check for check in call.failed if check != "drift"]
        if checks:
            return f"{' and '.join(checks)} failed"
        if call.unfit:
            return call.unfit
        if call.offer and call.failed and not self.ended:
            return self.trouble() or "the test caught the failure, and goes on from there"
        return self.trouble(offered=call.command if call.offer else "")

    def trouble(self, *, offered: str = "") -> str:
        """Return why the test as a whole did not pass, empty where it did.

        Args:
            offered: the command that records the test, where a call of it is offered. A test that
                drift alone ended then counts as passed, if nothing of it was left to run: what is
                offered is what a run gives in which drift does not fail.
        """
        if self.expected:
            return "the test is expected to fail"
        for phase, name in _PHASES.items():
            outcome = self.outcomes.get(phase)
            if offered and phase == "call" and self.ended == "early":
                return (
                    "the test stopped here, and what follows, further calls included, was not "
                    f"measured; record all of it with: {offered} (or run that where this report "
                    "is from, with --grad-report=report.json, and accept its report)"
                )
            if outcome == "skipped":
                return "the test was skipped"
            ended = offered and phase == "call" and self.ended == "last"
            if outcome not in {"passed", None} and not ended:
                return f"the {name} failed"
        return "" if self.complete else "the test did not finish"


@dataclass(slots=True)
class Ledger:
    """Gather what all tests say, the last run of each."""

    _attempts: dict[str, dict[str, Attempt]] = field(default_factory=dict)

    def add(self, report: pytest.TestReport) -> None:
        """Take in a test report, of this process or of a worker."""
        worker, nodeid, when = vars(report).get("worker_id", ""), report.nodeid, report.when
        known = None if when == _CRASH else self._attempts.get(nodeid)
        if known is None:
            known = self._attempts[nodeid] = {}
        elif when == "setup":
            known.pop("", None)
        attempt = None if when == "setup" else known.get(worker)
        if attempt is None:
            attempt = known[worker] = Attempt(nodeid)
        attempt.add(report)

    def __iter__(self) -> Iterator[Attempt]:
        """Return the last run of every test."""
        return chain.from_iterable([known.values() for known in self._attempts.values()])

    @property
    def said(self) -> bool:
        """Whether any test used the fixture."""
        return any(attempt.calls or attempt.idle for attempt in self)

    @property
    def calls(self) -> Iterator[tuple[Attempt, Call]]:
        """Every call with the run of the test that made it."""
        return ((attempt, call) for attempt in self for call in attempt.calls)

    @property
    def tests(self) -> int:
        """How many tests were heard of."""
        return len(self._attempts)

    def obstacle(self, attempt: Attempt, call: Call) -> str:
        """Return why a call's measurement is not recorded, empty where nothing speaks against.

        Where several workers run the same test, it must have passed in all of them.
        """
        everywhere = self._attempts[attempt.nodeid].values()
        offered = call.command if call.offer else ""
        troubles = [
            attempt.obstacle(call),
            *(other.trouble(offered=offered) for other in everywhere),
        ]
        return next(filter(None, troubles), "")

    def ready(self) -> dict[Path, dict[str, Call]]:
        """Return the calls to record, by file and key."""
        found: dict[Path, dict[str, Call]] = {}
        for attempt, call in self.calls:
            if call.action and not self.obstacle(attempt, call):
                found.setdefault(Path(call.path), {})[call.key] = call
        return found
