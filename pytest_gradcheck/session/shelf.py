"""The baseline files of a run, each read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck import store
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.serialize import Sheet
from pytest_gradcheck.uncollected import uncollected

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_gradcheck.records import Kept
    from pytest_gradcheck.session.baselines import Address

__all__ = ["Shelf"]


@dataclass(slots=True)
class Shelf:
    """Open baseline files, each once a run: only the end of the run changes them.

    An entry is handed out and forgotten: ten thousand of them take more memory than the run. Who
    asks again, a test that runs again, has its file opened again.

    Attributes:
        whole: whether one damaged entry spoils its file, as for a run that would have to write the
            file anew, and with it all that is in there.
        ahead: whether all entries of a file are read as soon as one is needed; of eight workers
            each needs an eighth.
    """

    whole: bool = False
    ahead: bool = True
    _open: dict[Path, Sheet] = field(default_factory=dict)
    _keys: dict[Path, frozenset[str] | BaselineError] = field(default_factory=dict)

    def find(self, address: Address) -> Kept | BaselineError | None:
        """Return the entry at an address, ``None`` where there is none, or why nobody can tell."""
        path, key = address.path, address.key
        known = self._keys.get(path)
        if known is None or (isinstance(known, frozenset) and self._taken(path, key, known)):
            known = self._look(path)
        if isinstance(known, BaselineError):
            return known
        if key not in known:
            return None
        try:
            return self._open[path].take(key)
        except BaselineError as error:
            return error

    def keys(self, path: Path) -> Collection[str] | None:
        """Return the keys of the entries in a file, ``None`` where nobody can tell."""
        known = self._keys.get(path)
        known = self._look(path) if known is None else known
        return None if isinstance(known, BaselineError) else known

    def _taken(self, path: Path, key: str, known: Collection[str]) -> bool:
        """Whether an entry that is there was handed out before."""
        return key in known and key not in self._open[path]

    def _look(self, path: Path) -> frozenset[str] | BaselineError:
        """Open a file, and return its keys, or why it cannot be read."""
        found: frozenset[str] | BaselineError = frozenset()
        try:
            with uncollected():
                sheet = store.opened(path)
                wrong = sheet.read_ahead() if sheet and (self.ahead or self.whole) else None
        except BaselineError as error:
            found = error
        else:
            if wrong is not None and self.whole:
                found = wrong
            elif sheet is not None:
                found, self._open[path] = frozenset(sheet.keys), sheet
        self._keys[path] = found
        return found
