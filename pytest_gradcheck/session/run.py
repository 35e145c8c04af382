"""One run of pytest as this plugin sees it, in the process that the user started or in a worker.

Requirements:
    Nothing here loads a numerical library unless a test used the fixture.
"""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING, Final

import pytest

from pytest_gradcheck.session.census import Census
from pytest_gradcheck.session.ledger import Ledger
from pytest_gradcheck.session.marker import complaint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_gradcheck.reporters.terminal import Tone
    from pytest_gradcheck.session.closing import Ending
    from pytest_gradcheck.session.settings import Settings
    from pytest_gradcheck.session.shelf import Shelf

__all__ = ["RUN", "Run"]


RUN = pytest.StashKey["Run"]()

_MARKUP: Final[Mapping[Tone, Mapping[str, bool]]] = {
    "": {},
    "good": {"green": True},
    "care": {"yellow": True},
    "bad": {"red": True},
    "quiet": {"light": True},
}


class Run:
    """Keep the state of one run.

    Attributes:
        settings: what the user asked for.
        census: what was collected.
        ledger: what the tests said.
        lost: workers that died.
        ending: what the run found out, once it is over.
    """

    def __init__(self, settings: Settings) -> None:
        """Start with nothing collected and nothing said."""
        self.settings = settings
        self.census = Census()
        self.ledger = Ledger()
        self.lost: list[str] = []
        self.ending: Ending | None = None
        self._shelf: Shelf | None = None

    @property
    def shelf(self) -> Shelf:
        """The baselines."""
        if self._shelf is None:
            from pytest_gradcheck.session.shelf import Shelf

            self._shelf = Shelf(whole=self.settings.records, ahead=not self.settings.worker)
        return self._shelf

    def inspect(self, items: Iterable[pytest.Item]) -> dict[str, str]:
        """Count the tests that are to run; return why some of them must not, by node id."""
        complaints = {}
        for item in items:
            self.census.select(item.nodeid)
            text = complaint(item, self.settings.limits)
            if text:
                complaints[item.nodeid] = text
        return complaints

    def close(self, config: pytest.Config, status: int) -> bool:
        """Write baselines and reports, and return whether anything went wrong with that."""
        if not (self.ledger.said or self.settings.prune or self.settings.reports):
            return False
        from pytest_gradcheck.session.closing import close

        self.ending = close(self, config, status)
        return bool(self.ending.problems)

    def say(self, terminal: pytest.TerminalReporter) -> None:
        """Print what there is to say at the end."""
        if self.ending is None:
            return
        from pytest_gradcheck.reporters.terminal import TITLE, terminal_lines

        top = self.settings.top
        lines = terminal_lines(self.ending.report, width=get_terminal_size().columns, top=top)
        if lines or self.ending.problems:
            terminal.write_sep("=", TITLE)
        for line in lines:
            terminal.write_line(line.text, **_MARKUP[line.tone])
        for problem in self.ending.problems:
            terminal.write_line(f"ERROR: {problem}", red=True)
        for path in self.ending.written:
            terminal.write_line(f"report written to {path}")
        for command in self.ending.commands:
            terminal.write_line(command)
