"""Learn values by temporal differences from replayed, off-policy steps.

The target bootstraps on the critic's own next value and is a constant for the gradient
(semi-gradient); importance weights correct for the behaviour policy and are clipped; the loss is
scaled to one simulator step.

Shapes: observations ``[batch, feature]``, everything else ``[batch]``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.seeding import seeded

__all__ = ["STEP_SCALE", "Critic", "Transitions", "losses", "replay", "small_critic", "target"]

FEATURES = 6
ACTIONS = 3
DISCOUNT = 0.97
STEP_SCALE = 2.5e-5
MAX_WEIGHT = 2.0
SCALES = {
    "td_loss": STEP_SCALE,
    "smoothness": 0.1 * STEP_SCALE,
    "centring": 0.05 * STEP_SCALE,
}


class Transitions(NamedTuple):
    """Hold replayed steps; the ratio is target policy over behaviour policy."""

    observation: Tensor
    reward: Tensor
    following: Tensor
    alive: Tensor
    ratio: Tensor


class Critic(nn.Module):
    """Estimate the discounted return from an observation."""

    def __init__(self, features: int = FEATURES, width: int = 32) -> None:
        """Create the layers; `small_critic` also fills them."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(features, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()
        )
        self.value = nn.Linear(width, 1)

    def forward(self, observation: Tensor) -> Tensor:
        """Return values, ``[batch]``."""
        value: Tensor = self.value(self.body(observation)).squeeze(-1)
        return value


def losses(
    critic: Critic, steps: Transitions, *, fixed_target: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the components of the loss, all on the scale of one simulator step.

    Args:
        critic: to be trained.
        steps: replayed.
        fixed_target: what to regress on instead of the bootstrapped target, ``[batch]``.
    """
    value = critic(steps.observation)
    wanted = target(critic, steps) if fixed_target is None else fixed_target
    weight = steps.ratio.clamp(max=MAX_WEIGHT)
    change = critic(steps.following) - value
    terms = {
        "td_loss": (weight * (wanted - value).square()).mean() / 2,
        "smoothness": change.square().mean(),
        "centring": value.mean().square(),
    }
    return {name: SCALES[name] * term for name, term in terms.items()}


def target(critic: Critic, steps: Transitions) -> Tensor:
    """Return the bootstrapped target, a constant for the gradient."""
    return bootstrap(critic, steps).detach()


def bootstrap(critic: Critic, steps: Transitions) -> Tensor:
    """Return the reward plus the discounted value of what follows."""
    following: Tensor = critic(steps.following)
    return steps.reward + DISCOUNT * steps.alive * following


def small_critic(seed: int = 0) -> Critic:
    """Return a critic with its starting values."""
    return seeded(Critic(), seed)


def replay(batch: int = 64, seed: int = 0) -> Transitions:
    """Return steps of a noisy walk whose reward is its first coordinate."""
    rng = np.random.RandomState(seed)
    now = rng.standard_normal((batch, FEATURES))
    following = 0.9 * now + 0.3 * rng.standard_normal((batch, FEATURES))
    alive = rng.uniform(size=batch) > 0.1
    ratio = np.exp(rng.standard_normal(batch))
    arrays = (now, now[:, 0], following, alive, ratio)
    return Transitions(*(torch.tensor(array, dtype=torch.float32) for array in arrays))
