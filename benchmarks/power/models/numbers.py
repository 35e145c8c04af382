"""Numbers that are the same everywhere, and tensors made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.power.subject import Variant

__all__ = ["filled", "integers", "leaf", "normal", "order", "random", "tensor"]


def random(seed: int) -> np.random.RandomState:
    """Return a stream that no version of numpy changes."""
    return np.random.RandomState(seed)


def normal(
    stream: np.random.RandomState,
    *shape: int,
    scale: float = 1.0,
    dtype: Any = torch.float32,  # noqa: ANN401 - torch.dtype
) -> torch.Tensor:
    """Return a tensor of normal numbers."""
    return tensor(scale * stream.standard_normal(shape), dtype)


def leaf(
    stream: np.random.RandomState,
    *shape: int,
    scale: float = 1.0,
    dtype: Any = torch.float32,  # noqa: ANN401 - torch.dtype
) -> torch.Tensor:
    """Return a parameter of normal numbers."""
    return normal(stream, *shape, scale=scale, dtype=dtype).requires_grad_()


def integers(stream: np.random.RandomState, high: int, *shape: int) -> torch.Tensor:
    """Return a tensor of whole numbers below `high`."""
    return torch.tensor(stream.randint(0, high, shape))


def tensor(values: NDArray[Any] | float, dtype: Any = torch.float32) -> torch.Tensor:  # noqa: ANN401 - torch.dtype
    """Return numpy's numbers as a tensor."""
    return torch.tensor(values, dtype=dtype)


def filled(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Return the module with weights of unit gain, small biases, and scales near one."""
    stream = random(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            values = stream.standard_normal(tuple(parameter.shape))
            if parameter.ndim > 1:
                values /= np.sqrt(parameter[0].numel())
            else:
                values *= 0.1
                values += 1.0 if "norm" in name and name.endswith("weight") else 0.0
            parameter.copy_(tensor(values))
    return module


def order(size: int, variant: Variant) -> torch.Tensor:
    """Return the order in which a batch comes: its own, or another."""
    if "permuted" in variant:
        return torch.tensor(random(99).permutation(size))
    return torch.arange(size)
