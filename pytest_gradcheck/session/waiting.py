"""Show on the terminal what a test waits for, on the rest of the line that pytest is writing.

Requirements:
    Only an interactive terminal sees it, and only in the process that the user started: what is
    piped or comes from a worker stays as it is. Nothing is left behind. Short work never shows.
"""

from __future__ import annotations

import os
import threading
import time
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.progress import listening
from pytest_gradcheck.session.marker import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TextIO

    from pytest_gradcheck.progress import Work

__all__ = ["Waiter", "Waiting", "watched"]

DELAY = 2.0
"""Seconds of work before it shows."""

_TICK = 1.0
_LEAST = 20  # columns below which there is nothing worth to show
_KEEP, _BACK, _WIPE = "\x1b7", "\x1b8", "\x1b[K"  # the cursor: keep, go back; the rest of the line


class Waiting:
    """Show one piece of work at a time; what `pytest_gradcheck.progress` calls."""

    def __init__(self, stream: TextIO, room: Callable[[], int], *, delay: float = DELAY) -> None:
        """Show nothing yet.

        Args:
            stream: the terminal itself, past what captures the output of tests.
            room: how many columns are left on the line.
            delay: seconds of work before it shows.
        """
        self.stream = stream
        self._room = room
        self._delay = delay
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._work: Work | None = None

    def __call__(self, work: Work | None) -> None:
        """Take note of work that began or came further; wipe the line where it ended."""
        if work is None:
            self.close()
            return
        self._work = work
        if self._thread is None:
            self._over.clear()
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wipe the line, if anything shows."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _show(self) -> None:
        """Show the work from second to second, until it is over."""
        began, pause, shown = time.monotonic(), self._delay, False
        while not self._over.wait(pause):
            room = self._room()
            if room >= _LEAST:
                text = _line(self._work, time.monotonic() - began)[:room]
                self._write(f"{_BACK if shown else _KEEP}{_WIPE}{text}")
                shown = True
            pause = _TICK
        if shown:
            self._write(f"{_BACK}{_WIPE}")

    def _write(self, text: str) -> None:
        """Write at once; a terminal that is gone is no reason to fail a test."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError:
            self._over.set()


def _line(work: Work | None, seconds: float) -> str:
    """Return what to show of a piece of work."""
    if work is None:
        return ""
    far = "" if work.total is None else f" {work.done}/{work.total}"
    return f" {work.what}{far} ... {seconds:.0f} s"


class Waiter:
    """Have work shown while tests run that use the fixture; registered where somebody may look."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Show what a test waits for, if there is a terminal to show it on."""
        uses = NAME in getattr(item, "fixturenames", ())
        waiting = _waiting(item.config) if uses else None
        if waiting is None:
            return (yield)
        with listening(waiting):
            try:
                return (yield)
            finally:
                waiting.close()
                waiting.stream.close()


def watched(config: pytest.Config) -> bool:
    """Return whether somebody may be looking at the terminal of a run."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    return getattr(terminal, "isatty", False) and not hasattr(config, "workerinput")


def _waiting(config: pytest.Config) -> Waiting | None:
    """Return what shows work on the terminal of a run, ``None`` where nobody would see it."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    try:  # called outside of captured tests: this is the terminal, and stays it while they run
        handle = os.dup(terminal._tw._file.fileno())  # noqa: SLF001 - pytest shows it nowhere else
    except (AttributeError, OSError, ValueError):
        return None
    stream = os.fdopen(handle, "w", encoding="utf-8", errors="replace")

    def room() -> int:
        return get_terminal_size().columns - int(terminal._width_of_current_line) - 1  # noqa: SLF001

    return Waiting(stream, room)
