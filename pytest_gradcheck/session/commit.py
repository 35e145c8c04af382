"""Write at the end of a run what its tests recorded, and delete what no test uses.

Requirements:
    A file that cannot be read is replaced whole, by an update and by nothing else, and what it may
    have held beyond that is named. Whatever cannot be written is a problem in words: all other
    files are written, and the run fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck import store
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.filing import file_entries
from pytest_gradcheck.records import Measurement, SeriesBaseline
from pytest_gradcheck.serialize import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pytest_gradcheck.records import Kept, Scalar
    from pytest_gradcheck.session.ledger import Call

__all__ = ["Changes", "kept", "prune", "record", "unused"]


@dataclass(slots=True)
class Changes:
    """Gather what was written.

    Attributes:
        created, rewritten, deleted: keys by file.
        lost: keys that an unreadable file held and its replacement does not.
        problems: why a file could not be written.
    """

    created: dict[Path, list[str]] = field(default_factory=dict)
    rewritten: dict[Path, list[str]] = field(default_factory=dict)
    deleted: dict[Path, list[str]] = field(default_factory=dict)
    lost: dict[Path, list[str]] = field(default_factory=dict)
    problems: dict[Path, str] = field(default_factory=dict)


def record(
    ready: Mapping[Path, Mapping[str, Call]], changes: Changes, environment: Mapping[str, Scalar]
) -> None:
    """Write the entries that tests recorded, file by file.

    Args:
        ready: the calls to record, by file and key.
        changes: to add to.
        environment: of this machine, as `pytest_gradcheck.filing.machine` returns it.
    """
    for path, calls in sorted(ready.items()):
        new = {key: kept(call) for key, call in calls.items()}
        try:
            filed = file_entries(path, new, environment)
        except BaselineError as error:
            changes.problems[path] = str(error)
            continue
        for found, keys in ((changes.created, filed.created), (changes.rewritten, filed.rewritten)):
            if keys:
                found[path] = list(keys)
        if filed.lost is not None:
            changes.lost[path] = list(filed.lost)


def unused(
    files: Iterable[Path],
    modules: Iterable[Path],
    used: set[tuple[Path, str]],
    variants: set[str | None],
    keys_of: Callable[[Path], Collection[str] | None],
) -> dict[Path, list[str]]:
    """Return the keys that no test used, by file.

    A file of a module that is there and was not collected is not judged, nor is a file that cannot
    be read, nor one of another variant, nor an entry that its test used under another variant.

    Args:
        files: the baseline files that the run could have used.
        modules: the test modules that were collected.
        used: file of the plain variant, and key, of every entry that was asked for.
        variants: that the run used.
        keys_of: returns the keys in a file, ``None`` for one that cannot be read.
    """
    modules_there = cache(_has_module)  # a folder has many files
    collected = {_folder(module) for module in modules}
    found = {}
    for path in files:
        if store.variant_of(path) not in variants:
            continue
        if path.parent not in collected and modules_there(path.parent):
            continue
        keys, home = keys_of(path), store.plain(path)
        left = [key for key in keys or () if (home, key) not in used]
        if left:
            found[path] = sorted(left)
    return found


def prune(left: Mapping[Path, Iterable[str]], changes: Changes) -> None:
    """Delete entries, and the files and folders that this empties.

    Args:
        left: keys by file.
        changes: to add to.
    """
    for path, keys in sorted(left.items()):
        gone = set(keys)
        try:
            file = store.read(path)
            rest = {key: entry for key, entry in file.entries.items() if key not in gone}
            store.write(path, file.environment, rest)
        except BaselineError as error:
            changes.problems[path] = str(error)
        else:
            changes.deleted[path] = sorted(gone)


def kept(call: Call) -> Kept:
    """Return what a call records, or offers to record."""
    if call.kind == "series":
        return from_json(SeriesBaseline, call.entry)
    return from_json(Measurement, call.entry)


def _folder(module: Path) -> Path:
    """Return where the baselines of a test module lie."""
    return store.locate(module, "any").parent


def _has_module(folder: Path) -> bool:
    """Return whether the test module that a folder belongs to is there."""
    return any(_folder(module) == folder for module in folder.parent.parent.glob("*.py"))
