"""Objectives as values: there must be something to differentiate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Jitter
from tests.objectives import bowl


def test_an_objective_without_parameters_is_refused() -> None:
    """A model with nothing to train must be named, with its backend."""
    with pytest.raises(UsageError, match=r"^'empty' \(arrays\) has no trainable parameters$"):
        replace(bowl(w=[1.0]), name="empty", point={})


def test_jitter_watches_and_moves_nothing_by_default() -> None:
    """Asking to watch must not be asking for noise."""
    assert Jitter() == Jitter(eps=0.0, seed=0)
