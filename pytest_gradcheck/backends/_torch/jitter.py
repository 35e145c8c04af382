"""Watch how coarse a precision an evaluation uses, and move its float inputs by that much.

Requirements:
    Inputs are moved as the parameters are, relative to each element: zeros stay zero. A tensor of
    whole numbers only (labels, masks, one-hot rows kept as floats) says what is meant, not how
    much, and stays as it is.
    Only tensors that come from outside move: what an operation of the closure made, random draws
    included, is left alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from pytest_gradcheck.backends._torch.draws import DRAWS
from pytest_gradcheck.backends._torch.nested import mapped
from pytest_gradcheck.backends._torch.shards import is_sharded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch._ops import OpOverload

    from pytest_gradcheck.records import Evaluation, Jitter

__all__ = ["Coarsest", "MovedInputs", "Noise", "watched"]


class Coarsest(TorchDispatchMode):
    """Watch every operation, forward and backward, for the coarsest precision of its results.

    Attributes:
        eps: machine epsilon of that precision.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        super().__init__()
        self.eps = 0.0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler, which takes a second, for a mode like this."""
        return False

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run one operation and look at what comes out."""
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in DRAWS or _has_float((args, kwargs)):
            mapped(result, self._see)
        return result

    def _see(self, value: object) -> object:
        """Note the precision of a tensor."""
        if isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex()):
            self.eps = max(self.eps, torch.finfo(value.dtype).eps)
        return value


class Noise:
    """Move tensors by about one unit in the last place of some precision."""

    def __init__(self, jitter: Jitter) -> None:
        """Draw the noise that a jitter asks for."""
        self._eps = jitter.eps
        if self._eps:
            # Beside the parameters' own stream.
            self._rng = np.random.default_rng([jitter.seed, 1])

    def moved(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor's noisy copy; the tensor itself where it must not move."""
        if not self._eps or is_sharded(tensor) or not _is_measured(tensor):
            return tensor
        noise = torch.from_numpy(self._rng.uniform(-1.0, 1.0, tuple(tensor.shape)))
        factor = 1.0 + self._eps * noise.to(tensor.device)
        wide = torch.complex128 if tensor.is_complex() else torch.float64
        return (tensor.detach().to(wide) * factor).to(tensor.dtype)


class MovedInputs(TorchFunctionMode):
    """Replace the tensors that reach torch functions from outside by noisy copies.

    Args:
        noise: that moves them.
        own: tensors that are moved otherwise, the parameters and buffers.
    """

    def __init__(self, noise: Noise, own: Iterable[torch.Tensor]) -> None:
        """Start with no input seen."""
        super().__init__()
        self._noise = noise
        self._inner: WeakIdKeyDictionary = WeakIdKeyDictionary(dict.fromkeys(own, True))
        self._seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call one torch function on noisy inputs."""
        moved_args = mapped(args, self._input)
        moved_kwargs = mapped(dict(kwargs or {}), self._input)
        return mapped(func(*moved_args, **moved_kwargs), self._made)  # type: ignore[misc, arg-type] # containers keep their kind

    def _input(self, value: object) -> object:
        """Return the noisy copy of an input, the same one each time."""
        if not isinstance(value, torch.Tensor) or value in self._inner or value.requires_grad:
            return value
        if id(value) not in self._seen:
            self._seen[id(value)] = value, self._noise.moved(value)
        return self._seen[id(value)][1]

    def _made(self, value: object) -> object:
        """Note that a tensor was made inside."""
        if isinstance(value, torch.Tensor):
            self._inner[value] = True
        return value


def _has_float(value: object) -> bool:
    """Whether nested containers hold a tensor of floating-point numbers.

    What is made of none (a constant, a count) is exact, or rounded alike everywhere.
    """
    if isinstance(value, dict):
        return any(_has_float(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has_float(item) for item in value)
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def _is_measured(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds measured numbers, not labels or masks."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.layout != torch.strided:
        return False
    with torch.no_grad():
        values = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        return bool((values != values.round()).any())


def watched(
    work: Callable[[bool], Evaluation], jitter: Jitter | None
) -> Callable[[bool], Evaluation]:
    """Return the work, watched for its coarsest precision where a jitter asks for it."""
    if jitter is None:
        return work

    def watching(wide: bool) -> Evaluation:  # noqa: FBT001 - as `work`
        with Coarsest() as coarsest:
            found = work(wide)
        return replace(found, eps=coarsest.eps)

    return watching
