"""Baseline files are opened once a run, and their entries read by those who need them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, store
from pytest_gradcheck.checks.drift import recordable
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.records import Measurement
from pytest_gradcheck.session.baselines import Address
from pytest_gradcheck.session.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def stored() -> Measurement:
    """Return a baseline."""
    verdict = check_gradients(
        {"w": np.array([1.0, -2.0])}, value_and_grad=lambda p: (1.0, {"w": p["w"]})
    )
    return recordable(verdict.measurement)


@pytest.fixture
def address(tmp_path: Path) -> Address:
    """Return where the baseline would lie."""
    path = store.locate(tmp_path / "test_m.py", "test_f")
    return Address(path=path, key="test_f[1]", words=("pytest", "x", "--grad-baseline-update"))


@pytest.mark.parametrize("ahead", [True, False])
def test_a_file_is_read_once_a_run(address: Address, stored: Measurement, *, ahead: bool) -> None:
    """What the file held first must hold for all that its tests ask for once, be it an error."""
    address.path.parents[2].mkdir(exist_ok=True)
    shelf = Shelf(ahead=ahead)
    store.write(address.path, {}, {"test_f[1]": stored, "test_f[2]": stored})
    held = store.read(address.path).entries
    assert shelf.find(address) == held["test_f[1]"]
    address.path.write_text("{", encoding="utf-8")
    assert shelf.find(replace(address, key="test_f[2]")) == held["test_f[2]"]
    assert shelf.find(replace(address, key="test_f[3]")) is None
    assert shelf.keys(address.path) == {"test_f[1]", "test_f[2]"}
    later = Shelf()
    assert isinstance(later.find(address), BaselineError)
    assert later.find(address) is later.find(address)
    assert later.keys(address.path) is None


def test_a_test_that_runs_again_finds_its_entry_again(
    address: Address, stored: Measurement
) -> None:
    """An entry that was handed out is forgotten, and must be read again for who asks again."""
    address.path.parents[2].mkdir(exist_ok=True)
    shelf = Shelf()
    store.write(address.path, {}, {"test_f[1]": stored})
    first, second = shelf.find(address), shelf.find(address)
    assert first == second == store.read(address.path).entries["test_f[1]"]
    assert first is not second
    address.path.write_text("{", encoding="utf-8")
    assert isinstance(shelf.find(address), BaselineError)


@pytest.fixture
def changed(address: Address, stored: Measurement) -> Address:
    """Return the address of an entry that somebody changed, beside one that is as it was."""
    address.path.parents[2].mkdir(exist_ok=True)
    store.write(address.path, {}, {"test_f[1]": stored, "test_f[2]": stored})
    text = address.path.read_text(encoding="utf-8")
    address.path.write_text(text.replace('"max_abs": ', '"max_abs": 7', 1), encoding="utf-8")
    return address


@pytest.mark.parametrize("ahead", [True, False])
def test_a_damaged_entry_is_a_matter_of_those_who_need_it(changed: Address, *, ahead: bool) -> None:
    """Who asks for it must hear of it, as often as they ask; the others must get theirs."""
    shelf = Shelf(ahead=ahead)
    for _ in range(2):
        found = shelf.find(changed)
        assert isinstance(found, BaselineError)
        assert "is damaged at 'test_f[1]'" in str(found)
    assert isinstance(shelf.find(replace(changed, key="test_f[2]")), Measurement)
    assert shelf.keys(changed.path) == {"test_f[1]", "test_f[2]"}


def test_a_damaged_entry_spoils_a_file_that_is_to_be_written(changed: Address) -> None:
    """A run that records must take no entry of a file that it would have to write anew."""
    shelf = Shelf(whole=True)
    assert isinstance(shelf.find(replace(changed, key="test_f[2]")), BaselineError)
    assert shelf.keys(changed.path) is None
