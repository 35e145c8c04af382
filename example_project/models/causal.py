"""Learn which variable causes which: a variational autoencoder around a linear causal model.

The encoder explains each variable by independent noise, a matrix of edge weights with a Gaussian
posterior mixes the noise, and the decoder returns to the observed variables.

Shapes: observations ``[batch, variable]``, edges ``[cause, effect]``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from models.seeding import noise_like, seeded, uniform

__all__ = ["StructureLearner", "small_learner", "standardise", "weather"]

HIDDEN = 16
SPARSITY = 0.05
ACYCLICITY = 1.0
DISENTANGLEMENT = 0.5


class StructureLearner(nn.Module):
    """Encode observations as noise, push the noise through the edges, decode."""

    def __init__(self, variables: int) -> None:
        """Create the layers; `small_learner` also fills them."""
        super().__init__()
        self.edge_mean = nn.Parameter(torch.zeros(variables, variables))
        self.edge_log_scale = nn.Parameter(torch.full((variables, variables), -3.0))
        self.encoder = _mlp(variables, 2 * variables)
        self.decoder = _mlp(variables, variables)

    def losses(self, observed: Tensor) -> dict[str, Tensor]:
        """Return the four components of the loss for a batch of standardised observations."""
        mean, spread = self.encoder(observed).chunk(2, dim=-1)
        noise = mean + softplus(spread) * noise_like(mean)
        edges = self.sample_edges()
        identity = torch.eye(len(edges)).to(edges)
        latent = torch.linalg.solve(identity - edges, noise, left=False)
        return {
            "reconstruction": per_batch((self.decoder(latent) - observed).square().sum(dim=1)),
            "sparsity": SPARSITY * edges.abs().sum(),
            "acyclicity": ACYCLICITY * acyclicity(edges),
            "disentanglement": DISENTANGLEMENT * entanglement(mean),
        }

    def sample_edges(self) -> Tensor:
        """Draw the edge weights from their posterior; no variable causes itself."""
        drawn = self.edge_mean + self.edge_log_scale.exp() * noise_like(self.edge_mean)
        return drawn - torch.diag(drawn.diagonal())


def acyclicity(edges: Tensor) -> Tensor:
    """Return ``tr(exp(A*A)) - d``, zero if and only if the graph has no cycle."""
    walks: Tensor = torch.linalg.matrix_exp(edges * edges)
    return walks.trace() - len(edges)


def entanglement(codes: Tensor) -> Tensor:
    """Return the sum of squared covariances between different codes."""
    centred = codes - codes.mean(dim=0)
    covariance = centred.T @ centred / len(codes)
    return (covariance - torch.diag(covariance.diagonal())).square().sum()


def per_batch(losses: Tensor) -> Tensor:
    """Reduce one loss per observation to the loss of the batch."""
    return losses.mean()


def standardise(raw: Tensor) -> Tensor:
    """Bring every variable to mean 0 and standard deviation 1."""
    return (raw - raw.mean(dim=0)) / raw.std(dim=0)


def weather(batch: int = 32, seed: int = 0) -> Tensor:
    """Return raw observations of height, temperature, rain, run-off and yield, in their units."""
    rng = np.random.RandomState(seed)
    noise = rng.standard_normal((4, batch))
    height = rng.uniform(0, 2775, batch)
    temperature = 15 - 0.0065 * height + 1.5 * noise[0]
    rain = 700 + 0.4 * height + 180 * noise[1]
    runoff = 0.6 * rain - 12 * temperature + 60 * noise[2]
    crop = 4 + 0.2 * temperature + 0.001 * rain + 0.5 * noise[3]
    columns = np.stack([height, temperature, rain, runoff, crop], axis=1)
    return torch.tensor(columns, dtype=torch.float32)


def small_learner(seed: int = 0) -> StructureLearner:
    """Return a learner of five variables with its starting values."""
    learner = seeded(StructureLearner(variables=5), seed)
    with torch.no_grad():
        learner.edge_mean.copy_(uniform(np.random.RandomState(seed + 1), (5, 5), 0.4))
    return learner


def _mlp(inputs: int, outputs: int) -> nn.Sequential:
    """Return two linear layers with a smooth kink between them."""
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, outputs))
