"""The tests that a user writes, as promised, in a folder that holds nothing but them.

These also run against the wheel, where no source tree is in sight.
"""

from __future__ import annotations

import pytest

TORCH = """
import torch
from torch import nn
import pytest

class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(6, 4)
        self.decoder = nn.Linear(2, 6)

    def losses(self, batch):
        mean, logvar = self.encoder(batch).chunk(2, dim=-1)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(-1).mean()
        return {"recon": (self.decoder(z) - batch).square().mean(), "kl": kl}

def small_vae():
    torch.manual_seed(0)
    return VAE(), torch.randn(8, 6)

@pytest.mark.gradcheck(max_norm=10.0, perturb=1e-3, balance=100.0)
def test_vae(gradcheck):
    vae, batch = small_vae()
    gradcheck(vae, lambda: vae.losses(batch))
"""

PYMC = """
import numpy as np
import pymc as pm
import pytest

def eight_schools():
    effects = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    errors = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 5)
        tau = pm.HalfCauchy("tau", 5)
        theta = pm.Normal("theta", mu, tau, shape=8)
        pm.Normal("y", theta, errors, observed=effects)
    return model

@pytest.mark.gradcheck(max_norm=1e6, numeric=True)
def test_eight_schools(gradcheck):
    gradcheck(eight_schools())
"""

ARRAYS = """
import numpy as np

w = np.array([0.5, -1.0, 2.0])

def my_value_and_grad(point):
    return float((point["w"] ** 2).sum()), {"w": 2 * point["w"]}

def test_by_hand(gradcheck):
    gradcheck({"w": w}, value_and_grad=my_value_and_grad)
"""

MEASURED = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.ModuleDict({"encoder": nn.Sequential(nn.Linear(4, 3), nn.Tanh())})
inputs = torch.randn(5, 4)

def loss():
    hidden = model["encoder"](inputs)
    return {"recon": (hidden.sum(-1) - inputs.sum(-1)).square().mean(),
            "kl": 0.01 * hidden.square().mean()}

def test_encoder(gradcheck):
    g = gradcheck.measure(model, loss)
    assert g.finite and g.norm < 5.0
    assert g["encoder.0.weight"].norm > 0
    assert g.perturbed(scale=1e-3, samples=8).max_norm_ratio < 3
    assert g.components["kl"].norm < g.components["recon"].norm
"""

PROPERTY = """
import torch
from hypothesis import given, settings
from torch import nn
from pytest_gradcheck import assert_gradients, points

torch.manual_seed(0)
model = nn.Linear(3, 1)
inputs = torch.randn(5, 3)

def loss():
    return model(inputs).square().mean()

@settings(max_examples=10, deadline=None)
@given(points(model, scale=1e-2))
def test_finite_nearby(point):
    assert_gradients(model, loss, at=point, finite=True)
"""

RECORDING = [
    pytest.param(TORCH, id="torch", marks=pytest.mark.torch),
    pytest.param(PYMC, id="pymc", marks=pytest.mark.pymc),
    pytest.param(ARRAYS, id="arrays"),
]


@pytest.mark.parametrize("snippet", RECORDING)
def test_a_recorded_test_fails_without_its_baseline_and_passes_with_it(
    pytester: pytest.Pytester, snippet: str
) -> None:
    """A first test must ask for its baseline, record it when told to, and pass from then on."""
    pytester.makepyfile(test_it=snippet)
    before = pytester.runpytest_subprocess()
    before.assert_outcomes(failed=1)
    before.stdout.fnmatch_lines("*--grad-baseline-update*")
    assert not (pytester.path / "__gradients__").exists()
    pytester.runpytest_subprocess("--grad-baseline-update").assert_outcomes(passed=1)
    assert list((pytester.path / "__gradients__" / "test_it").glob("*.json"))
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "snippet",
    [
        pytest.param(MEASURED, id="measured", marks=pytest.mark.torch),
        pytest.param(PROPERTY, id="property", marks=[pytest.mark.torch, pytest.mark.hypothesis]),
    ],
)
def test_a_test_that_compares_with_nothing_passes_at_once(
    pytester: pytest.Pytester, snippet: str
) -> None:
    """Assertions on a measurement, and properties, must need no baseline and write none."""
    pytester.makepyfile(test_it=snippet)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    assert not (pytester.path / "__gradients__").exists()
