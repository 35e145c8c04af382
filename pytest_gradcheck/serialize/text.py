"""Lay out a baseline file so that a diff of it reads well, and read it back.

A parameter's name stands on a line of its own, its numbers on the next, its sketch on the next, its
own values on the last: drift changes two lines, and the lines that did not change keep neighbours
apart, so that changes of different parameters merge.

Requirements:
    ``baseline_text(*parse_baseline(text)) == text`` for every text that `baseline_text` returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.errors import BaselineError, UsageError
from pytest_gradcheck.records import Kept, Scalar, SeriesBaseline
from pytest_gradcheck.serialize.layout import layout, line
from pytest_gradcheck.serialize.series import series_data, series_text
from pytest_gradcheck.serialize.shapes import Entry
from pytest_gradcheck.serialize.sheet import SCHEMA, Baseline, Sheet
from pytest_gradcheck.serialize.values import from_json, to_json
from pytest_gradcheck.serialize.writing import entry_data

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["baseline_text", "parse_baseline"]


def baseline_text(environment: Mapping[str, Scalar], entries: Mapping[str, Kept]) -> str:
    """Return the text of a baseline file.

    Args:
        environment: in which the entries were recorded: versions, platform.
        entries: measurements, or what is kept of training runs, by the key of their call.

    Raises:
        BaselineError: an entry holds NaN or Inf, or cannot be stored for another reason.
    """
    blocks = []
    for key in sorted(entries):
        try:
            blocks.append(_entry_text(key, entries[key]))
        except UsageError as error:
            msg = f"the baseline of {key!r} cannot be stored: {error}"
            raise BaselineError(msg) from None
    body = ",\n".join(blocks)
    head = to_json(Baseline(schema=SCHEMA, environment=environment, entries={}))
    return (
        f'{{\n"schema": {line(SCHEMA)},\n"environment": {line(head["environment"])},\n'
        f'"entries": {{\n{body}\n}}\n}}\n'
    )


def parse_baseline(
    text: str, *, source: str = "the baseline file"
) -> tuple[dict[str, Scalar], dict[str, Kept]]:
    """Return the environment and the entries that a text holds.

    Args:
        text: of a baseline file.
        source: what error messages call it.

    Raises:
        BaselineError: the text is damaged, in conflict, of a newer version or changed by hand.
    """
    sheet = Sheet(text, source=source)
    return sheet.environment, sheet.take_all()


def _entry_text(key: str, entry: Kept) -> str:
    """Return the lines of an entry of either kind."""
    if isinstance(entry, SeriesBaseline):
        return series_text(key, series_data(entry))
    data = entry_data(entry)
    from_json(Entry, data)  # which says what a backend must not put there
    return layout(key, data)
