"""What the gradient of the temporal-difference critic must satisfy."""

from __future__ import annotations

import math

import pytest
import torch
from pytest_gradcheck import Rule
from pytest_gradcheck.session.fixture import GradCheck

from models import td


@pytest.mark.gradcheck(max_norm=1e-4, balance=1e3)
def test_losses(gradcheck: GradCheck) -> None:
    """Every component is on the scale of one simulator step."""
    critic, steps = td.small_critic(), td.replay()
    gradcheck(critic, lambda: td.losses(critic, steps))


@pytest.mark.gradcheck(numeric=True, max_norm_ratio=1.05)
def test_fixed_target(gradcheck: GradCheck) -> None:
    """Towards a target that stands still, the gradient is the derivative of the loss."""
    critic, steps = td.small_critic(), td.replay()
    gradcheck(critic, lambda: td.losses(critic, steps, fixed_target=steps.reward))


def test_target_is_constant(gradcheck: GradCheck) -> None:
    """No gradient flows through the bootstrapped target."""
    critic, steps = td.small_critic(), td.replay()
    frozen = td.target(critic, steps).detach()
    bootstrapped = gradcheck.measure(critic, lambda: td.losses(critic, steps))
    regression = gradcheck.measure(critic, lambda: td.losses(critic, steps, fixed_target=frozen))
    assert bootstrapped.norm == pytest.approx(regression.norm), "the target is not detached"


def test_weights_are_clipped(gradcheck: GradCheck) -> None:
    """A step a thousand times likelier than it was pulls no harder than the clip allows."""
    critic, steps = td.small_critic(), td.replay()
    rare = steps._replace(ratio=steps.ratio * 1e3)
    usual = gradcheck.measure(critic, lambda: td.losses(critic, steps))
    assert gradcheck.measure(critic, lambda: td.losses(critic, rare)).norm < 20 * usual.norm


ONE_SCALE = Rule(
    name="one scale",
    metric="component.td_loss",
    observe="ratio",
    against="component.smoothness",
    healthy=(1, 1e4),
    next_step="step scale",
)
FALLS = Rule(
    name="loss", metric="loss", observe="trend", healthy=(-math.inf, -1), next_step="learning rate"
)


def test_training(gradcheck: GradCheck) -> None:
    """Thirty steps towards a moving target keep every term on the scale of one simulator step."""
    critic, steps = td.small_critic(), td.replay()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
    rules = (ONE_SCALE, FALLS)
    with gradcheck.watch(critic, rules=rules, max_norm=1e-4, min_norm=1e-5) as run:
        for _ in range(30):
            optimizer.zero_grad()
            terms = td.losses(critic, steps)
            run.log(components=terms)
            torch.autograd.backward(torch.stack([*terms.values()]).sum())
            optimizer.step()
