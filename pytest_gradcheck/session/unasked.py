"""A test that is marked, trains, and does not use the fixture: watched without being asked.

Requirements:
    A marker that does nothing is a mistake: a test that makes no optimizer step fails and says so.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.errors import GradientError, MissingExtraError, UsageError
from pytest_gradcheck.session.marker import NAME
from pytest_gradcheck.session.run import RUN, seat

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["watching"]


@contextmanager
def watching(item: pytest.Item) -> Iterator[None]:
    """Watch whatever optimizers step while the block runs, and judge it as the marker says."""
    from pytest_gradcheck.session.series import Watching

    desk = seat(item)
    desk.used = True
    trouble = ""
    watched = Watching(item, item.config.stash[RUN], desk, options={}, limits={})
    try:
        training = watched.__enter__()
    except MissingExtraError as error:
        trouble = f"{_useless(item)}; no loop can be watched here: {error}"
    if trouble:  # outside of the handler: the error behind it says no more
        pytest.fail(trouble, pytrace=False)
    try:
        yield
    except BaseException as error:
        watched.__exit__(type(error), error, error.__traceback__)
        raise
    drifted = False
    try:
        watched.__exit__(None, None, None)
    except GradientError as error:
        trouble, drifted = str(error), desk.raised is error
    except UsageError as error:
        trouble = str(error) if training.series.steps else _useless(item)
    if trouble:
        failure = pytest.fail.Exception(trouble, pytrace=False)
        if drifted:
            desk.raised, desk.finished = failure, True
        raise failure


def _useless(item: pytest.Item) -> str:
    """Return what is wrong with a marker that has nothing to act on."""
    return (
        f"{item.name} is marked {NAME} but does not use the fixture, and no optimizer step was "
        f"seen while it ran: add the argument {NAME} to the test and call it, or train in the "
        "test, or remove the marker"
    )
