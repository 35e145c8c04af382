"""The bridge to pytest-xdist, registered only while it distributes tests.

What tests say travels with their reports, which xdist carries anyway; the bridge adds what each
worker collected, and notes the workers that never came back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_gradcheck.session.run import Run


__all__ = ["Controller", "Worker", "active"]

_KEY = "gradcheck"


def active(config: pytest.Config) -> bool:
    """Return whether xdist distributes tests in this run, or this is one of its workers."""
    return hasattr(config, "workerinput") or getattr(config.option, "dist", "no") != "no"


class Worker:
    """Send what this worker collected."""

    def __init__(self, run: Run) -> None:
        """Speak for one run."""
        self._run = run

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Leave the counts where xdist takes them along."""
        session.config.workeroutput[_KEY] = self._run.census.message()  # type: ignore[attr-defined]


class Controller:
    """Take in what the workers collected."""

    def __init__(self, run: Run) -> None:
        """Gather for one run."""
        self._run = run

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(
        self,
        node: Any,  # noqa: ANN401 - xdist publishes no types
        error: object,
    ) -> None:
        """Add a worker's counts, or note that it was lost."""
        message = getattr(node, "workeroutput", {}).get(_KEY)
        if error or message is None:
            self._run.lost.append(node.gateway.id)
        else:
            self._run.census.merge(message)
