"""The text of a baseline file, whose entries are read one by one, by those who need them.

Requirements:
    A file that anybody but `pytest_gradcheck.serialize.text` changed in what it says is refused:
    rounded and packed numbers must agree, so that nobody reviews one number while the tests compare
    with another. What is wrong with the file as a whole is said when it is opened, what is wrong
    with an entry when that is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pytest_gradcheck.errors import BaselineError, UsageError
from pytest_gradcheck.records import Kept, Measurement, Scalar
from pytest_gradcheck.serialize.reading import measurement_of
from pytest_gradcheck.serialize.series import series_of, split_series
from pytest_gradcheck.serialize.shapes import Entry, lean_entry
from pytest_gradcheck.serialize.values import from_json
from pytest_gradcheck.serialize.writing import entry_data

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["SCHEMA", "Baseline", "Sheet"]

SCHEMA = "gradcheck-baseline/1"

_REMEDY = (
    "restore it from version control, or run again with --grad-baseline-update to record it anew"
)
_MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")  # found sooner than lines that begin so
_CONFLICT = re.compile(f"^({'|'.join(map(re.escape, _MARKS))})", re.MULTILINE)
_ABSENT = object()
_SCHEMA = re.compile(r"gradcheck-baseline/([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Hold the outermost object of a baseline file."""

    schema: str
    environment: Mapping[str, Scalar]
    entries: Mapping[str, Entry]


class Sheet:
    """Hold a baseline file that is readable as a whole.

    Attributes:
        environment: in which the entries were recorded: versions, platform.
    """

    def __init__(self, text: str, *, source: str = "the baseline file") -> None:
        """Read a text, without its entries.

        Args:
            text: of a baseline file.
            source: what error messages call it.

        Raises:
            BaselineError: the text is damaged, in conflict or of a newer version.
        """
        data = _object(text, source)
        self._source = source
        self._data = data
        self._series = split_series(data)
        self.environment, self._entries = _checked_head(data, source)
        said = self.environment.items()
        self._packages = {name: text for name, text in said if isinstance(text, str)}
        self._read: dict[str, Kept | BaselineError] = {}

    @property
    def keys(self) -> Collection[str]:
        """The keys of the entries that were not taken, those of training runs last."""
        return [*self._read, *self._entries, *self._series]

    def __contains__(self, key: str) -> bool:
        """Whether there is an entry that was not taken."""
        return key in self._read or key in self._entries or key in self._series

    def take_all(self) -> dict[str, Kept]:
        """Return what all entries keep that were not taken, by key.

        Raises:
            BaselineError: one of them is damaged, or was changed by hand.
        """
        return {key: self.take(key) for key in self.keys}

    def read_ahead(self) -> BaselineError | None:
        """Read all entries, in half the time that they take one by one.

        Returns:
            What is wrong with one of them, which is raised when that is taken.
        """
        for key in self.keys:
            try:
                self._read[key] = self.take(key)
            except BaselineError as error:
                self._read[key] = error
        wrong = (one for one in self._read.values() if isinstance(one, BaselineError))
        return next(wrong, None)

    def take(self, key: str) -> Kept:
        """Return what an entry keeps, and forget it.

        Raises:
            BaselineError: the entry is damaged, or was changed by hand.
            KeyError: there is no such entry.
        """
        if (read := self._read.pop(key, None)) is not None:
            if isinstance(read, BaselineError):
                raise read
            return read
        if key in self._series:
            try:
                return series_of(self._series.pop(key), self.environment)
            except (ValueError, OverflowError) as error:
                raise _damaged(self._source, key, error) from None
        entry = self._entries.pop(key)
        measured = _as_written(entry, self._packages)
        if measured is None:
            raise _damage({**self._data, "entries": {key: entry}}, key, self._source)
        return measured


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
