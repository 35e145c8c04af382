"""Ways that are packages: torch's ``gradcheck``, pytest-torch and pytest-regressions themselves."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch

from benchmarks.peers.modules import Broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.power.observed import Answer, Gradients
    from pytest_gradcheck.records import Objective

__all__ = ["FOLDER", "Snapshot", "available", "checks_out", "fails", "pytest_torch_rules"]

FOLDER = Path(__file__).parents[2] / "build" / "peers"
"""Where ``pip install --target`` puts the packages: apart, so that pytest loads none of them."""


def available(package: str) -> bool:
    """Return whether a package can be imported, from its folder or the environment."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.util.find_spec(package) is not None


def pytest_torch_rules() -> dict[str, Callable[..., Any]]:
    """Return what pytest-torch asks of the gradients of a module, by name of the way."""
    training = importlib.import_module("pytest_torch.training")
    return {
        "pytest-torch finite": training.assert_gradients_finite,
        "pytest-torch receive": training.assert_all_params_receive_grad,
    }


def fails(rule: Callable[..., Any], module: torch.nn.Module) -> bool:
    """Return whether an assertion about a module fails; its output is its loss."""
    try:
        rule(module, (), lambda loss: loss)
    except AssertionError:
        return True
    return False


def checks_out(objective: Objective, change: Callable[[Answer], Answer], *, fast: bool) -> bool:
    """Return whether ``torch.autograd.gradcheck`` takes a changed gradient for that of the loss.

    A fast check that fails repeats itself the slow way, for the sake of its message; that is left
    out here.
    """
    module = Broken(objective, change)
    quietly = mock.patch.object(
        sys.modules["torch.autograd.gradcheck"], "_run_slow_mode_and_get_error", return_value=""
    )
    with quietly:
        passed: bool = torch.autograd.gradcheck(
            module.loss, tuple(module.leaves), fast_mode=fast, raise_exception=False
        )
    return passed


class Snapshot:
    """Keep every element in a file, by ``ndarrays_regression`` of pytest-regressions."""

    def __init__(self, healthy: Gradients) -> None:
        """Record a gradient, as a first run does."""
        import pytest

        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name)
        regression = importlib.import_module("pytest_regressions.ndarrays_regression")
        asked = SimpleNamespace(config=SimpleNamespace(getoption=lambda _: False))
        self.fixture = regression.NDArraysRegressionFixture(place, place, asked)
        with pytest.raises(pytest.fail.Exception, match="created"):
            self.fixture.check(_arrays(healthy), basename="gradient")

    def differs(self, now: Gradients) -> bool:
        """Return whether a gradient differs from the file, at the tolerances of `torch.testing`."""
        tolerance = {"rtol": 1.3e-6, "atol": 1e-5}
        try:
            self.fixture.check(_arrays(now), basename="gradient", default_tolerance=tolerance)
        except AssertionError:
            return True
        return False


def _arrays(grads: Gradients) -> dict[str, Any]:
    """Return the gradients that there are, under names that a file of arrays takes."""
    return {name.replace("/", "_"): g for name, g in grads.items() if g is not None}
