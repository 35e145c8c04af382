"""Names and sentences in lines of a width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.wording import shortened, wrapped


@given(st.text(max_size=60), st.integers(0, 80))
def test_a_name_is_shortened_in_its_middle(name: str, width: int) -> None:
    """A name must fit, stay as it is where it does, and otherwise keep both of its ends."""
    short = shortened(name, width)
    assert len(short) <= max(width, 5)
    if len(name) <= max(width, 5):
        assert short == name
    else:
        head, tail = short.split("...")[0], short.rpartition("...")[2]
        assert name.startswith(head[:1])
        assert name.endswith(tail)
        assert tail


def test_later_lines_are_indented_further() -> None:
    """What continues a line must be told from what begins one."""
    assert wrapped("  cause: one two three", 14) == ["  cause: one", "    two three"]


def test_an_empty_line_stays() -> None:
    """A line without words must not vanish."""
    assert wrapped("", 10) == [""]
