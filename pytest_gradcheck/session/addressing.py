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
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    # Not the node id: xdist's load groups append themselves to it.
    test = "::".join([*classes, item.name])
    function = getattr(item, "originalname", None) or item.name
    words = ["pytest", f"{_shown(item.path, item.config.invocation_params.dir)}::{test}"]
    words.append("--grad-baseline-update")
    if run.settings.variant is not None:
        words.append(f"--grad-variant={run.settings.variant or 'default'}")
    return Address(
        path=_located(item.path, function, variant),
        key=f"{test}::{label}" if label else test,
        words=tuple(words),
    )


@lru_cache(maxsize=64)
def _shown(module: Path, folder: Path) -> str:
    """Return a module's path as it is typed in a folder."""
    return Path(os.path.relpath(module, folder)).as_posix()


@lru_cache(maxsize=64)
def _located(module: Path, function: str, variant: str) -> Path:
    """Return the baseline file of a function, whose cases come one after the other."""
    return store.locate(module, function, variant)
