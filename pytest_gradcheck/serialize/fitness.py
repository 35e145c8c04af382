"""Say why something must not become a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import SeriesBaseline
from pytest_gradcheck.serialize.series import series_data
from pytest_gradcheck.serialize.writing import entry_data

if TYPE_CHECKING:
    from pytest_gradcheck.records import Kept

__all__ = ["unstorable"]


def unstorable(entry: Kept) -> str:
    """Return why an entry cannot be stored, empty where it can."""
    try:
        if isinstance(entry, SeriesBaseline):
            series_data(entry)
        else:
            entry_data(entry)
    except UsageError as error:
        return str(error)
    return ""
