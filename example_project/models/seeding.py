"""Starting values that never change: torch modules filled from NumPy's frozen random stream.

``torch.nn.init`` draws may differ between releases and devices; `numpy.random.RandomState` is
guaranteed not to, so that the same seed means the same network everywhere.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["TINY", "noise_like", "seeded", "uniform"]

TINY = 1e-7
Net = TypeVar("Net", bound=nn.Module)


def seeded(module: Net, seed: int) -> Net:
    """Refill every linear layer, uniform within ``1/sqrt(inputs)``, and return the module."""
    rng = np.random.RandomState(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                layer.weight.copy_(uniform(rng, layer.weight.shape, bound))
                if layer.bias is not None:
                    layer.bias.copy_(uniform(rng, layer.bias.shape, bound))
    return module


def uniform(rng: np.random.RandomState, shape: tuple[int, ...], bound: float = 1.0) -> Tensor:
    """Draw a float32 tensor from ``[-bound, bound]``."""
    return torch.tensor(rng.uniform(-bound, bound, shape), dtype=torch.float32)


def noise_like(tensor: Tensor) -> Tensor:
    """Draw standard normal noise from uniform draws, whose bits no processor changes."""
    noise: Tensor = torch.special.ndtri(torch.rand_like(tensor).clamp(min=TINY))
    return noise
