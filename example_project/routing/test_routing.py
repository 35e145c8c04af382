"""What the policy gradients of the routing model must satisfy."""

from __future__ import annotations

import pytest
import torch
from pytest_gradcheck.session.fixture import GradCheck
from torch import Tensor

from models import routing


@pytest.mark.gradcheck(max_norm=5.0, max_share=0.9)
@pytest.mark.parametrize("loss", routing.LOSSES)
def test_policy_gradient(gradcheck: GradCheck, loss: str) -> None:
    """No single rollout carries the gradient, whichever way rollouts are weighted."""
    policy, cities = routing.small_policy(), routing.instances()

    def losses() -> dict[str, Tensor]:
        rollouts = policy.rollouts(cities, routing.ROLLOUTS)
        return routing.surrogate(routing.LOSSES[loss](rollouts.reward), rollouts)

    gradcheck(policy, losses)


@pytest.mark.gradcheck(numeric=True)
def test_replayed_tours(gradcheck: GradCheck) -> None:
    """With tours and weights given, the log-likelihood has the gradient that its values say."""
    policy, cities = routing.small_policy(), routing.instances(batch=3, size=6)
    tours = torch.stack([torch.arange(6).roll(shift) for shift in range(4)]).expand(3, 4, 6)
    weights = torch.tensor([1.0, -0.5, 0.25, -0.75])
    gradcheck(policy, lambda: -(weights * policy.log_likelihood(cities, tours)).mean())


def test_weights_average_out(gradcheck: GradCheck) -> None:
    """Equal rewards leave nothing to learn from."""
    policy, cities = routing.small_policy(), routing.instances()

    def losses() -> dict[str, Tensor]:
        rollouts = policy.rollouts(cities, routing.ROLLOUTS)
        return routing.surrogate(routing.max_k(torch.ones_like(rollouts.reward)), rollouts)

    assert gradcheck.measure(policy, losses).norm == 0
