"""Where the baseline of a call lies: which file, under which key, recorded by which command."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck import store
from pytest_gradcheck.session.baselines import Address

if TYPE_CHECKING:
    from pytest_gradcheck.session.run import Run

__all__ = ["address_of"]


def address_of(item: pytest.Item, run: Run, device: str, label: str) -> Address:
    """Return where the baseline of a call lies.

    Args:
        item: the test.
        run: that it belongs to.
        device: that the parameters are on.
        label: of the call within its test.
    """
    variant = run.settings.variant
    if variant is None:
        variant = "" if device == "cpu" else device
    # Not the node id: xdist's load groups append themselves to it.
    test = item.name if getattr(item, "cls", None) is None else _in_classes(item)
    function = getattr(item, "originalname", None) or item.name
    said = run.settings.variant
    words = () if said is None else (f"--grad-variant={said or 'default'}",)
    path, shown = _located(
        str(item.path), str(item.config.invocation_params.dir), function, variant
    )
    return Address(
        path=path,
        key=f"{test}::{label}" if label else test,
        words=("pytest", f"{shown}::{test}", "--grad-baseline-update", *words),
    )


def _in_classes(item: pytest.Item) -> str:
    """Return the name of a test after those of its classes."""
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return "::".join([*classes, item.name])


@lru_cache(maxsize=64)
def _located(module: str, folder: str, function: str, variant: str) -> tuple[Path, str]:
    """Return the baseline file of a function, and its module's path as it is typed in a folder.

    The cases of a function come one after the other.
    """
    shown = Path(os.path.relpath(module, folder)).as_posix()
    return store.locate(Path(module), function, variant), shown
