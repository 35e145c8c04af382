"""Read a module or a mapping of tensors: what there is to differentiate with respect to.

Requirements:
    A tensor that stands under several names (tied weights) is one parameter, called by its first
    name. Wrappers do not show: a compiled, distributed or sharded module has the names of the
    module that it was made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import torch
from torch.nn.parameter import is_lazy

from pytest_gradcheck.backends import select
from pytest_gradcheck.backends._torch.flattened import check_not_flattened
from pytest_gradcheck.backends._torch.places import named_in, named_parameters, places, unwrapped
from pytest_gradcheck.errors import UsageError, UsageTypeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_gradcheck.backends._torch.places import Place

__all__ = ["Source", "read"]

_SHOWN = 5
_OLD_SHARDS = "torch.distributed._tensor"  # where torch 2.4 keeps its DTensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Hold the parameters of one objective.

    Attributes:
        label: what messages call it.
        wrt: the parameters to differentiate with respect to, in definition order.
        tensors: every parameter, the frozen ones included.
        module: the module, ``None`` for a mapping.
        modules: it and all within it, each once.
        facts: what is worth knowing about them, plain scalars by name.
    """

    label: str
    wrt: Mapping[str, torch.Tensor]
    tensors: tuple[torch.Tensor, ...]
    module: torch.nn.Module | None
    modules: tuple[torch.nn.Module, ...]
    facts: Mapping[str, str | int]


def read(source: object, *, wrt: tuple[str, ...] | None, name: str | None) -> Source:
    """Return the parameters of a module or of a mapping of tensors.

    Args:
        source: an ``nn.Module``, or a mapping of names to leaf tensors.
        wrt: patterns of the parameters wanted, ``None`` for all that require gradients.
        name: what messages call it; the class of the module by default.

    Raises:
        UsageError: a parameter cannot be differentiated, or none is left; or they are flattened.
    """
    label = name or _default_label(source)
    module = source if isinstance(source, torch.nn.Module) else None
    where = [] if module is None else places(unwrapped(module))
    modules = {id(m): m for _, m in where}
    if module is not None and id(module) not in modules:
        modules = {id(m): m for m in module.modules()}
    check_not_flattened(modules.values(), label)
    aliases: dict[str, list[str]] = {}
    first: dict[int, str] = {}
    tensors: dict[str, torch.Tensor] = {}
    for key, tensor in _named(source, where, label):
        canonical = first.setdefault(id(tensor), key)
        tensors.setdefault(canonical, tensor)
        aliases.setdefault(canonical, [])
        if key not in {canonical, *aliases[canonical]}:
            aliases[canonical].append(key)
    if any(kind.__module__.startswith(_OLD_SHARDS) for kind in set(map(type, tensors.values()))):
        msg = (
            f"'{label}' has parameters that are a DTensor of torch {torch.__version__}; gradcheck "
        )
        raise UsageError(
            msg + "reads those of torch 2.5 and later: update torch, or leave them whole"
        )
    for key, tensor in tensors.items():
        _check(key, tensor, label)
    trainable = [key for key, tensor in tensors.items() if tensor.requires_grad]
    if tensors and not trainable:
        msg = (
            f"'{label}' (torch) has no trainable parameters: all {len(tensors)} of them are frozen "
            f"(requires_grad is False): {_some(list(tensors))}"
        )
        raise UsageError(msg)
    wanted = _selected(tensors, aliases, wrt, label)
    return Source(
        label=label,
        wrt={key: tensors[key] for key in wanted},
        tensors=tuple(tensors.values()),
        module=module,
        modules=tuple(modules.values()),
        facts=_facts(modules.values(), tensors, wanted, aliases),
    )


def _default_label(source: object) -> str:
    """Return the class name of the module behind any wrapper, or ``tensors``."""
    if not isinstance(source, torch.nn.Module):
        return "tensors"
    kinds = type(unwrapped(source)).__mro__
    # fully_shard makes a class FSDPName of (FSDPModule, Name).
    return next(kind.__name__ for kind in kinds if not kind.__name__.startswith("FSDP"))


def _named(
    source: object, where: Sequence[Place], label: str
) -> Iterable[tuple[str, torch.Tensor]]:
    """Return every parameter under each of its names."""
    if isinstance(source, torch.nn.Module):
        for key, buffer in named_in(where, "_buffers"):
            _check_materialised("buffer", key, buffer, label)
        return named_parameters(where)
    if not isinstance(source, Mapping):
        kind = type(source).__name__
        msg = f"cannot take gradients of a {kind}; pass the module, or a mapping {{'w': tensor}}"
        raise UsageTypeError(msg)
    for key, value in source.items():
        if not isinstance(key, str) or not key:
            msg = f"'{label}': parameters are named by non-empty text, not {key!r}"
            raise UsageTypeError(msg)
        if not isinstance(value, torch.Tensor):
            msg = (
                f"'{label}': parameter {key!r} is a {type(value).__name__}, the others are tensors"
            )
            raise UsageTypeError(msg)
        if not (value.is_floating_point() or value.is_complex()):
            msg = f"parameter {key!r} of '{label}' has dtype {value.dtype}; gradients need "
            raise UsageTypeError(msg + "floating-point or complex values: leave it out")
    return list(source.items())


def _check_materialised(kind: str, key: str, tensor: torch.Tensor, label: str) -> None:
    """Check that a tensor has values at all."""
    if is_lazy(tensor):
        msg = f"{kind} {key!r} of '{label}' has no shape yet (a lazy module); run one forward pass"
        raise UsageError(msg + " before")
    if tensor.is_meta:
        msg = (
            f"{kind} {key!r} of '{label}' is on the meta device and has no values; load them before"
        )
        raise UsageError(msg)


def _check(key: str, tensor: torch.Tensor, label: str) -> None:
    """Check that a parameter can be moved and differentiated."""
    _check_materialised("parameter", key, tensor, label)
    strided = tensor.layout is torch.strided
    if not tensor.requires_grad or (tensor.is_leaf and strided and not tensor.is_inference()):
        return
    what = f"parameter {key!r} of '{label}'"
    if not tensor.is_leaf:
        grad_fn = type(tensor.grad_fn).__name__
        msg = f"{what} is computed from other tensors ({grad_fn}); pass those, or make it a leaf: "
        raise UsageError(msg + "w.detach().requires_grad_()")
    if tensor.is_inference():
        msg = f"{what} was created under torch.inference_mode(); clone it outside of that"
        raise UsageError(msg)
    msg = f"{what} has layout {tensor.layout}; keep its values in a dense parameter, and build "
    raise UsageError(msg + "the sparse tensor from them inside the loss")


def _selected(
    tensors: Mapping[str, torch.Tensor],
    aliases: Mapping[str, list[str]],
    wrt: tuple[str, ...] | None,
    label: str,
) -> list[str]:
    """Return the names asked for; a tied parameter answers to each of its names."""
    trainable = [key for key, tensor in tensors.items() if tensor.requires_grad]
    if wrt is None:
        return trainable
    names = {name: key for key in tensors for name in (key, *aliases[key])}
    known = [name for name, key in names.items() if tensors[key].requires_grad]
    for pattern in wrt:
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if matching and not set(matching) & set(known):
            msg = (
                f"wrt= names only frozen parameters of '{label}': {pattern!r} matches "
                f"{_some(matching)}, which have requires_grad=False"
            )
            raise UsageError(msg)
    wanted = {names[name] for name in select(known, wrt)}
    return [key for key in trainable if key in wanted]


def _facts(
    modules: Collection[torch.nn.Module],
    tensors: Mapping[str, torch.Tensor],
    wanted: list[str],
    aliases: Mapping[str, list[str]],
) -> dict[str, str | int]:
    """Return what reports say about the parameters."""
    facts: dict[str, str | int] = {
        "parameters": len(wanted),
        "elements": sum(tensors[key].numel() for key in wanted),
        "frozen": sum(not tensor.requires_grad for tensor in tensors.values()),
        "dtypes": ", ".join(
            str(dtype).removeprefix("torch.")
            for dtype in dict.fromkeys(tensors[key].dtype for key in wanted)
        ),
    }
    tied = [f"{alias} = {key}" for key in tensors for alias in aliases[key]]
    if tied:
        facts["tied"] = "; ".join(tied)
    if modules:
        modes = {"train" if m.training else "eval" for m in modules}
        facts["training"] = modes.pop() if len(modes) == 1 else "mixed"
    return facts


def _some(names: list[str]) -> str:
    """Return the first few names for a message."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
