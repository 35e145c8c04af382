"""Say where a number that is not finite arose in a torch loss: operation, numbers, module, line.

Forward, every operation is watched. One that takes finite numbers and gives others is an origin,
and what is computed from its result remembers it: an infinite score that a softmax turns into a
weight of zero is therefore never blamed. Where the loss stays finite, the backward pass is watched:
the first node whose incoming gradient is finite and whose outgoing one is not.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_gradcheck.records import Origin

if TYPE_CHECKING:
    from torch._ops import OpOverload

    from pytest_gradcheck.backends._torch.loss import Terms

__all__ = ["Watch", "backward_origin", "origins_of"]

_LOOKING_ON = {"isfinite", "isnan", "isinf", "empty", "empty_like", "new_empty", "empty_strided"}
_THEIRS = (
    *(sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib")),
    str(Path(__file__).parents[2]),
)
_SHOWN = 3


def origins_of(terms: Callable[[], Terms], wrt: Mapping[str, torch.Tensor]) -> tuple[Origin, ...]:
    """Evaluate once more and watch, backward only where the loss itself is finite.

    Args:
        terms: calls the loss.
        wrt: the parameters by name.
    """
    wrong = [name for name, t in wrt.items() if not torch.isfinite(t).all()]
    if wrong:
        said = "the point itself is not finite"
        return tuple(Origin(operation=f"{said}: {n}", parameters=(n,)) for n in wrong[:1])
    with Watch() as watch:
        made = terms()
    if not torch.isfinite(made.total):
        origin = watch.origin(made.total)
        return () if origin is None else (origin,)
    found = []
    for name, term in (made.components or {"": made.total}).items():
        if term.requires_grad:
            origin = backward_origin(term, wrt, _gradients)
            found += [] if origin is None else [replace(origin, term=name)]
    return tuple(found)


class Watch(TorchDispatchMode):
    """Watch every operation that makes NaN or Inf, or passes it on."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        super().__init__()
        # The tensor is kept beside what is known of it: an id is only good while its owner lives.
        self._known: dict[int, tuple[torch.Tensor, Origin]] = {}

    def origin(self, result: torch.Tensor) -> Origin | None:
        """Return where what is not finite in a result arose, ``None`` where that was not seen."""
        known = self._known.get(id(result))
        return None if known is None else known[1]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler for a mode like this."""
        return False

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run one operation and look at what it made."""
        result = func(*args, **dict(kwargs or {}))
        name = func.overloadpacket.__name__.strip("_")
        outputs = [] if name in _LOOKING_ON else [r for r in _tensors(result) if not _finite(r)]
        if outputs:
            before = (self.origin(t) for t in _tensors((args, dict(kwargs or {}))))
            origin = next((one for one in before if one is not None), None)
            origin = origin or _origin(name, args, outputs[0])
            self._known.update({id(r): (r, origin) for r in outputs})
        return result


def backward_origin(
    term: torch.Tensor,
    wrt: Mapping[str, torch.Tensor],
    differentiate: Callable[[torch.Tensor, list[torch.Tensor]], tuple[torch.Tensor | None, ...]],
) -> Origin | None:
    """Return the first backward node that makes NaN or Inf of a finite gradient.

    Args:
        term: a finite scalar with a graph.
        wrt: the parameters by name.
        differentiate: takes the gradient of the scalar.
    """
    found: list[tuple[Any, Any, Any]] = []
    handles = []
    for node in _nodes(term.grad_fn):

        def look(outgoing: Any, incoming: Any, node: Any = node) -> None:  # noqa: ANN401 - grads
            bad = [g for g in _tensors(outgoing) if not _finite(g)]
            if not found and bad and all(map(_finite, _tensors(incoming))):
                found.append((node, bad[0], incoming))

        handles.append(node.register_hook(look))
    try:
        grads = differentiate(term, list(wrt.values()))
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        return None
    node, bad, _ = found[0]
    spoiled = tuple(n for n, g in zip(wrt, grads, strict=True) if g is not None and not _finite(g))
    name = str(node.name()).rstrip("0123456789").removesuffix("Backward")
    numbers = _saved(node, bad)
    return Origin(
        operation=f"the derivative of {name.lower()} is {_first(bad)}",
        expression=f"{name.lower()}({', '.join(numbers)})" if numbers else "",
        count=int((~torch.isfinite(bad)).sum()),
        parameters=spoiled,
    )


def _origin(name: str, args: tuple[Any, ...], result: torch.Tensor) -> Origin:
    """Return a forward operation as an origin."""
    bad = ~torch.isfinite(result)
    place = tuple(int(i) for i in bad.nonzero()[0])
    numbers = [_at(arg, place, result.shape) for arg in args]
    shown = ", ".join(number for number in numbers if number)
    module, source = _where()
    return Origin(
        term=module,
        kind="module" if module else "",
        operation=f"{name}({shown}) = {_first(result)}",
        count=int(bad.sum()),
        value=True,
        source=source,
        note=f"at element {list(place)} of shape {list(result.shape)}" if place else "",
    )


def _at(arg: object, place: tuple[int, ...], shape: torch.Size) -> str:
    """Return the number of an argument that goes into one element of a result."""
    if isinstance(arg, torch.Tensor):
        try:
            return f"{float(arg.detach().expand(shape)[place]):.6g}"
        except (RuntimeError, TypeError, IndexError):
            return f"tensor {list(arg.shape)}"
    return f"{arg:.6g}" if isinstance(arg, int | float) and not isinstance(arg, bool) else ""


def _where() -> tuple[str, str]:
    """Return the class of the innermost module that is running, and the user's file and line."""
    source, module = "", ""
    for frame, line in traceback.walk_stack(None):
        file = frame.f_code.co_filename
        me = frame.f_locals.get("self")
        if not module and isinstance(me, torch.nn.Module):
            module = type(me).__name__
        if not source and not file.startswith(_THEIRS) and "site-packages" not in file:
            source = f"{Path(file).name}:{line}"
    return module, source


def _saved(node: Any, bad: torch.Tensor) -> list[str]:  # noqa: ANN401 - a node of a graph
    """Return the numbers that a node kept from the forward pass, where its gradient is wrong."""
    place = tuple(int(i) for i in (~torch.isfinite(bad)).nonzero()[0])
    kept = (name for name in dir(node) if name.startswith("_saved_"))
    values = (getattr(node, name, None) for name in kept)
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    return [_at(tensor, place, bad.shape) for tensor in tensors[:_SHOWN]]


def _nodes(root: Any) -> list[Any]:  # noqa: ANN401 - a node of a graph
    """Return every node of a backward graph."""
    found: dict[Any, None] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node is not None and node not in found:
            found[node] = None
            stack.extend(after for after, _ in node.next_functions)
    return list(found)


def _tensors(value: object) -> list[torch.Tensor]:
    """Return the tensors in nested containers."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for item in value.values() for t in _tensors(item)]
    if isinstance(value, list | tuple):
        return [t for item in value for t in _tensors(item)]
    return []


def _finite(tensor: torch.Tensor) -> bool:
    """Return whether a tensor holds no NaN and no Inf; what has no numbers does not."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.is_sparse:
        return True
    return bool(torch.isfinite(tensor).all())


def _first(tensor: torch.Tensor) -> str:
    """Return the first number that is not finite."""
    return f"{float(tensor[~torch.isfinite(tensor)].flatten()[0].real):g}"


def _gradients(term: torch.Tensor, wrt: list[torch.Tensor]) -> tuple[torch.Tensor | None, ...]:
    """Return the gradient of a scalar, and leave its graph for the next one."""
    return torch.autograd.grad(term, wrt, retain_graph=True, allow_unused=True)
