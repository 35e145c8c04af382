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
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, cast

from pytest_gradcheck.errors import BaselineError, UsageError
from pytest_gradcheck.records import Kept, Measurement, Scalar, SeriesBaseline
from pytest_gradcheck.serialize.layout import layout, line
from pytest_gradcheck.serialize.reading import measurement_of
from pytest_gradcheck.serialize.series import series_data, series_of, series_text, split_series
from pytest_gradcheck.serialize.shapes import (
    ComponentLine,
    Entry,
    ParameterLines,
    ReplicatesBlock,
    SampleLine,
)
from pytest_gradcheck.serialize.values import from_json, to_json
from pytest_gradcheck.serialize.writing import entry_of

__all__ = ["SCHEMA", "Baseline", "baseline_text", "parse_baseline"]

SCHEMA = "gradcheck-baseline/1"

_REMEDY = (
    "restore it from version control, or run again with --grad-baseline-update to record it anew"
)
_CONFLICT = re.compile(r"^(<{7}|\|{7}|={7}|>{7})", re.MULTILINE)
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
    try:
        baseline = from_json(Baseline, data)
    except UsageError as error:
        raise _unusable(source, f"is damaged ({error})") from None
    entries: dict[str, Kept] = {}
    for key in (*baseline.entries, *series):
        try:
            if key in series:
                entries[key] = series_of(series[key], baseline.environment)
                continue
            entry = baseline.entries[key]
            measured = entries[key] = measurement_of(entry, baseline.environment)
            _refuse_contradiction(measured, entry, data["entries"][key])
        except (ValueError, OverflowError) as error:
            raise _unusable(source, f"is damaged at {key!r} ({error})") from None
    return dict(baseline.environment), entries


def _entry_text(key: str, entry: Kept) -> str:
    """Return the lines of an entry of either kind."""
    if isinstance(entry, SeriesBaseline):
        return series_text(key, series_data(entry))
    return layout(key, _data(entry_of(entry)))


def _object(text: str, source: str) -> dict[str, Any]:
    """Return the JSON object in a text of a version that is known here."""
    conflict = _CONFLICT.search(text)
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


def _refuse_contradiction(measurement: Measurement, entry: Entry, data: dict[str, Any]) -> None:
    """Raise where the rounded numbers of an entry are not those of its packed ones."""
    written = entry_of(measurement)
    if written == entry and _lean_all(entry, data):
        return  # as nearly always; to compare their JSON takes several times as long
    where = _difference(_data(written), data)
    if where:
        msg = (
            f"{'.'.join(where)} does not go with the packed numbers, "
            "as after a change by hand or a merge of two versions"
        )
        raise UsageError(msg)


def _lean_all(entry: Entry, data: dict[str, Any]) -> bool:
    """Return whether the JSON data of an entry leave out every field that holds its default."""
    lines = [*entry.parameters.items(), *entry.components.items()]
    held = [*data["parameters"].values(), *data.get("components", {}).values()]
    records = [entry, *(line for _, line in lines), *entry.samples]
    members = [data, *held, *data.get("samples", ())]
    return all(len(d) == _told(r) for r, d in zip(records, members, strict=True))


def _told(record: Any) -> int:  # noqa: ANN401 - any of our records
    """Return how many fields of a record do not hold their default."""
    return sum(
        getattr(record, name) != default
        for name, default in _defaults(cast("Hashable", type(record)))
    )


@cache
def _defaults(cls: Hashable) -> list[tuple[str, object]]:
    """Return the fields of a record with their defaults; what has none differs from all."""
    return [
        (f.name, f.default if f.default_factory is MISSING else f.default_factory())
        for f in fields(cast("Any", cls))
    ]


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
    """Return the path to the first difference of two objects, empty where there is none."""
    if isinstance(written, dict) and isinstance(found, dict):
        for name in dict.fromkeys([*written, *found]):
            if name not in written or name not in found:
                return [name]
            if written[name] != found[name]:
                return [name, *_difference(written[name], found[name])]
    return []


def _data(entry: Entry) -> dict[str, Any]:
    """Return the JSON data of an entry, without the fields that hold their default."""
    data = _lean(entry)
    data["parameters"] = {name: _lean(line) for name, line in entry.parameters.items()}
    if entry.components:
        data["components"] = {name: _lean(line) for name, line in entry.components.items()}
    if entry.replicates:
        data["replicates"] = _lean(entry.replicates)
    if entry.samples:
        data["samples"] = [_lean(line) for line in entry.samples]
    return data


def _lean(
    record: Entry | ParameterLines | ComponentLine | SampleLine | ReplicatesBlock,
) -> dict[str, Any]:
    """Return the JSON data of a record, without the fields that hold their default."""
    data = to_json(record)
    for field in fields(record):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if getattr(record, field.name) == default:
            del data[field.name]
    return data
