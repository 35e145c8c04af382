"""Usage of the public interface, for the type checkers: read by them and never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import nn

from pytest_gradcheck import (
    Gradcheck,
    GradientError,
    Measurement,
    NormBounds,
    Numeric,
    Probe,
    Verdict,
    assert_gradients,
    check_gradients,
    measure_gradients,
    points,
)

if TYPE_CHECKING:
    import pymc as pm

model = nn.Linear(3, 1)
inputs = torch.zeros(5, 3)


def loss() -> torch.Tensor:
    """Return a scalar loss."""
    value: torch.Tensor = model(inputs).square().mean()
    return value


def losses() -> dict[str, torch.Tensor]:
    """Return named components."""
    return {"fit": loss(), "decay": model.weight.square().sum()}


def by_hand(point: dict[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
    """Return value and gradient."""
    return float((point["w"] ** 2).sum()), {"w": 2 * point["w"]}


@pytest.mark.gradcheck(max_norm=10.0, perturb=1e-3, balance=100.0)
def test_fixture(gradcheck: Gradcheck) -> None:
    """A fixture call returns a verdict; a measurement takes questions."""
    verdict: Verdict = gradcheck(model, losses, name="first", seed=1, wrt="weight")
    assert verdict.passed
    probe: Probe = gradcheck.measure(model, loss)
    norm: float = probe["weight"].norm
    assert norm > 0
    nearby: Probe = probe.perturbed(scale=1e-3, samples=8)
    measurement: Measurement = nearby.measurement
    ratio: float = measurement.max_norm_ratio
    assert ratio < 2.0


@given(points(model, scale=1e-2))
def test_property(point: dict[str, np.ndarray]) -> None:
    """A drawn point is a value of ``at``."""
    assert_gradients(model, loss, at=point, finite=True)


def test_library(school: pm.Model) -> None:
    """Without the fixture the same limits hold, and checks may be given as values."""
    verdict: Verdict = check_gradients(school, max_norm=1e6, numeric=True)
    names: list[str] = [result.check for result in verdict.failures]
    assert names == []
    checks = (NormBounds(max_norm=10.0), Numeric(rtol=1e-4, atol=1e-7))
    with pytest.raises(GradientError):
        assert_gradients({"w": np.ones(3)}, value_and_grad=by_hand, checks=checks)
    probe = measure_gradients({"w": np.ones(3)}, value_and_grad=by_hand)
    finite: bool = probe.finite
    assert finite
