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

__all__ = ["new_folders", "replace_file"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_NEW_FILE = 0o666  # less what the umask takes away


def replace_file(path: Path, data: bytes) -> None:
    """Make `data` the content of a file, in a folder that exists.

    Raises:
        OSError: the file cannot be written; it is as before.
    """
    target = path.resolve()
    draft = target.with_name(f".gradcheck-{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(draft, _FLAGS, _NEW_FILE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            draft.chmod(stat.S_IMODE(target.stat().st_mode))
        draft.replace(target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


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
