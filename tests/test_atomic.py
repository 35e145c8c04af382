from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_gradcheck.atomic import new_folders, replace_file

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="permissions and links of POSIX")


def test_a_new_file_holds_the_data(tmp_path: Path) -> None:
    """A file that was not there must be there, whole, with nothing beside it."""
    replace_file(tmp_path / "a.json", b"new\n")
    assert (tmp_path / "a.json").read_bytes() == b"new\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


@POSIX
def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    """Colleagues must be able to read a new baseline where they can read other new files."""
    (tmp_path / "other").touch()
    replace_file(tmp_path / "a.json", b"")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "other").stat().st_mode


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_permissions_stay_as_they_are(tmp_path: Path, mode: int) -> None:
    """Replacing the content must not change who may read or write a file."""
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    path.chmod(mode)
    replace_file(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


@POSIX
def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    """The file that a link points to must be replaced, not the link."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "a.json"
    link.symlink_to(tmp_path / "real" / "b.json")
    replace_file(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "b.json").read_bytes() == b"new"


@pytest.mark.parametrize("broken", ["fsync", "replace", "chmod"])
def test_a_failed_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Whatever fails, the old content must stand and no draft lie around."""

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a.json").write_bytes(b"old")
    monkeypatch.setattr(os if broken == "fsync" else Path, broken, fail)
    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "a.json", b"new")
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control-C at the worst moment must leave the file whole."""

    def interrupt(_file: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a.json").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "a.json", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_file_cannot_be_written_where_there_is_no_folder(tmp_path: Path) -> None:
    """A missing folder must be the operating system's own error."""
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "none" / "a.json", b"")


def test_new_folders_are_there_inside_and_afterwards(tmp_path: Path) -> None:
    """Folders must be created as deep as asked, and stay."""
    with new_folders(tmp_path / "a" / "b", within=tmp_path):
        assert (tmp_path / "a" / "b").is_dir()
    assert (tmp_path / "a" / "b").is_dir()


def test_new_folders_go_again_if_the_body_fails(tmp_path: Path) -> None:
    """A failure inside must take back the folders that were new, and only those."""
    (tmp_path / "a").mkdir()
    with pytest.raises(ZeroDivisionError), new_folders(tmp_path / "a" / "b" / "c", within=tmp_path):
        _ = 1 / 0
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]


def test_a_new_folder_that_was_filled_stays(tmp_path: Path) -> None:
    """A failure must not take back what somebody else put there meanwhile."""

    def fill() -> None:
        with new_folders(tmp_path / "a", within=tmp_path):
            (tmp_path / "a" / "theirs").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill()
    assert (tmp_path / "a" / "theirs").exists()


def test_folders_that_cannot_all_be_created_are_not_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the second folder cannot be created the first one must go."""
    mkdir = Path.mkdir

    def refuse(self: Path, *args: Any, **options: Any) -> None:
        if self.name == "b":
            raise PermissionError(13, "Permission denied")
        mkdir(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionError), new_folders(tmp_path / "a" / "b", within=tmp_path):
        pass  # pragma: no cover - never entered
    assert list(tmp_path.iterdir()) == []
