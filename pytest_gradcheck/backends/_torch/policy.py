"""Say how exactly torch was told to compute in float32, where that is not as it comes.

Requirements:
    Settings count where they reach: a model in float64 has no policy, and what concerns a GPU says
    nothing about a CPU. One word means the same in every version of torch, whichever of its two
    ways to set a precision was used. What is as torch comes is left out.
    Autocast shows in what it leaves: the type of what the forward pass made. A compiled function
    hides that, so it explains a difference and makes none.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import torch

from pytest_gradcheck.backends._torch.modes import wide_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.backends._torch.source import Source

__all__ = ["policy_of"]

_EXACT = "ieee"
_SETTINGS = {  # what is computed, the library that does it, and what that does unless told
    "cpu": (
        ("matmul", "mkldnn.matmul", _EXACT),
        ("convolution", "mkldnn.conv", _EXACT),
        ("recurrent", "mkldnn.rnn", _EXACT),
    ),
    "cuda": (
        ("matmul", "cuda.matmul", _EXACT),
        ("convolution", "cudnn.conv", "tf32"),
        ("recurrent", "cudnn.rnn", "tf32"),
    ),
}
_WORDS = {"highest": _EXACT, "high": "tf32", "medium": "bf16"}
_CONVERSION = "ToCopyBackward0"
_NODES = 1000  # of the graph that are looked at, from the loss backwards


def policy_of(source: Source, loss: torch.Tensor) -> dict[str, str]:
    """Return what is computed less exactly than usual, and how, by name.

    Args:
        source: the parameters.
        loss: of the native run, with its graph.

    Returns:
        ``matmul``, ``convolution``, ``recurrent``: ``ieee``, ``tf32`` or ``bf16``;
        ``activations``: the type of what the forward pass made, where it is coarser than any
        parameter. Empty for a model in float64.
    """
    kinds = {t.dtype for t in source.tensors}
    if all(dtype == wide_dtype(dtype) for dtype in kinds):
        return {}
    found = {}
    for device in sorted({t.device.type for t in source.tensors} & _SETTINGS.keys()):
        for name, path, usual in _SETTINGS[device]:
            told = _told(path)
            if told != usual:
                found[name] = told
    coarsest = max(kinds | set(_made(loss)), key=lambda dtype: torch.finfo(dtype).eps)
    if torch.finfo(coarsest).eps > max(torch.finfo(dtype).eps for dtype in kinds):
        found["activations"] = str(coarsest).removeprefix("torch.")
    return found


def _told(path: str) -> str:
    """Return how exactly a library computes in float32."""
    library, _, part = path.partition(".")
    place: Any = getattr(torch.backends, library)
    told = getattr(getattr(place, part, None), "fp32_precision", None)  # torch 2.9 and later
    if told is not None:
        return _EXACT if told == "none" else str(told)
    if library == "cudnn":
        return "tf32" if place.allow_tf32 else _EXACT
    if library == "cuda":
        return "tf32" if place.matmul.allow_tf32 else _EXACT
    return _WORDS[torch.get_float32_matmul_precision()] if part == "matmul" else _EXACT


def _made(loss: torch.Tensor) -> Iterator[torch.dtype]:
    """Yield the floating-point types of what a loss was made of, the nearest first."""
    start: Any = loss.grad_fn
    waiting, seen = deque([start]), {start}
    while waiting and len(seen) < _NODES:
        node = waiting.popleft()
        # Autocast converts by such nodes alone, and to look at every node takes twice as long.
        if type(node).__name__ == _CONVERSION or node is start:
            for made in getattr(node, "_input_metadata", ()):
                if made.dtype.is_floating_point or made.dtype.is_complex:
                    yield made.dtype
        for before, _ in node.next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)
