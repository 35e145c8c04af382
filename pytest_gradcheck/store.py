"""Find, read and write the files that baselines live in.

The baselines of the test function ``test_vae`` in ``tests/test_model.py`` lie in
``tests/__gradients__/test_model/test_vae.json``, those of its variant ``cuda`` beside it in
``test_vae@cuda.json``.

Requirements:
    A file is read and written whole. A write that fails leaves everything as it was, and nothing
    behind. Nothing is deleted but what the caller names, and the folders that this empties.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from pytest_gradcheck.atomic import new_folders, replace_file
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.records import Kept, Scalar
from pytest_gradcheck.serialize import Sheet, baseline_text

__all__ = [
    "FOLDER",
    "BaselineFile",
    "delete",
    "find",
    "locate",
    "opened",
    "plain",
    "read",
    "variant_of",
    "write",
]

FOLDER = "__gradients__"

_LONGEST = 120  # characters of one of the two names in a file name, which may have 255
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))]
)
_SKIPPED = frozenset(["__pycache__", "node_modules"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineFile:
    """Hold what one file holds.

    Attributes:
        path: of the file.
        environment: in which it was last written; empty where there is no file.
        entries: measurements, or what is kept of training runs, by the key of their call; empty
            where there is no file.
    """

    path: Path
    environment: Mapping[str, Scalar] = field(default_factory=dict)
    entries: Mapping[str, Kept] = field(default_factory=dict)


def locate(module: Path, function: str, variant: str | None = None) -> Path:
    """Return where the baselines of a test function lie.

    Args:
        module: path of the test module.
        function: name of the test function, without class and parameters.
        variant: of the baselines; ``None`` or empty for the one without a name.
    """
    name = _safe(function) + (f"@{_safe(variant)}" if variant else "")
    return module.parent / FOLDER / _safe(module.stem) / f"{name}.json"


def variant_of(path: Path) -> str | None:
    """Return the variant that a baseline file is of, ``None`` for the one without a name."""
    _, mark, variant = path.stem.partition("@")
    return unquote(variant) if mark else None


def plain(path: Path) -> Path:
    """Return the path of the same function's baselines without a variant."""
    return path.with_name(f"{path.stem.partition('@')[0]}.json")


def read(path: Path) -> BaselineFile:
    """Return what a file holds; no entries where there is no file.

    Raises:
        BaselineError: the file cannot be used; the message says why and what to do.
    """
    sheet = opened(path)
    if sheet is None:
        return BaselineFile(path=path)
    return BaselineFile(path=path, environment=sheet.environment, entries=sheet.take_all())


def opened(path: Path) -> Sheet | None:
    """Return a file to read entries from one by one, ``None`` where there is no file.

    Raises:
        BaselineError: the file cannot be used as a whole; the message says why and what to do.
    """
    try:
        text = path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        msg = f"{_shown(path)} is not text; restore it from version control"
        raise BaselineError(msg) from None
    except OSError as error:
        msg = f"{_shown(path)} cannot be read: {_why(error)}"
        raise BaselineError(msg) from None
    return Sheet(text, source=_shown(path))


def write(path: Path, environment: Mapping[str, Scalar], entries: Mapping[str, Kept]) -> bool:
    """Make a file hold these entries and no others; without entries there is no file.

    Args:
        path: of the file, as `locate` gives it.
        environment: in which the entries were recorded.
        entries: measurements, or what is kept of training runs, by the key of their call.

    Returns:
        Whether anything changed.

    Raises:
        BaselineError: an entry cannot be stored, or the file not be written; all is as before.
    """
    if not entries:
        return delete(path)
    data = baseline_text(environment, entries).encode()
    with suppress(OSError):
        if path.read_bytes() == data:
            return False
    home = path.parents[2]
    if not home.is_dir():
        msg = f"{_shown(path)} cannot be written: there is no folder {_shown(home)}"
        raise BaselineError(msg)
    try:
        with new_folders(path.parent, within=home):
            replace_file(path, data)
    except OSError as error:
        msg = f"{_shown(path)} cannot be written: {_why(error)}; nothing was changed"
        raise BaselineError(msg) from None
    return True


def delete(path: Path) -> bool:
    """Delete a file, and the folders of ours that this empties.

    Returns:
        Whether there was a file.

    Raises:
        BaselineError: the file cannot be deleted.
    """
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        msg = f"{_shown(path)} cannot be deleted: {_why(error)}"
        raise BaselineError(msg) from None
    with suppress(OSError):  # a folder that still holds something stays
        path.parent.rmdir()
        if path.parent.parent.name == FOLDER:
            path.parent.parent.rmdir()
    return True


def find(directory: Path) -> tuple[Path, ...]:
    """Return every baseline file under a directory, sorted.

    Hidden folders, virtual environments and the like are not searched.
    """
    return tuple(sorted(_walk(directory)))


def _walk(directory: Path) -> Iterator[Path]:
    """Yield the baseline files under a directory."""
    for root, folders, files in os.walk(directory):
        if Path(root).name == FOLDER:
            yield from (path for path in Path(root).glob("*/*.json") if path.is_file())
            folders.clear()
        elif "pyvenv.cfg" in files:
            folders.clear()
        folders[:] = [name for name in folders if name[0] != "." and name not in _SKIPPED]


def _safe(name: str) -> str:
    """Return a name that every file system takes, different for different names.

    What is no ASCII letter, digit or one of ``_-+.~`` is percent-encoded, so that ``@`` can stand
    before the variant; names that Windows reserves get their first letter encoded, as do dots at
    either end. A very long name is cut and ends in a hash of all of it.
    """
    text = quote(name, safe="+", errors="surrogatepass")
    if len(text) > _LONGEST:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        text = f"{text[: _LONGEST - 17]}~{digest[:16]}"
    if text.startswith(".") or text.partition(".")[0].lower() in _RESERVED:
        text = f"%{ord(text[0]):02X}{text[1:]}"
    return f"{text[:-1]}%2E" if text.endswith(".") else text


def _shown(path: Path) -> str:
    """Return a path as a reader of a message knows it: from here, where it lies below."""
    with suppress(ValueError):
        return path.relative_to(Path.cwd()).as_posix()
    return str(path)


def _why(error: OSError) -> str:
    """Return what the operating system objected to."""
    return error.strerror or str(error)
