"""What a marker asks of a test beside limits: training runs watched without being asked.

Requirements:
    A marker that does nothing is a mistake. A marked test that does not use the fixture and makes
    no optimizer step fails and says so. So does one that uses the fixture where it asks for a run
    to be watched and has no block for it, or where its own marker speaks of training runs and it
    has none watched, or of gradients and it has none judged. Markers on classes and modules are
    written for many tests, of which some may be of the other kind.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.errors import GradientError, MissingExtraError, UsageError
from pytest_gradcheck.series.limits import refuse_idle
from pytest_gradcheck.session.desk import DESK, seat
from pytest_gradcheck.session.marker import NAME, SERIES, own
from pytest_gradcheck.session.run import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_gradcheck.session.desk import Desk

__all__ = ["heed", "watching"]


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


def heed(item: pytest.Item) -> None:
    """Have a test that passed answer to everything that it, or its own marker, asks for."""
    desk = item.stash.get(DESK, None)
    if desk is None:
        return
    if desk.entered < desk.watched:
        text = (
            f"{NAME}.watch(...) was called in {item.name} and never begun: it watches what is in "
            f"its block, 'with {NAME}.watch(...):'"
        )
        pytest.fail(text, pytrace=False)
    if desk.unheard:
        text = "failed in a thread of the test, whose exceptions pytest does not see:"
        pytest.fail(f"{text}\n{desk.unheard[0]}", pytrace=False)
    text = _unheeded(own(item), desk)
    if text:
        pytest.fail(f"the {NAME} marker on {item.name} says {text}", pytrace=False)


def _unheeded(written: Mapping[str, object], desk: Desk) -> str:
    """Return what nothing in a test acted on, and what to do about it, empty for nothing."""
    if not desk.used:
        return ""  # which the terminal tells of
    for name, value in written.items():
        if name in SERIES and not desk.watched:
            return (
                f"{name}={value!r}, and no training run was watched: put the loop in "
                f"'with {NAME}.watch(model):', or take {name} away"
            )
        if desk.watched and not desk.judged and name not in SERIES:
            try:
                refuse_idle({name: value})
            except UsageError as error:
                return f"{name}={value!r}, and only a training run was checked: {error}"
    return ""


def _useless(item: pytest.Item) -> str:
    """Return what is wrong with a marker that has nothing to act on."""
    return (
        f"{item.name} is marked {NAME} but does not use the fixture, and no optimizer step was "
        f"seen while it ran: add the argument {NAME} to the test and call it, or train in the "
        "test, or remove the marker"
    )
