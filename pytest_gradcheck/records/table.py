"""A table of numbers and words, for whoever prints it."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records.objective import Scalar

__all__ = ["Table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Hold a table.

    Attributes:
        title: what it is about.
        head: names of the columns.
        rows: cells, as many in each as there are columns.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...]

    def __post_init__(self) -> None:
        """Check that every row is complete."""
        if any(len(row) != len(self.head) for row in self.rows):
            msg = f"the table {self.title!r} has rows that do not fit its {len(self.head)} columns"
            raise UsageError(msg)
