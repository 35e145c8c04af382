"""Where the baseline of a call lies: which file, under which key, recorded by which command."""

from __future__ import annotations

import os
import shlex
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
    folder = item.config.invocation_params.dir
    words = ["pytest", f"{Path(os.path.relpath(item.path, folder)).as_posix()}::{test}"]
    words.append("--grad-baseline-update")
    if run.settings.variant is not None:
        words.append(f"--grad-variant={run.settings.variant or 'default'}")
    return Address(
        path=store.locate(item.path, function, variant),
        key=f"{test}::{label}" if label else test,
        command=shlex.join(words),
    )
