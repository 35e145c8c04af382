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
        assert (short[:1], short[-1:]) == (name[:1], name[-1:])


def test_the_numbers_of_layers_stay() -> None:
    """Names that differ in the number of a layer must still differ when they are short."""
    names = {f"encoder.layers.{i}.attention.projection.weight" for i in range(40)}
    short = {shortened(name, 20) for name in names}
    assert len(short) == 40
    assert max(map(len, short)) <= 20


def test_later_lines_are_indented_further() -> None:
    """What continues a line must be told from what begins one."""
    assert wrapped("  cause: one two three", 14) == ["  cause: one", "    two three"]


def test_an_empty_line_stays() -> None:
    """A line without words must not vanish."""
    assert wrapped("", 10) == [""]
