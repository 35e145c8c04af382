"""Put measurements into baseline files: what was there stays, what is new is added or replaced.

Requirements:
    Whoever records, a run of the tests or somebody who accepts what another machine measured, goes
    through here, so that the same entries give the same bytes. A file that cannot be read is
    replaced whole, and what it may have held beyond that is named.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck import store
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.serialize import baseline_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pytest_gradcheck.records import Kept, Scalar

__all__ = ["DIRTY", "Filed", "digest", "file_entries", "header", "machine"]

DIRTY = "dirty"
"""The member of a file's environment that says its entries are from a tree with changes."""

_OF_THE_MACHINE = ("python", "platform", DIRTY)
_KEY = re.compile(r'^ ("(?:[^"\\\\]|\\\\.)*"): \{', re.MULTILINE)  # where an entry begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """Hold what became of one file.

    Attributes:
        created, rewritten: keys.
        lost: keys that an unreadable file held and its replacement does not; ``None`` where the
            file could be read.
    """

    created: tuple[str, ...]
    rewritten: tuple[str, ...]
    lost: tuple[str, ...] | None = None


def file_entries(path: Path, new: Mapping[str, Kept], environment: Mapping[str, Scalar]) -> Filed:
    """Write entries into a file, beside those it holds.

    Args:
        path: of the file.
        new: measurements, or what is kept of training runs, by the key of their call, in the order
            in which they were made.
        environment: of the machine that measured them, as `machine` returns it.

    Raises:
        BaselineError: an entry cannot be stored, or the file not be written; it is as before.
    """
    lost = None
    try:
        old = dict(store.read(path).entries)
    except BaselineError:
        old = {}
        lost = tuple(sorted(_keys(path) - set(new)))
    store.write(path, header(environment, new.values()), old | dict(new))
    keys = sorted(new)
    return Filed(
        created=tuple(key for key in keys if key not in old),
        rewritten=tuple(key for key in keys if key in old),
        lost=lost,
    )


def header(environment: Mapping[str, Scalar], entries: Iterable[Kept]) -> dict[str, Scalar]:
    """Return what a file says of how its entries were recorded.

    Args:
        environment: of the machine; more than `machine` returns is left out.
        entries: that are recorded, in the order in which they were made.
    """
    found = {name: environment[name] for name in _OF_THE_MACHINE if name in environment}
    for entry in entries:
        found |= entry.packages
    return found


def machine(*, dirty: bool = False) -> dict[str, Scalar]:
    """Return what is to be known of this machine, without its name.

    Args:
        dirty: whether the tree holds changes that no commit has.
    """
    found: dict[str, Scalar] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    return found | {DIRTY: True} if dirty else found


def digest(entry: Kept) -> str:
    """Return a short hash of everything that a baseline file says of an entry."""
    text = baseline_text({}, {"": entry})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _keys(path: Path) -> set[str]:
    """Return the keys that a file seems to hold though it cannot be read as a whole."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    found = set()
    for key in _KEY.findall(text):
        with suppress(ValueError):
            found.add(str(json.loads(key)))
    return found
