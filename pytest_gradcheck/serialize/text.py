"""Lay out a baseline file so that a diff of it reads well, and read it back.

A parameter's name stands on a line of its own, its numbers on the next, its sketch on the next, its
own values on the last: drift changes two lines, and the lines that did not change keep neighbours
apart, so that changes of different parameters merge.

Requirements:
    ``baseline_text(*parse_baseline(text)) == text`` for every text that `baseline_text` returned.
    A file that anybody but `baseline_text` changed in what it says is refused: rounded and packed
    numbers must agree, so that nobody reviews one number while the tests compare with another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pytest_gradcheck.errors import BaselineError, UsageError
from pytest_gradcheck.records import Kept, Measurement, Scalar, SeriesBaseline
from pytest_gradcheck.serialize.layout import layout, line
from pytest_gradcheck.serialize.reading import measurement_of
from pytest_gradcheck.serialize.series import series_data, series_of, series_text, split_series
from pytest_gradcheck.serialize.shapes import Entry, lean_entry
from pytest_gradcheck.serialize.values import from_json, to_json
from pytest_gradcheck.serialize.writing import entry_data

__all__ = ["SCHEMA", "Baseline", "baseline_text", "parse_baseline"]

SCHEMA = "gradcheck-baseline/1"

_REMEDY = (
    "restore it from version control, or run again with --grad-baseline-update to record it anew"
)
_CONFLICT = re.compile(r"^(<{7}|\|{7}|={7}|>{7})", re.MULTILINE)
_MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")  # found sooner than lines that begin so
_ABSENT = object()
_SCHEMA = re.compile(r"gradcheck-baseline/([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Hold the outermost object of a baseline file."""

    schema: str
    environment: Mapping[str, Scalar]
    entries: Mapping[str, Entry]


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
    data = _object(text, source)
    series = split_series(data)
    environment, entries = _checked_head(data, source)
    packages = {name: said for name, said in environment.items() if isinstance(said, str)}
    found: dict[str, Kept] = {}
    for key, entry in entries.items():
        measured = _as_written(entry, packages)
        if measured is None:
            raise _damage(data, key, source)
        found[key] = measured
    for key, entry in series.items():
        try:
            found[key] = series_of(entry, environment)
        except (ValueError, OverflowError) as error:
            raise _damaged(source, key, error) from None
    return environment, found


def _checked_head(data: dict[str, Any], source: str) -> tuple[dict[str, Scalar], dict[str, Any]]:
    """Return the environment of a file, and the data of its entries, of which nothing is known."""
    entries = data.get("entries")
    known = isinstance(entries, dict)
    head = _decoded({**data, "entries": {}} if known else data, source)
    return dict(head.environment), cast("dict[str, Any]", entries)


def _decoded(data: object, source: str) -> Baseline:
    """Return the outermost object of a file, all of whose fields are what they must be."""
    try:
        return from_json(Baseline, data)
    except UsageError as error:
        raise _unusable(source, f"is damaged ({error})") from None


def _as_written(entry: Any, packages: Mapping[str, str]) -> Measurement | None:  # noqa: ANN401 - whatever there is
    """Return what an entry keeps, ``None`` if that would be written as another entry.

    It is read without a look at its shape: what is not as it was written gives an error, or other
    data when it is written anew, and only then is it worth knowing what is wrong.
    """
    try:
        measured = measurement_of(entry, packages)
        return measured if entry_data(measured, entry) == entry else None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None


def _damage(data: dict[str, Any], key: str, source: str) -> BaselineError:
    """Return the error for an entry that is not as it was written, with what is wrong with it."""
    plain = lean_entry(_decoded(data, source).entries[key])  # where a field of another kind is told
    try:
        where = _difference(entry_data(measurement_of(plain, {}), plain), data["entries"][key])
    except (ValueError, OverflowError) as error:
        return _damaged(source, key, error)
    what = (
        f"{'.'.join(where)} does not go with the packed numbers, "
        "as after a change by hand or a merge of two versions"
    )
    return _damaged(source, key, what)


def _entry_text(key: str, entry: Kept) -> str:
    """Return the lines of an entry of either kind."""
    if isinstance(entry, SeriesBaseline):
        return series_text(key, series_data(entry))
    data = entry_data(entry)
    from_json(Entry, data)  # which says what a backend must not put there
    return layout(key, data)


def _object(text: str, source: str) -> dict[str, Any]:
    """Return the JSON object in a text of a version that is known here."""
    conflict = _CONFLICT.search(text) if any(mark in text for mark in _MARKS) else None
    if conflict:
        line = text.count("\n", 0, conflict.start()) + 1
        raise _unusable(source, f"has merge-conflict markers (line {line})")
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _unusable(source, f"is truncated or not JSON ({where}: {error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise _unusable(source, f"is not a baseline ({error})") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        if isinstance(schema, str) and _SCHEMA.fullmatch(schema):
            what = f"has the format {schema!r} of another version; this one knows {SCHEMA!r}"
            raise _unusable(source, what, "install the version of pytest-gradcheck it is from, or ")
        raise _unusable(source, f"is not a baseline (its schema is not {SCHEMA!r})")
    return cast("dict[str, Any]", data)


def _damaged(source: str, key: str, why: object) -> BaselineError:
    """Return the error for a file that one entry makes unusable."""
    return _unusable(source, f"is damaged at {key!r} ({why})")


def _unusable(source: str, what: str, first: str = "") -> BaselineError:
    """Return the error for a file that cannot be used, with what to do."""
    return BaselineError(f"{source} {what}; {first}{_REMEDY}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object, each there once: a bad merge may leave two."""
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        msg = f"{next(n for n in names if names.count(n) > 1)!r} stands there twice"
        raise ValueError(msg)
    return members


def _refuse_constant(name: str) -> object:
    """Refuse what Python reads as JSON though it is none."""
    msg = f"it holds {name}"
    raise ValueError(msg)


def _difference(written: object, found: object) -> list[str]:
    """Return the path to the first difference of two objects that differ."""
    if not (isinstance(written, dict) and isinstance(found, dict)):
        return []
    names = dict.fromkeys([*written, *found])
    name = next(n for n in names if written.get(n, _ABSENT) != found.get(n, _ABSENT))
    return [name, *_difference(written.get(name), found.get(name))]
