"""The bridge to torchrun, registered only where it started this process: ``torchrun -m pytest``.

Every rank runs every test. Rank 0 reports and writes, and a test of it passes only if it passed on
every rank; the others say what became of theirs and print nothing.

Requirements:
    A rank whose test ends says so before anything else, so that no other rank waits for it in a
    gradient. What it says names the test, so that ranks never take one test for another.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.errors import RankError
from pytest_gradcheck.meeting import SCOPE, TIMEOUT, Meeting
from pytest_gradcheck.session import xdist

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_gradcheck.session.settings import Settings

__all__ = ["RankBridge", "join", "rank_of_run", "timeout"]


def timeout(given: float) -> float:
    """Return how long ranks wait for each other, which must be some time."""
    if not 0 < given < float("inf"):
        msg = f"--grad-rank-timeout={given:g}: ranks must wait for each other a while"
        raise pytest.UsageError(msg)
    return given


def rank_of_run(config: pytest.Config) -> int | None:
    """Return the rank of this process, ``None`` where torchrun did not start several."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    if xdist.active(config):
        msg = "torchrun runs every test on every rank, pytest-xdist each on one worker: take one"
        raise pytest.UsageError(msg)
    return int(os.environ["RANK"])


def join(config: pytest.Config, settings: Settings) -> None:
    """Meet the other ranks of a run, and leave the terminal to rank 0."""
    from pytest_gradcheck.backends._torch.ranks import meeting_of_run

    meeting = meeting_of_run()
    if meeting is None:
        msg = "torchrun keeps no store here (TORCHELASTIC_USE_AGENT_STORE is not True)"
        raise pytest.UsageError(msg)
    config.pluginmanager.register(RankBridge(meeting, settings.rank_timeout), "gradcheck-ranks")
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if settings.rank and terminal is not None:
        config.pluginmanager.unregister(terminal)


class RankBridge:
    """Let the tests of all ranks end together."""

    def __init__(self, meeting: Meeting, timeout: float) -> None:
        """Speak for one rank."""
        self._meeting = meeting
        TIMEOUT.set(timeout)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Name the test, for the meetings of its ranks, and begin it together.

        A rank that went ahead would answer this test's collective operations with the next one's.
        """
        token = SCOPE.set(item.nodeid)
        try:
            with suppress(RankError):  # what became of the others is heard at its end
                self._meeting.meet("start")
            return (yield)
        finally:
            SCOPE.reset(token)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say what became of one phase here, and hear on rank 0 what became of it elsewhere."""
        report = yield
        if report.outcome == "failed":
            self._meeting.leave(item.nodeid, f"its {report.when} failed: {_reason(call)}")
        elif report.outcome == "skipped" and report.when == "setup":
            self._meeting.say("call")  # there will be none to wait for
        self._meeting.say(report.when, trouble=_trouble(report, call))
        if self._meeting.rank == 0 and report.outcome == "passed":
            try:
                self._meeting.hear(report.when)
            except RankError as error:
                report.outcome = "failed"
                report.longrepr = f"{item.nodeid} passed on rank 0, but {error}"
        return report

    def pytest_sessionfinish(self) -> None:
        """Tell the others that this rank will run no more tests."""
        self._meeting.leave("", "its run ended without that test")

    def pytest_unconfigure(self) -> None:
        """Let rank 0 say its last word before the launcher hears that a rank failed."""
        self._meeting.finish()


def _trouble(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    """Return why a phase failed, empty where it did not."""
    return f"its {report.when} failed: {_reason(call)}" if report.outcome == "failed" else ""


def _reason(call: pytest.CallInfo[None]) -> str:
    """Return what a test raised, with its message."""
    if call.excinfo is None:  # an expected failure that did not come
        return "it was expected to fail"
    return f"{call.excinfo.typename}: {call.excinfo.value}"
