"""Long work is announced to who listens, and to nobody else."""

from __future__ import annotations

import pytest

from pytest_gradcheck.progress import Work, listening, working


def test_each_step_is_announced_and_the_end() -> None:
    """A listener must hear of the beginning, of every step and of the end."""
    heard: list[tuple[str, int, int | None] | None] = []

    def hear(work: Work | None) -> None:
        heard.append(None if work is None else (work.what, work.done, work.total))

    with listening(hear), working("counting", total=2) as advance:
        advance()
        advance()
    assert heard == [("counting", 0, 2), ("counting", 1, 2), ("counting", 2, 2), None]


def test_work_that_fails_ends_too() -> None:
    """A listener must hear of the end of work that raised."""
    heard: list[Work | None] = []
    with pytest.raises(ZeroDivisionError), listening(heard.append), working("dividing"):
        _ = 1 / 0
    assert heard[-1] is None


def test_nobody_hears_of_work_outside_the_block() -> None:
    """A listener must hear nothing once its block is over."""
    heard: list[Work | None] = []
    with listening(heard.append):
        pass
    with working("counting") as advance:
        advance()
    assert heard == []
