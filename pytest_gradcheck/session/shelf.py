"""The baseline files of a run, each read once."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck import store
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.records import Kept

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pytest_gradcheck.session.baselines import Address

__all__ = ["Shelf"]


@dataclass(slots=True)
class Shelf:
    """Read baseline files, each once a run: only the end of the run changes them.

    An entry is handed out and forgotten: ten thousand of them take more memory than the run. Who
    asks again, a test that runs again, has its file read again.
    """

    _left: dict[Path, dict[str, Kept]] = field(default_factory=dict)
    _keys: dict[Path, frozenset[str] | BaselineError] = field(default_factory=dict)

    def find(self, address: Address) -> Kept | BaselineError | None:
        """Return the entry at an address, ``None`` where there is none, or why nobody can tell."""
        path, key = address.path, address.key
        known = self._keys.get(path)
        if isinstance(known, BaselineError):
            return known
        left = self._left.get(path, {})
        if known is None or (key in known and key not in left):
            found = self._read(path)
            if isinstance(found, BaselineError):
                return found
            left = self._left[path] = found
        return left.pop(key, None)

    def keys(self, path: Path) -> Collection[str] | None:
        """Return the keys of the entries in a file, ``None`` where nobody can tell."""
        if path not in self._keys:
            self._read(path)
        known = self._keys[path]
        return None if isinstance(known, BaselineError) else known

    def _read(self, path: Path) -> dict[str, Kept] | BaselineError:
        """Read a file, note its keys, and return its entries, or why it cannot be read."""
        try:
            with _uncollected():
                found = dict(store.read(path).entries)
        except BaselineError as error:
            self._keys[path] = error
            return error
        self._keys[path] = frozenset(found)
        return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector rest while the block makes much that is kept."""
    active = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if active:
            gc.enable()
