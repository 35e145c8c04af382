"""Whether a test that stopped at drift had come to its end."""

from __future__ import annotations

import contextlib
from types import FunctionType
from typing import Any

import pytest

from pytest_gradcheck.session.ending import stopped_early


def fail() -> None:
    """Raise."""
    raise AssertionError


def last() -> None:
    """Stop in the last statement."""
    repr(0)
    fail()


def assigned() -> None:
    """Stop in the last statement, a long one."""
    _ = (
        1,
        fail(),  # type: ignore[func-returns-value]
    )


def inside() -> None:
    """Stop in the last statement of a block that runs once."""
    with contextlib.nullcontext(), contextlib.nullcontext():
        repr(0)
        fail()


def before() -> None:
    """Stop before the last statement."""
    fail()
    repr(0)


def looped() -> None:
    """Stop in a loop."""
    for _ in range(2):
        fail()


def nested() -> None:
    """Stop in the last statement, in a function that does not."""
    before()


def after() -> None:
    """Stop in a block after which something follows."""
    with contextlib.nullcontext():
        fail()
    repr(0)


def trying() -> None:
    """Stop where something is done in the end."""
    try:
        fail()
    finally:
        repr(0)


OURS = """
class Watching:
    def __enter__(self):
        return self

    def __exit__(self, *_error):
        raise AssertionError

    def watch(self):
        return self

    measure = watch
"""
names: dict[str, Any] = {"__name__": "pytest_gradcheck.session.series"}
exec(OURS, names)  # noqa: S102 - a block whose frames are the plugin's own
Watching: Any = names["Watching"]


def watched() -> None:
    """Stop at the end of a watched block, which is the last statement."""
    with contextlib.nullcontext(), contextlib.nullcontext():
        repr(0)
        with Watching().watch():
            repr(0)


def beside() -> None:
    """Stop at the end of one of two blocks: the other may have something to do."""
    with contextlib.nullcontext(), Watching().watch():
        repr(0)


def other() -> None:
    """Stop at the end of a block of another kind."""
    with Watching().measure():
        repr(0)


def watched_before() -> None:
    """Stop at the end of a watched block, after which something follows."""
    with Watching().watch():
        repr(0)
    repr(0)


@pytest.mark.parametrize(
    ("test", "early"),
    [
        (watched, False),
        (beside, True),
        (other, True),
        (watched_before, True),
        (last, False),
        (assigned, False),
        (inside, False),
        (before, True),
        (looped, True),
        (nested, True),
        (after, True),
        (trying, True),
    ],
)
def test_only_what_nothing_follows_is_the_end(test: FunctionType, *, early: bool) -> None:
    """A statement left to run anywhere between the test and the failure must count."""
    with pytest.raises(AssertionError) as caught:
        test()
    assert stopped_early(caught.value.__traceback__, test.__code__) is early


def test_in_doubt_something_follows() -> None:
    """Where the source or the test cannot be found, nothing may be called the end."""
    scope: dict[str, object] = {"fail": fail}
    exec("def made():\n    fail()\n", scope)  # noqa: S102 - a function without a source
    made = scope["made"]
    assert isinstance(made, FunctionType)
    with pytest.raises(AssertionError) as caught:
        made()
    assert stopped_early(caught.value.__traceback__, made.__code__)
    assert stopped_early(caught.value.__traceback__, before.__code__)
    assert stopped_early(None, None)
