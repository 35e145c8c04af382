from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.records import Measurement
from pytest_gradcheck.store import FOLDER, delete, find, locate, read, variant_of, write
from tests.measurements import measurement

ENVIRONMENT = {"python": "3.11.7", "torch": "2.13.0"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the baselines of a test function would lie."""
    return locate(tmp_path / "test_model.py", "test_vae")


def everything(folder: Path) -> list[str]:
    """Return the names of all files and folders below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_lies_beside_its_test_module() -> None:
    """The place of a baseline must follow from module, function and variant alone."""
    module = Path("tests/unit/test_model.py")
    folder = Path("tests/unit/__gradients__/test_model")
    assert locate(module, "test_vae") == folder / "test_vae.json"
    assert locate(module, "test_vae", "") == folder / "test_vae.json"
    assert locate(module, "test_vae", "cuda-sm90") == folder / "test_vae@cuda-sm90.json"


@pytest.mark.parametrize(
    ("function", "file"),
    [
        ("test a/b", "test%20a%2Fb.json"),
        ("test@cuda", "test%40cuda.json"),
        ("größe", "gr%C3%B6%C3%9Fe.json"),
        ("..", "%2E%2E.json"),
        (".hidden", "%2Ehidden.json"),
        ("end.", "end%2E.json"),
        ("NUL", "%4EUL.json"),
        ("con.txt", "%63on.txt.json"),
        ("a%20b", "a%2520b.json"),
        ("test\ud800", "test%ED%A0%80.json"),
        ("a+b-c_d.e~f", "a+b-c_d.e~f.json"),
    ],
)
def test_odd_names_make_safe_file_names(function: str, file: str) -> None:
    """Whatever a test is called, its file must have a name that every system takes."""
    assert locate(Path("test_a.py"), function).name == file


def test_a_module_name_cannot_leave_the_folder() -> None:
    """The name of a module must never be read as a path."""
    assert locate(Path("...py"), "test_a") == Path(FOLDER, "%2E%2E", "test_a.json")


@given(st.text(min_size=1), st.text(min_size=1), st.text(), st.text())
def test_different_tests_have_different_files(a: str, b: str, one: str, other: str) -> None:
    """No two functions or variants may share a file."""
    module = Path("test_a.py")
    same = (a, one) == (b, other)
    assert (locate(module, a, one) == locate(module, b, other)) == same


@given(st.text(min_size=1), st.text(max_size=9))
def test_the_variant_can_be_read_off_the_file(function: str, variant: str) -> None:
    """A run must be able to tell the files of other variants from its own."""
    assert variant_of(locate(Path("test_a.py"), function, variant)) == (variant or None)


def test_a_long_name_is_cut_and_stays_unique() -> None:
    """Names longer than a file system takes must be cut without meeting each other."""
    names = [f"test_{'very_' * 60}long_{i}" for i in range(3)]
    paths = {locate(Path("test_a.py"), name, f"variant{'x' * 300}") for name in names}
    assert len(paths) == 3
    assert all(len(path.name) <= 255 for path in paths)


def test_what_was_written_is_read(path: Path) -> None:
    """Entries and environment must come back as they were written."""
    entries = {"test_vae[b]": measurement(seed=1), "test_vae[a]": measurement(seed=2)}
    assert write(path, ENVIRONMENT, entries)
    found = read(path)
    assert found.path == path
    assert found.environment == ENVIRONMENT
    seeds = {k: one.seed for k, one in found.entries.items() if isinstance(one, Measurement)}
    assert seeds == {
        "test_vae[a]": 2,
        "test_vae[b]": 1,
    }


def test_a_file_that_is_not_there_has_no_entries(path: Path, tmp_path: Path) -> None:
    """A missing file is no error: the test has no baseline yet."""
    (tmp_path / "file").touch()
    assert read(path).entries == {}
    assert read(tmp_path / "file" / "a.json").entries == {}


def test_writing_the_same_again_does_not_touch_the_file(path: Path) -> None:
    """A run that changes nothing must leave even the time of the file alone."""
    write(path, ENVIRONMENT, {"test_vae": measurement()})
    os.utime(path, (1, 1))
    assert not write(path, ENVIRONMENT, {"test_vae": measurement()})
    assert path.stat().st_mtime == 1
    assert write(path, ENVIRONMENT, {"test_vae": measurement(seed=8)})


def test_line_ends_are_the_same_on_every_system(path: Path) -> None:
    """A baseline recorded on one system must not show up as changed on another."""
    write(path, ENVIRONMENT, {"test_vae": measurement()})
    assert b"\r" not in path.read_bytes()


def test_a_file_goes_with_its_last_entry(path: Path, tmp_path: Path) -> None:
    """Empty files and empty folders of ours must not stay."""
    write(path, ENVIRONMENT, {"test_vae": measurement()})
    assert write(path, ENVIRONMENT, {})
    assert everything(tmp_path) == []
    assert not write(path, ENVIRONMENT, {})


def test_deleting_leaves_the_neighbours(path: Path, tmp_path: Path) -> None:
    """Other baselines, and whatever else lies there, must stay."""
    other = locate(tmp_path / "test_other.py", "test_b")
    beside = path.with_name("test_c.json")
    for each in (path, other, beside):
        write(each, ENVIRONMENT, {"test": measurement()})
    assert delete(path)
    assert not delete(path)
    assert everything(tmp_path) == [
        "__gradients__",
        "__gradients__/test_model",
        "__gradients__/test_model/test_c.json",
        "__gradients__/test_other",
        "__gradients__/test_other/test_b.json",
    ]
    assert delete(beside)
    assert everything(tmp_path)[1:] == [
        "__gradients__/test_other",
        "__gradients__/test_other/test_b.json",
    ]


def test_only_our_own_folders_are_pruned(tmp_path: Path) -> None:
    """A file that was put elsewhere must not take a stranger's folder with it."""
    folder = tmp_path / "theirs" / "inner"
    folder.mkdir(parents=True)
    (folder / "a.json").touch()
    delete(folder / "a.json")
    assert everything(tmp_path) == ["theirs"]


def test_a_missing_folder_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Baselines of a test module in a folder that is gone must not create that folder."""
    monkeypatch.chdir(tmp_path)
    path = locate(tmp_path / "gone" / "test_a.py", "test_b")
    with pytest.raises(BaselineError) as caught:
        write(path, ENVIRONMENT, {"test_b": measurement()})
    assert str(caught.value) == (
        "gone/__gradients__/test_a/test_b.json cannot be written: there is no folder gone"
    )
    assert everything(tmp_path) == []


@pytest.mark.parametrize("broken", ["mkdir", "replace"])
def test_a_read_only_folder_is_one_clear_error(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A folder that cannot be written to must be named, and nothing be left behind."""

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, broken, refuse)
    with pytest.raises(BaselineError) as caught:
        write(path, ENVIRONMENT, {"test_vae": measurement()})
    assert str(caught.value) == (
        "__gradients__/test_model/test_vae.json cannot be written: Permission denied; "
        "nothing was changed"
    )
    assert everything(tmp_path) == []


def test_a_file_in_the_place_of_a_folder_is_one_clear_error(path: Path, tmp_path: Path) -> None:
    """A stranger's file called like our folder must be named, not overwritten."""
    (tmp_path / FOLDER).write_text("theirs", encoding="utf-8")
    with pytest.raises(BaselineError, match="cannot be written"):
        write(path, ENVIRONMENT, {"test_vae": measurement()})
    assert (tmp_path / FOLDER).read_text(encoding="utf-8") == "theirs"


def test_an_entry_that_cannot_be_stored_leaves_the_file_alone(path: Path) -> None:
    """One bad entry must not cost the others."""
    write(path, ENVIRONMENT, {"test_vae": measurement()})
    before = path.read_bytes()
    with pytest.raises(BaselineError, match="'rate' is inf"):
        write(path, ENVIRONMENT, {"test_vae": measurement(facts={"rate": float("inf")})})
    assert path.read_bytes() == before


def test_a_damaged_file_is_named(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message must say which file cannot be used, in words that can be typed."""
    monkeypatch.chdir(tmp_path)
    write(path, ENVIRONMENT, {"test_vae": measurement()})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BaselineError, match=r"^__gradients__/test_model/.* is truncated"):
        read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BaselineError, match=r"^__gradients__/test_model/.* is not text"):
        read(path)


def test_a_file_elsewhere_is_named_in_full(path: Path) -> None:
    """A file that does not lie below the working folder must be named by its whole path."""
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(BaselineError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} is truncated")


def test_a_folder_in_the_place_of_a_file_is_one_clear_error(path: Path) -> None:
    """What is no file can be neither read nor deleted, and must be named."""
    path.mkdir(parents=True)
    with pytest.raises(BaselineError, match=r"test_vae.json cannot be read: "):
        read(path)
    with pytest.raises(BaselineError, match=r"test_vae.json cannot be deleted: "):
        delete(path)


def test_an_error_without_words_is_shown_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that the operating system does not explain must still say something."""

    def refuse(_path: Path) -> bytes:
        msg = "odd"
        raise OSError(msg)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BaselineError, match="cannot be read: odd"):
        read(path)


def test_all_files_under_a_folder_are_found(tmp_path: Path) -> None:
    """Every baseline must be found, and nothing that is none or belongs to somebody else."""
    ours = [
        locate(tmp_path / "test_a.py", "test_a"),
        locate(tmp_path / "test_a.py", "test_a", "cuda"),
        locate(tmp_path / "deep" / "er" / "test_b.py", "test_b"),
    ]
    theirs = [
        locate(tmp_path / ".hidden" / "test_c.py", "test_c"),
        locate(tmp_path / "env" / "lib" / "test_d.py", "test_d"),
        locate(tmp_path / "node_modules" / "test_e.py", "test_e"),
        tmp_path / FOLDER / "test_a" / "notes.txt",
        tmp_path / FOLDER / "loose.json",
        tmp_path / FOLDER / "test_a" / "deeper" / "test_f.json",
    ]
    for path in (*ours, *theirs):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / FOLDER / "test_a" / "folder.json").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    assert find(tmp_path) == tuple(sorted(ours))
    assert find(tmp_path / "none") == ()
