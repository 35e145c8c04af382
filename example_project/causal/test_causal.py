"""What the gradient of the causal structure learner must satisfy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_gradcheck.session.fixture import GradCheck
from torch import Tensor

from models import causal


@pytest.mark.gradcheck(max_norm=10.0, balance=50.0, numeric=True)
def test_losses(gradcheck: GradCheck) -> None:
    """Reconstruction leads, and the three penalties are still heard."""
    learner, observed = causal.small_learner(), causal.standardise(causal.weather())
    gradcheck(learner, lambda: learner.losses(observed))


@pytest.mark.gradcheck(numeric=True, per_parameter={"edges": {"min_norm": 1e-3, "max_norm": 10.0}})
def test_acyclicity(gradcheck: GradCheck) -> None:
    """The penalty alone pushes on every edge that closes a cycle."""
    edges = causal.small_learner().edge_mean.detach().requires_grad_()
    gradcheck({"edges": edges}, lambda: causal.acyclicity(edges))


def test_acyclic_graph_is_left_alone(gradcheck: GradCheck) -> None:
    """A graph without a cycle costs nothing and is not pushed anywhere."""
    edges = causal.small_learner().edge_mean.detach().triu(1).requires_grad_()
    measured = gradcheck.measure({"edges": edges}, lambda: causal.acyclicity(edges))
    assert measured.value == pytest.approx(0.0, abs=1e-5)
    assert measured.norm == pytest.approx(0.0, abs=1e-5)


def test_units_do_not_matter(gradcheck: GradCheck) -> None:
    """Heights in millimetres teach the learner what heights in metres teach it."""
    learner, raw = causal.small_learner(), causal.weather()
    metres, millimetres = causal.standardise(raw), causal.standardise(1000 * raw)
    usual = gradcheck.measure(learner, lambda: learner.losses(metres))
    other = gradcheck.measure(learner, lambda: learner.losses(millimetres))
    assert other.norm == pytest.approx(usual.norm, rel=1e-4), "the inputs are not standardised"


def test_penalty_ignores_sample_size(gradcheck: GradCheck) -> None:
    """Seeing every observation twice changes nothing but rounding."""
    learner, observed = causal.small_learner(), causal.standardise(causal.weather())
    codes = learner.encoder(observed).detach().requires_grad_()
    twice = torch.cat([codes, codes]).detach().requires_grad_()
    once = gradcheck.measure({"codes": codes}, lambda: causal.entanglement(codes))
    doubled = gradcheck.measure({"codes": twice}, lambda: causal.entanglement(twice))
    assert doubled.value == pytest.approx(once.value)


def test_training(gradcheck: GradCheck) -> None:
    """Thirty steps bring the loss down, and none of them is clipped."""
    torch.manual_seed(0)
    learner, observed = causal.small_learner(), causal.standardise(causal.weather())
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2)
    with gradcheck.watch(learner) as run:
        for _ in range(30):
            optimizer.zero_grad()
            terms = learner.losses(observed)
            run.log(components=terms)
            torch.autograd.backward(torch.stack([*terms.values()]).sum())
            torch.nn.utils.clip_grad_norm_(learner.parameters(), 10.0)
            optimizer.step()


def test_scale_of_the_inputs_does_not_matter(gradcheck: GradCheck) -> None:
    """In whatever unit heights and yields come, the same gradient follows."""
    learner, raw = causal.small_learner(), causal.weather()

    def at(unit: float) -> tuple[causal.StructureLearner, Callable[[], dict[str, Tensor]]]:
        observed = causal.standardise(unit * raw)
        return learner, lambda: learner.losses(observed)

    gradcheck.sweep({"unit": [0.001, 1.0, 1000.0]}, at, max_norm_ratio=1.001, min_cosine=0.99)
