"""Put parameters at a point, and back.

Requirements:
    Values are written into the parameters' own memory, because optimizers, flattened recurrent
    weights and views share it; what was there is kept aside and returns bit for bit. A parameter
    whose elements share memory (an expanded one) cannot take them, so it borrows new memory.
    Nothing is copied for a parameter that stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pytest_gradcheck.backends._torch.shards import box, is_sharded, local
from pytest_gradcheck.backends._torch.state import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_tensor", "placed"]

Point = Mapping[str, "NDArray[np.floating[Any]]"]


@contextmanager
def placed(parameters: Mapping[str, torch.Tensor], point: Point) -> Iterator[None]:
    """Hold parameters at a point.

    Args:
        parameters: by name.
        point: a real array for each parameter that moves, in its (real) shape.
    """
    with ExitStack() as stack:
        for name, values in point.items():
            parameter = parameters[name]
            stack.callback(_place(parameter, as_tensor(parameter, values)))
        yield


def as_tensor(like: torch.Tensor, values: NDArray[np.floating[Any]]) -> torch.Tensor:
    """Return a real array as a float64 tensor, complex where the parameter is."""
    tensor = torch.tensor(np.asarray(values, dtype=np.float64))
    return torch.view_as_complex(tensor) if like.is_complex() else tensor


def _place(parameter: torch.Tensor, values: torch.Tensor) -> Callable[[], object]:
    """Move one parameter, and return what moves it back."""
    if is_sharded(parameter):
        part = local(parameter)
        kept = part.clone()
        part.copy_(values[box(parameter)])
        return lambda: part.copy_(kept)
    own = parameter.data
    if core(own).shape != own.shape:
        parameter.data = values.to(device=own.device, dtype=own.dtype)
        return lambda: setattr(parameter, "data", own)
    before = own.clone()
    own.copy_(values)
    return lambda: own.copy_(before)
