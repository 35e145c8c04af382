"""The pytest plugin: options and hooks, and nothing else.

Requirements:
    Loading this imports no numerical library, and nothing that a run without gradients can do
    without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.session import ranks, settings, xdist
from pytest_gradcheck.session.desk import RUNNING, attach
from pytest_gradcheck.session.fixture import grad_snapshot, gradcheck
from pytest_gradcheck.session.marker import NAME, alone
from pytest_gradcheck.session.run import RUN, Run
from pytest_gradcheck.session.waiting import Waiter, watched

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

__all__ = ["grad_snapshot", "gradcheck"]

_MARKER = (
    "gradcheck(*checks, rules=(), without=(), **limits): limits for the gradients that the test "
    "checks with the gradcheck fixture, or that it trains with where it does not use the fixture; "
    "see --help for the limits, which the ini file takes as grad_<limit>"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the flags, and an ini option for each limit."""
    group = parser.getgroup("gradcheck", "gradients (pytest-gradcheck)")
    group.addoption(
        "--grad-baseline-update",
        action="store_true",
        help="record missing baselines and re-record drifted ones, of tests that pass all else",
    )
    group.addoption(
        "--grad-baseline",
        choices=settings.MODES,
        help="check (default): compare; new: also record missing baselines; update: also re-record "
        "drifted ones; rewrite: record all; off: neither read nor write",
    )
    group.addoption(
        "--grad-baseline-prune",
        action="store_true",
        help="delete baselines that no test uses, if this run can know",
    )
    group.addoption(
        "--grad-drift",
        choices=("fail", "warn"),
        default="fail",
        help="what drift does to a test (default: fail)",
    )
    group.addoption(
        "--grad-variant",
        metavar="NAME",
        help="which variant of the baselines to use (default: from the device); 'default' is the "
        "one without a name",
    )
    group.addoption(
        "--grad-report",
        action="append",
        default=[],
        metavar="PATH",
        help="write a report; the suffix tells the format: .json .jsonl .md .html .pkl "
        ".codequality.json; repeatable",
    )
    group.addoption(
        "--grad-top", type=int, default=20, metavar="N", help="rows in tables (default: 20)"
    )
    group.addoption(
        "--grad-rank-timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long the ranks of 'torchrun -m pytest' wait for each other (default: 300)",
    )
    for name in settings.LIMITS:
        parser.addini(settings.PREFIX + name, f"the limit {name} for all tests", default=None)


@pytest.hookimpl(trylast=True)  # the terminal must be there to be taken away from other ranks
def pytest_configure(config: pytest.Config) -> None:
    """Read the settings and start a run."""
    config.addinivalue_line("markers", _MARKER)
    run = config.stash[RUN] = Run(settings.read(config))
    if not run.settings.worker:
        config.pluginmanager.register(Listener(run), "gradcheck-listener")
    if run.settings.rank is not None:
        ranks.join(config, run.settings)
    if watched(config):
        config.pluginmanager.register(Waiter(), "gradcheck-waiting")
    if xdist.active(config):
        bridge = xdist.Worker(run) if run.settings.worker else xdist.Controller(run)
        config.pluginmanager.register(bridge, "gradcheck-xdist")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Note what is collected."""
    collector.config.stash[RUN].census.start(collector)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Count a test before any filter."""
    item.config.stash[RUN].census.collect(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Note what could not be collected."""
    report = yield
    collector.config.stash[RUN].census.report(report)
    return report


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find the tests that use the plugin wrongly, after all filters and markers."""
    run = session.config.stash[RUN]
    complaints = run.inspect(session.items)
    if complaints and session.config.option.collectonly:
        raise pytest.UsageError("\n".join(complaints.values()))
    if complaints:
        session.config.pluginmanager.register(Refusal(complaints), "gradcheck-refusal")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Watch what a marked test trains that does not use the fixture; heed what others are told."""
    uses = NAME in getattr(pyfuncitem, "fixturenames", ())
    if not uses and not alone(pyfuncitem):
        return (yield)
    __tracebackhide__ = True
    from pytest_gradcheck.session.unasked import heed, watching

    if not uses:
        with watching(pyfuncitem):
            return (yield)
    result = yield
    heed(pyfuncitem)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let the fixture know the test that runs."""
    token = RUNNING.set(item)
    try:
        return (yield)
    finally:
        RUNNING.reset(token)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what a test said along with its report."""
    report = yield
    attach(item, report, call.excinfo)
    return report


class Refusal:
    """Refuse tests that use the plugin wrongly; registered only where there are any."""

    def __init__(self, complaints: Mapping[str, str]) -> None:
        """Keep what to say, by node id."""
        self._complaints = complaints

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail the test before it does anything."""
        complaint = self._complaints.get(item.nodeid)
        if complaint is not None:
            pytest.fail(complaint, pytrace=False)


class Listener:
    """Hear the reports of all tests, and close the run: only where the user started it."""

    def __init__(self, run: Run) -> None:
        """Listen for one run."""
        self._run = run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter what a test said in the ledger."""
        self._run.ledger.add(report)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write baselines and reports; what cannot be written fails a run that passed."""
        if self._run.close(session.config, exitstatus) and not exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what became of gradients and baselines."""
        self._run.say(terminalreporter)
