"""Tables as plain text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.records import Table
from pytest_gradcheck.reporters.plain import plain_lines

WIDE = Table(
    title="gradient over unit",
    head=("unit", "loss", "norm of recon", "finite", "norm of kl"),
    rows=(("0.001", 5.65, 1.0, True, None), ("1", 1.5e9, 0.25, False, 2.0)),
)


def test_a_table_without_a_width_is_one_block() -> None:
    """Columns must be aligned, the first to the left."""
    assert plain_lines(WIDE) == [
        "gradient over unit",
        "unit      loss  norm of recon  finite  norm of kl",
        "0.001     5.65              1     yes           -",
        "1      1.5e+09           0.25      no           2",
    ]


def test_columns_that_do_not_fit_follow_below() -> None:
    """No line may be wider than the terminal, and each must say which row it is of."""
    assert plain_lines(WIDE, width=30) == [
        "gradient over unit",
        "unit      loss  norm of recon",
        "0.001     5.65              1",
        "1      1.5e+09           0.25",
        "unit   finite  norm of kl",
        "0.001     yes           -",
        "1          no           2",
    ]


@given(
    st.lists(st.text("abc", min_size=1, max_size=12), min_size=1, max_size=9), st.integers(26, 60)
)
def test_every_column_stands_there_once(heads: list[str], width: int) -> None:
    """Whatever the width, every column but the first must be there exactly once, within it."""
    table = Table(title="t", head=tuple(heads), rows=())
    lines = plain_lines(table, width=width)[1:]
    assert [word for line in lines for word in line.split()[1:]] == heads[1:]
    assert all(len(line) <= width for line in lines)
