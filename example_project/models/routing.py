"""Learn to build short round trips by policy gradient.

A pointer network walks from city to city; several rollouts per instance compete, and the three
losses differ only in the weight that each rollout's log-likelihood gets.

Shapes: cities ``[batch, city, 2]``, tours ``[batch, rollout, city]``, reward and log-likelihood
``[batch, rollout]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.seeding import TINY, seeded

__all__ = [
    "LOSSES",
    "ROLLOUTS",
    "Policy",
    "Rollouts",
    "instances",
    "leader_bonus",
    "max_k",
    "shared_baseline",
    "small_policy",
    "surrogate",
]

WIDTH = 32
CLIP = 10.0
BONUS = 1.0
BEST_OF = 4
ROLLOUTS = 8


class Rollouts(NamedTuple):
    """Hold sampled tours, what each is worth and how likely it was."""

    tours: Tensor
    reward: Tensor
    log_likelihood: Tensor


class Policy(nn.Module):
    """Choose the next city by attention: first among the cities, then from the tour so far."""

    def __init__(self, width: int = WIDTH) -> None:
        """Create the layers; `small_policy` also fills them."""
        super().__init__()
        self.embed = nn.Linear(2, width)
        self.attend = nn.Linear(width, 3 * width, bias=False)
        self.mix = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.query = nn.Linear(3 * width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)

    def rollouts(self, cities: Tensor, count: int) -> Rollouts:
        """Sample `count` tours of every instance."""
        batch, size, _ = cities.shape
        # The city of the highest logit plus Gumbel noise is a sample from the softmax.
        draws = torch.rand((batch, count, size, size)).clamp(min=TINY)
        gumbel = -torch.log(-torch.log(draws))
        tours, log_likelihood = self._walk(
            cities, count, lambda step, logits: logits + gumbel[:, :, step]
        )
        return Rollouts(tours, -length(cities, tours), log_likelihood)

    def log_likelihood(self, cities: Tensor, tours: Tensor) -> Tensor:
        """Return the log-likelihood of given tours, ``[batch, rollout]``."""
        chosen = nn.functional.one_hot(tours, cities.shape[1]).to(cities)
        return self._walk(cities, tours.shape[1], lambda step, _: chosen[:, :, step])[1]

    def _encode(self, cities: Tensor) -> Tensor:
        """Return one vector per city, ``[batch, city, width]``."""
        nodes: Tensor = self.embed(cities)
        query, key, value = self.attend(nodes).chunk(3, dim=-1)
        scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
        nodes = nodes + scores.softmax(dim=-1) @ value
        mixed: Tensor = self.mix(nodes)
        return nodes + mixed

    def _walk(
        self, cities: Tensor, count: int, score: Callable[[int, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Go to the city of the highest score at each step; return tours and log-likelihoods."""
        nodes = self._encode(cities)
        keys = self.key(nodes)
        batch, size, width = nodes.shape
        overall = nodes.mean(dim=1, keepdim=True).expand(batch, count, width)
        visited = torch.zeros((batch, count, size), dtype=torch.bool)
        first = last = overall
        tour, log_likelihood = [], torch.zeros((batch, count)).to(cities)
        for step in range(size):
            query = self.query(torch.cat([overall, first, last], dim=-1))
            logits = CLIP * torch.tanh(query @ keys.transpose(1, 2) / math.sqrt(width))
            logits = logits.masked_fill(visited, -math.inf)
            city = score(step, logits.detach()).masked_fill(visited, -math.inf).argmax(dim=-1)
            log_likelihood = log_likelihood + pick(logits.log_softmax(dim=-1), city)
            visited = visited | nn.functional.one_hot(city, size).bool()
            last = torch.take_along_dim(nodes, city[..., None], dim=1)
            first = last if step == 0 else first
            tour.append(city)
        return torch.stack(tour, dim=-1), log_likelihood


def shared_baseline(reward: Tensor) -> Tensor:
    """Weight each rollout by its advantage over the mean of its instance."""
    return reward - reward.mean(dim=1, keepdim=True)


def leader_bonus(reward: Tensor) -> Tensor:
    """Weight as `shared_baseline`, and the best rollout of each instance more."""
    advantage = shared_baseline(reward)
    leads = reward == reward.amax(dim=1, keepdim=True)
    return torch.where(leads, (1 + BONUS) * advantage, advantage)


def max_k(reward: Tensor) -> Tensor:
    """Weight each rollout by what it adds to the expected best of ``BEST_OF`` rollouts.

    Over all subsets of that size, a rollout adds what it leads the runner-up by, where it leads.
    """
    count = reward.shape[1]
    ranked, order = reward.sort(dim=1)
    subsets = [math.comb(below, BEST_OF - 2) / math.comb(count, BEST_OF) for below in range(count)]
    gain = (ranked[:, :, None] - ranked[:, None, :]).tril() * torch.tensor(subsets).to(reward)
    return torch.zeros_like(reward).scatter(1, order, gain.sum(dim=2)) * count


LOSSES = {"shared_baseline": shared_baseline, "leader_bonus": leader_bonus, "max_k": max_k}


def surrogate(weights: Tensor, rollouts: Rollouts) -> dict[str, Tensor]:
    """Return the loss whose gradient is the policy gradient, split at the best rollout.

    Args:
        weights: ``[batch, rollout]``; constants, whatever they were computed from.
        rollouts: as sampled.
    """
    terms = -weights.detach() * rollouts.log_likelihood / weights.numel()
    best = nn.functional.one_hot(rollouts.reward.argmax(dim=1), weights.shape[1]).to(terms)
    return {"best": (terms * best).sum(), "others": (terms * (1 - best)).sum()}


def length(cities: Tensor, tours: Tensor) -> Tensor:
    """Return the length of each round trip, ``[batch, rollout]``."""
    path = torch.take_along_dim(cities[:, None], tours[..., None], dim=2)
    return (path - path.roll(-1, dims=2)).square().sum(dim=-1).sqrt().sum(dim=-1)


def pick(values: Tensor, index: Tensor) -> Tensor:
    """Return the value at an index along the last axis."""
    return torch.take_along_dim(values, index[..., None], dim=-1).squeeze(-1)


def small_policy(seed: int = 0) -> Policy:
    """Return a policy with its starting values."""
    return seeded(Policy(), seed)


def instances(batch: int = 6, size: int = 8, seed: int = 0) -> Tensor:
    """Return cities in the unit square, ``[batch, city, 2]``."""
    rng = np.random.RandomState(seed)
    return torch.tensor(rng.uniform(size=(batch, size, 2)), dtype=torch.float32)
