"""Evaluate a float32 loss in float64, without the user's help.

A closure hides its inputs, so they cannot be cast beforehand. Instead the parameters and buffers
borrow float64 values, and two modes watch what the closure does: one promotes every narrower
tensor when it first reaches a torch function, and drops casts to narrower types; the other has
random numbers drawn in the native type, so that they are those of the native run.

Requirements:
    The user's tensors are never written to: parameters and buffers borrow new memory and get their
    own back; where hooks wait for a parameter's gradient it stands for another one meanwhile, so
    that they find it again. Captured tensors are replaced by copies, remembered by identity for one
    evaluation.
    Constant tensors keep their float32 values, so that the function is the same one, evaluated
    more precisely.
    Where it cannot be done, `PrecisionError` says why: parameters on an accelerator, scripted
    modules, kernels that know one type. What draws in a lower precision than the parameters have
    (under autocast) meets other draws here than in the native run.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn.parameter import is_lazy

from pytest_gradcheck.backends._torch.modes import Promotion, wide_dtype
from pytest_gradcheck.backends._torch.placement import as_tensor
from pytest_gradcheck.errors import PrecisionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from pytest_gradcheck.backends._torch.source import Source
    from pytest_gradcheck.backends._torch.state import Belongings

__all__ = ["check_wide", "is_wide", "promoted"]


def is_wide(source: Source) -> bool:
    """Return whether all parameters are 64 bits wide, so that the native run is the wide one."""
    return all(t.dtype == wide_dtype(t.dtype) for t in source.tensors)


@contextmanager
def promoted(
    source: Source,
    mine: Belongings,
    point: Mapping[str, NDArray[np.floating[Any]]],
    moved: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor,
) -> Iterator[None]:
    """Make everything inside compute in float64, parameters held at a point.

    Args:
        source: the parameters.
        mine: the user's objects; the state of buffers is kept by the caller (`undisturbed`).
        point: a real array for each parameter that moves; not rounded to its native type.
        moved: applied to the promoted copy of each captured tensor.

    Raises:
        PrecisionError: the parameters are not on the CPU, or a module is compiled and this torch
            cannot run it uncompiled.
    """
    places = {id(source.wrt[name]): values for name, values in point.items()}
    scripted = {  # their code knows parameters, not the Python objects that stand for them
        id(p) for m in mine.modules if isinstance(m, torch.jit.ScriptModule) for p in m.parameters()
    }
    buffers = [b for m in mine.modules for b in m.buffers(recurse=False) if not is_lazy(b)]
    with ExitStack() as stack:
        for tensor in {id(t): t for t in (*mine.leaves, *buffers)}.values():
            _check_on_cpu(tensor, source.label)
            own = tensor.data
            if id(tensor) in places:
                wide = as_tensor(tensor, places[id(tensor)])
            elif wide_dtype(own.dtype) != own.dtype:
                wide = own.to(wide_dtype(own.dtype))
            else:
                continue
            if id(tensor) not in scripted and _is_hooked(tensor):
                _lend_as_another(stack, tensor, wide)
            else:
                tensor.data = wide
                stack.callback(setattr, tensor, "data", own)
        _run_uncompiled(stack, mine, source.label)
        # Autocast leaves float64 alone; switching it off saves it the trouble.
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(Promotion(_native(source), moved))
        yield


def check_wide(what: str, tensor: torch.Tensor) -> None:
    """Check that a result was computed in float64.

    Raises:
        PrecisionError: it has a narrower type.
    """
    if wide_dtype(tensor.dtype) != tensor.dtype:
        msg = f"{what} comes back in {tensor.dtype} when the parameters are float64"
        raise PrecisionError(msg)


def _check_on_cpu(tensor: torch.Tensor, label: str) -> None:
    """Check that a tensor is where float64 is evaluated."""
    if tensor.device.type != "cpu":
        msg = f"'{label}' has tensors on {tensor.device}; float64 is evaluated on the CPU, where "
        raise PrecisionError(msg + "gradcheck cannot move what the closure holds")


def _lend_as_another(stack: ExitStack, tensor: torch.Tensor, wide: torch.Tensor) -> None:
    """Have a leaf stand for another one until the stack is unwound.

    With memory of another type torch would forget the node that its hooks wait at.
    """
    other = wide.requires_grad_()
    for hook in dict(tensor._backward_hooks or {}).values():  # noqa: SLF001 - there is no other way
        other.register_hook(hook)
    _swap(tensor, other)
    stack.callback(_swap, tensor, other)


def _is_hooked(tensor: torch.Tensor) -> bool:
    """Return whether somebody may hold the node that accumulates a leaf's gradient.

    ``DistributedDataParallel`` does; so does who hooks ``p.expand_as(p).grad_fn.next_functions``.
    """
    holders: int = cast("Any", tensor)._use_count()  # noqa: SLF001 - undocumented, since torch 2.3
    return tensor.requires_grad and holders > 1


def _swap(one: torch.Tensor, other: torch.Tensor) -> None:
    """Exchange what two Python objects stand for, as `torch.utils.swap_tensors` at its core."""
    torch._C._swap_tensor_impl(one, other)  # noqa: SLF001 - as above


def _native(source: Source) -> torch.dtype:
    """Return the real type of the parameters, in which the native run draws."""
    kinds = {t.dtype.to_real() for t in source.tensors if wide_dtype(t.dtype) != t.dtype}
    return kinds.pop() if len(kinds) == 1 else torch.float32


def _run_uncompiled(stack: ExitStack, mine: Belongings, label: str) -> None:
    """Have compiled code run as it was written: what is compiled cannot be watched."""
    if "torch._dynamo" not in sys.modules:
        return  # nothing is compiled, and importing it takes seconds
    if hasattr(torch.compiler, "set_stance"):
        stack.enter_context(torch.compiler.set_stance("force_eager"))
    elif any(hasattr(m, "_orig_mod") for m in mine.modules):
        msg = f"'{label}' is compiled; torch {torch.__version__} cannot run it uncompiled (2.6 can)"
        raise PrecisionError(msg)
