"""Rank incoming cases by urgency: one encoder with batch normalisation, six losses.

Shapes: cases ``[batch, feature]``, urgency ``[batch]``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from models.seeding import seeded

__all__ = ["BATCH", "PriorityNet", "cases", "losses", "small_net"]

BATCH = 24
FEATURES = 10
WIDTH = 32
MARGIN = 0.5
WEIGHTS = {
    "value": 1.0,
    "rank": 1.0,
    "variance": 0.5,
    "calibration": 1.0,
    "margin": 1.0,
    "regulariser": 5e-2,
}


class Prediction(nn.Module):
    """Hold the three heads: expected urgency, its log-variance and the score to sort by."""

    def __init__(self, width: int) -> None:
        """Create the heads."""
        super().__init__()
        self.value = nn.Linear(width, 1)
        self.log_variance = nn.Linear(width, 1)
        self.score = nn.Linear(width, 1, bias=False)  # only differences matter

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return value, log-variance and score, ``[batch]`` each."""
        heads = (self.value, self.log_variance, self.score)
        value, log_variance, score = (head(codes).squeeze(-1) for head in heads)
        return value, log_variance, score


class PriorityNet(nn.Module):
    """Encode cases with two normalised layers and predict from the codes."""

    def __init__(self, features: int = FEATURES, width: int = WIDTH) -> None:
        """Create the layers; `small_net` also fills them."""
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(features, width, bias=False),
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.SiLU(),
        )
        self.heads = Prediction(width)

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return value, log-variance and score, ``[batch]`` each."""
        prediction: tuple[Tensor, Tensor, Tensor] = self.heads(self.encoder(batch))
        return prediction


def losses(net: PriorityNet, batch: Tensor, urgency: Tensor) -> dict[str, Tensor]:
    """Return the six weighted components of the loss."""
    value, log_variance, score = net(batch)
    error = value - urgency
    pairs = urgency[:, None] > urgency[None, :]
    lead = (score[:, None] - score[None, :])[pairs]
    top = score[urgency >= urgency.quantile(0.75)].mean()
    rest = score[urgency < urgency.quantile(0.75)].mean()
    terms = {
        "value": (error.square() * (-log_variance).exp() + log_variance).mean() / 2,
        "rank": softplus(-lead).mean(),
        "variance": log_variance.exp().mean(),
        "calibration": error.mean().square(),
        "margin": softplus(MARGIN - (top - rest)),
        "regulariser": sum(weight.square().sum() for weight in matrices(net)),
    }
    return {name: WEIGHTS[name] * term for name, term in terms.items()}


def matrices(net: nn.Module) -> list[Tensor]:
    """Return the weights that are penalised: matrices, not biases or normalisation."""
    return [parameter for parameter in net.parameters() if parameter.ndim > 1]


def small_net(seed: int = 0) -> PriorityNet:
    """Return a network with its starting values."""
    return seeded(PriorityNet(), seed)


def cases(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return cases and how urgent they turned out to be."""
    rng = np.random.RandomState(seed)
    features = rng.standard_normal((count, FEATURES))
    direction = np.linspace(-1, 1, FEATURES)
    urgency = np.tanh(features @ direction / 2) + 0.1 * rng.standard_normal(count) + 0.5
    return torch.tensor(features).float(), torch.tensor(urgency).float()
