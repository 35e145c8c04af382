"""What the policy gradients of the routing model must satisfy."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from pytest_gradcheck import Rule
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


@pytest.mark.gradcheck(replicates=8, max_cv=0.8, max_weight=8.0)
@pytest.mark.parametrize("loss", routing.LOSSES)
def test_rollouts_share_the_weight(gradcheck: GradCheck, loss: str) -> None:
    """Under any seed the gradient is of much the same size, and no rollout outweighs the others.

    Advantages have both signs, which the effective sample size is not made for.
    """
    policy, cities = routing.small_policy(), routing.instances()

    def losses() -> dict[str, Tensor]:
        rollouts = policy.rollouts(cities, routing.ROLLOUTS)
        weights = routing.LOSSES[loss](rollouts.reward)
        return {**routing.surrogate(weights, rollouts), "weights": weights}

    gradcheck(policy, losses, min_ess=1.5 if loss == "max_k" else None)


def test_a_baseline_reduces_the_variance(gradcheck: GradCheck) -> None:
    """Holding each rollout against the others leaves the mean gradient, and little of its noise."""
    policy, cities = routing.small_policy(), routing.instances()
    others = routing.ROLLOUTS / (routing.ROLLOUTS - 1)  # the mean without the rollout itself

    def weighted(weigh: Callable[[Tensor], Tensor]) -> Callable[[], Tensor]:
        def loss() -> Tensor:
            rollouts = policy.rollouts(cities, routing.ROLLOUTS)
            return sum(
                routing.surrogate(weigh(rollouts.reward), rollouts).values(), torch.zeros(())
            )

        return loss

    found = gradcheck.compare(
        policy,
        {
            "none": weighted(lambda reward: reward),
            "leave-one-out": weighted(lambda reward: others * routing.shared_baseline(reward)),
        },
    )
    assert found.same_mean, found
    ratio = found["leave-one-out"].variance_ratio
    assert ratio.high is not None
    assert ratio.high < 0.1, found


SHARED = Rule(
    name="shared weight",
    metric="ess",
    observe="min",
    healthy=(1.5, routing.ROLLOUTS),
    next_step="let more than the best rollout count: one sample carries the weight of an instance",
)
SHORTER = Rule(
    name="shorter",
    metric="length",
    observe="trend",
    healthy=(-math.inf, 0),
    bad=(1, math.inf),
    last=0,
    next_step="learning rate",
)


@pytest.mark.gradcheck(rules=(SHARED, SHORTER), without="loss", max_norm=10.0)
def test_training(gradcheck: GradCheck) -> None:
    """Fifteen steps make tours no longer, and in none of them one rollout carries the weight.

    The value of a policy-gradient loss says nothing of how well the policy does.
    """
    torch.manual_seed(0)
    policy, cities = routing.small_policy(), routing.instances()
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    with gradcheck.watch(policy) as run:
        for _ in range(15):
            optimizer.zero_grad()
            rollouts = policy.rollouts(cities, routing.ROLLOUTS)
            weights = routing.max_k(rollouts.reward)
            terms = routing.surrogate(weights, rollouts)
            torch.autograd.backward(torch.stack([*terms.values()]).sum())
            ess = weights.sum(dim=1).square() / weights.square().sum(dim=1)
            run.log(components=terms, length=-rollouts.reward.mean(), ess=ess.mean())
            optimizer.step()
