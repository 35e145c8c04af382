"""Find the backend of what the user passed and make an `Objective` of it.

A backend is a module with one constant and one function::

    ROOTS = ("torch",)


    def objective(source, *, loss, value_and_grad, wrt, name, seed, mode, data) -> Objective: ...

Requirements:
    Detection looks at the root package of the type in hand, whose package is therefore imported
    already; nothing else triggers an import. A new backend is one module and one line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.errors import MissingExtraError, UsageError, UsageTypeError

if TYPE_CHECKING:
    from pytest_gradcheck.records import Objective

__all__ = ["objective", "select", "takes"]

_MODULES = {  # root package of the source's type -> backend module, extra that installs it
    "torch": ("pytest_gradcheck.backends._torch", "torch"),
    "pymc": ("pytest_gradcheck.backends._pymc", "pymc"),
    "numpy": ("pytest_gradcheck.backends._arrays", ""),
    "builtins": ("pytest_gradcheck.backends._arrays", ""),
}
_FOREIGN = ("jax", "jaxlib", "flax", "equinox", "tensorflow", "keras", "mlx", "numpyro")


def objective(
    source: object,
    loss: Callable[[], object] | None = None,
    *,
    value_and_grad: Callable[..., Any] | None = None,
    wrt: str | Sequence[str] | None = None,
    name: str | None = None,
    seed: int = 0,
    mode: object = None,
    data: object = None,
    streaming: bool = False,
) -> Objective:
    """Make an objective of a model and, for some backends, a loss.

    Args:
        source: an ``nn.Module``, a ``pm.Model``, or a mapping of names to tensors or arrays.
        loss: torch: a function of no arguments, or of `data`, that returns a scalar, or a mapping
            of components.
        value_and_grad: arrays: a function of the point that returns value and gradients.
        wrt: patterns (``fnmatch``) of the parameters to differentiate with respect to; all.
        name: what messages call it.
        seed: of every random stream that the model draws from.
        mode: PyMC: the PyTensor mode to compile with.
        data: torch: arguments of the loss: a mapping by name, a tuple in order, or the only one.
        streaming: torch: reduce each gradient as it is accumulated, and forget it.

    Raises:
        UsageError: the source, the loss or an option cannot be used; the message says why.
        MissingExtraError: the backend's package does not import; with the command to install it.
    """
    if loss is not None and not callable(loss):
        msg = (
            f"the loss must be a function of no arguments that computes it, not {_kind(loss)}; "
            "wrap it: lambda: criterion(model(x), y)"
        )
        raise UsageTypeError(msg)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        msg = f"seed must be a non-negative whole number, not {seed!r}"
        raise UsageTypeError(msg)
    patterns = _patterns(wrt)
    path, extra = _MODULES[_root(source)]
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        msg = (
            f"{extra} does not import here ({error}); run: pip install 'pytest-gradcheck[{extra}]'"
        )
        raise MissingExtraError(msg) from None
    made: Objective = module.objective(
        source,
        loss=loss,
        value_and_grad=value_and_grad,
        wrt=patterns,
        name=name,
        seed=seed,
        mode=mode,
        data=data,
    )
    if not streaming:
        return made
    from pytest_gradcheck.streaming import streamed

    return streamed(made)


def takes(source: object) -> str:
    """Return the option that tells a backend what to differentiate: ``loss`` or another.

    Args:
        source: as for `objective`.
    """
    return "value_and_grad" if _root(source) == "numpy" else "loss"


def select(
    names: Sequence[str], patterns: Sequence[str] | None, *, where: str = "wrt="
) -> list[str]:
    """Return the names that match any pattern, all for ``None``, in their own order.

    Raises:
        UsageError: a pattern matches nothing; the message shows the nearest name.
    """
    from fnmatch import fnmatchcase

    from pytest_gradcheck.point import unknown_name

    if patterns is None:
        return list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(unknown_name("parameter", pattern, dict.fromkeys(names), where=where))
    return [name for name in names if any(fnmatchcase(name, p) for p in patterns)]


def _patterns(wrt: object) -> tuple[str, ...] | None:
    """Return the patterns of `wrt=` as a tuple, ``None`` for all parameters."""
    if wrt is None:
        return None
    items = (wrt,) if isinstance(wrt, str) else tuple(wrt) if isinstance(wrt, Iterable) else ()
    if not items or not all(isinstance(item, str) for item in items):
        msg = f"wrt= takes patterns of parameter names such as ('encoder.*',), not {wrt!r}"
        raise UsageTypeError(msg)
    return items


def _root(source: object) -> str:
    """Return the key of the backend that knows what was passed."""
    kinds = [type(source)]
    if isinstance(source, Mapping):
        if not source:
            msg = "an empty mapping has no parameters to differentiate with respect to"
            raise UsageError(msg)
        kinds = [type(value) for value in source.values()]
        roots = {_known(kind) or "" for kind in kinds}
        if roots <= {"numpy", "builtins"}:
            return "numpy"
        if len(roots) == 1 and "" not in roots:
            return roots.pop()
    elif (root := _known(kinds[0])) in {"torch", "pymc"}:
        return str(root)
    elif (held := getattr(getattr(source, "backend", None), "model", None)) is not None:
        return _root(held)
    seen = ", ".join(sorted({_kind_name(kind) for kind in kinds}))
    foreign = any(kind.__module__.split(".")[0] in _FOREIGN for kind in kinds)
    msg = (
        f"cannot take gradients of {seen}; pass a torch.nn.Module with a loss, a pymc.Model, or a "
        "mapping of names to tensors (with a loss) or to arrays (with value_and_grad=)"
        + ("; call a function that makes the model" if kinds == [FunctionType] else "")
        + ("; for other frameworks convert to numpy and pass value_and_grad=" if foreign else "")
    )
    raise UsageTypeError(msg)


def _known(kind: type) -> str | None:
    """Return the root package in the type's ancestry that a backend is registered for."""
    roots = [base.__module__.split(".")[0] for base in kind.__mro__ if base is not object]
    if kind in {int, float, complex, list, tuple}:
        return "builtins"
    return next((r for r in roots if r in _MODULES and r != "builtins"), None)


def _kind(value: object) -> str:
    """Return the type's full name, for messages."""
    return _kind_name(type(value))


def _kind_name(kind: type) -> str:
    """Return a type's name, with its package where it has one."""
    root = kind.__module__
    return kind.__qualname__ if root == "builtins" else f"{root.split('.')[0]}.{kind.__qualname__}"
