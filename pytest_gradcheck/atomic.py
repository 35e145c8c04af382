"""Write a whole file or nothing.

Requirements:
    At every moment the file holds what it held before or all of what is written: readers, a killed
    process and a full disk never see a part. Permissions stay as they are, a symbolic link stays
    one, and a write that fails leaves no file and no folder behind.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["Draft", "new_folders", "replace_file", "replacing"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_NEW_FILE = 0o666  # less what the umask takes away


class Draft:
    """Take the content of a file piece by piece; after an error, the rest is let go.

    Attributes:
        error: why the file cannot be written, if it cannot.
    """

    def __init__(self, file: BinaryIO | None = None, error: OSError | None = None) -> None:
        """Write into a file, unless it could not be opened."""
        self._file = file
        self.error = error

    def write(self, data: bytes) -> int:
        """Add a piece."""
        if self._file is not None and self.error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.error = error
        return len(data)


def replace_file(path: Path, data: bytes) -> None:
    """Make `data` the content of a file, in a folder that exists.

    Raises:
        OSError: the file cannot be written; it is as before.
    """
    with replacing(path) as draft:
        draft.write(data)
    if draft.error is not None:
        raise draft.error


@contextmanager
def replacing(path: Path) -> Iterator[Draft]:
    """Make what the body writes the content of a file, in a folder that exists.

    Where that fails, or the body does, the file is as before; `Draft.error` then says why.
    """
    target = path.resolve()
    name = target.with_name(f".gradcheck-{secrets.token_hex(8)}.tmp")
    try:
        file = os.fdopen(os.open(name, _FLAGS, _NEW_FILE), "wb")
    except OSError as error:
        yield Draft(error=error)
        return
    draft = Draft(file)
    try:
        with file:
            yield draft
            if draft.error is None:
                file.flush()
                os.fsync(file.fileno())
        if draft.error is None:
            with suppress(FileNotFoundError):
                name.chmod(stat.S_IMODE(target.stat().st_mode))
            name.replace(target)
    except OSError as error:
        draft.error = draft.error or error
    finally:
        with suppress(OSError):
            name.unlink()


@contextmanager
def new_folders(path: Path, *, within: Path) -> Iterator[None]:
    """Create a folder, and those above it below `within`; remove them again if the body fails.

    Raises:
        OSError: one cannot be created.
    """
    missing = [folder for folder in (path, *path.parents) if within in folder.parents]
    created: list[Path] = []
    try:
        for folder in reversed(missing):
            if not folder.is_dir():
                folder.mkdir()
                created.append(folder)
        yield
    except BaseException:
        for folder in reversed(created):
            with suppress(OSError):
                folder.rmdir()
        raise
