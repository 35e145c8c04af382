"""What a test waits for shows on a terminal, is wiped off again, and shows nowhere else."""

from __future__ import annotations

import io
import os
import sys
import threading
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.progress import Work, listening, working
from pytest_gradcheck.session.waiting import Waiting

if TYPE_CHECKING:
    from pathlib import Path

KEEP, BACK, WIPE = "\x1b7", "\x1b8", "\x1b[K"


class Terminal(io.StringIO):
    """Stand for a terminal, and say when something was written to it."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.written = threading.Event()

    def flush(self) -> None:
        """Take note."""
        super().flush()
        self.written.set()


class Gone(io.StringIO):
    """Stand for a terminal that was closed."""

    def write(self, text: str) -> int:
        """Fail."""
        raise OSError(text)


def test_long_work_shows_and_is_wiped() -> None:
    """The line must say what is done and how far it is, and nothing of it be left."""
    terminal = Terminal()
    with listening(Waiting(terminal, lambda: 60, delay=0.0)), working("counting", total=3):
        assert terminal.written.wait(30)
    text = terminal.getvalue()
    assert text.startswith(f"{KEEP}{WIPE} counting 0/3 ... 0 s")
    assert text.endswith(f"{BACK}{WIPE}")


def test_short_work_shows_nothing() -> None:
    """Work that is over before the delay must leave the terminal alone."""
    terminal = Terminal()
    with listening(Waiting(terminal, lambda: 60, delay=600.0)), working("counting") as advance:
        advance()
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(("room", "shown"), [(25, " compiling a model of a su"[:25]), (5, "")])
def test_the_line_keeps_to_the_room_there_is(room: int, shown: str) -> None:
    """The line must never wrap, and not show at all where there is no room for it."""
    terminal, asked = Terminal(), threading.Event()

    def columns() -> int:
        asked.set()
        return room

    waiting = Waiting(terminal, columns, delay=0.0)
    waiting(Work("compiling a model of a surprising length"))
    assert asked.wait(30)
    if shown:
        assert terminal.written.wait(30)
    waiting(None)
    assert terminal.getvalue() == (f"{KEEP}{WIPE}{shown}{BACK}{WIPE}" if shown else "")


def test_a_terminal_that_is_gone_fails_no_test() -> None:
    """A closed terminal must end the showing and nothing else."""
    asked = threading.Event()

    def columns() -> int:
        asked.set()
        return 60

    with listening(Waiting(Gone(), columns, delay=0.0)), working("counting"):
        assert asked.wait(30)


def test_one_thing_after_the_other_shows() -> None:
    """Work that follows other work must show as well."""
    terminal = Terminal()
    waiting = Waiting(terminal, lambda: 60, delay=0.0)
    for what in ("compiling", "evaluating"):
        terminal.written.clear()
        with listening(waiting), working(what):
            assert terminal.written.wait(30)
    assert " compiling ... 0 s" in terminal.getvalue()
    assert " evaluating ... 0 s" in terminal.getvalue()


SLOW = """
import threading
import numpy as np
from pytest_gradcheck.progress import working
from pytest_gradcheck.session import waiting

waiting.DELAY = 0.0
waiting.Waiting.__init__.__kwdefaults__["delay"] = 0.0

def test_slow(gradcheck):
    print("captured")
    with working("working slowly"):
        threading.Event().wait(1.0)
    gradcheck({"w": np.ones(2)}, value_and_grad=lambda p: (1.0, p), drift=False)
"""


def ran(path: Path, *args: str) -> list[str]:
    """Return the command that runs the slow test."""
    path.joinpath("test_slow.py").write_text(dedent(SLOW), encoding="utf-8")
    quick = ("-p", "no:hypothesispytest", "-p", "no:syrupy")
    return [sys.executable, "-m", "pytest", "-q", *quick, *args, str(path)]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's")
@pytest.mark.parametrize("capture", ["fd", "sys", "no"])
def test_an_interactive_terminal_sees_it(tmp_path: Path, capture: str) -> None:
    """The line must reach the terminal past any capture, and be gone at the end."""
    import pty
    import subprocess

    main, side = pty.openpty()
    command = ran(tmp_path, f"--capture={capture}")
    with subprocess.Popen(command, stdout=side, stderr=side, cwd=tmp_path) as process:
        os.close(side)
        parts = []
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # how the end of a pseudo-terminal shows on Linux
                break
            if not part:
                break
            parts.append(part)
    os.close(main)
    text = b"".join(parts).decode()
    assert process.returncode == 0, text
    assert f"{KEEP}{WIPE} working slowly ... 0 s" in text
    assert text.count(KEEP) == text.count(f"{BACK}{WIPE}") - text.count(f"{BACK}{WIPE} ")


@pytest.mark.parametrize("args", [(), ("-n", "1")])
def test_a_pipe_sees_nothing(tmp_path: Path, args: tuple[str, ...]) -> None:
    """What is not a terminal, and what a worker does, must stay as it is."""
    import subprocess

    done = subprocess.run(ran(tmp_path, *args), capture_output=True, text=True, cwd=tmp_path,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "working slowly" not in done.stdout
