"""Whether a test that stopped at drift had come to its end."""

from __future__ import annotations

import contextlib
from types import FunctionType

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


@pytest.mark.parametrize(
    ("test", "early"),
    [
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
