"""Call the loss closure and read what it returns: one scalar tensor, or named ones.

Requirements:
    Whatever a loss may return by mistake gets one sentence that names it and says what to do. What
    the closure raises itself reaches the user as it is, with our context noted on it. NaN is no
    mistake: it is for the checks to find. ``weights`` with more than one element is no component.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from pytest_gradcheck.backends._torch.views import is_here
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.weighing import weights

__all__ = ["Terms", "check_callable", "terms_of"]

_CAUSES = "torch.no_grad() or inference_mode() around it, .detach(), .item() or .numpy() on the way"
_COPIED = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Hold what a loss returned.

    Attributes:
        total: the loss, a zero-dimensional tensor.
        components: its named terms, each zero-dimensional; empty for a single scalar.
    """

    total: torch.Tensor
    components: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def numbers(self) -> tuple[float, dict[str, float]]:
        """Return the value of the loss, and those of its components by name."""
        total, *values = _numbers([self.total, *self.components.values()])
        return total, dict(zip(self.components, values, strict=True))


def check_callable(loss: object, label: str, data: object = None) -> Callable[[], object]:
    """Return the loss as a function of no arguments.

    Args:
        loss: what was passed as such.
        label: of the objective.
        data: its arguments: a mapping by name, a tuple or list in order, or the only one.

    Raises:
        UsageTypeError: it is no function, or takes other arguments than it is given.
    """
    if not callable(loss):
        what = "there is no loss" if loss is None else f"the loss is a {type(loss).__name__}"
        msg = f"'{label}' (torch): {what}; pass a function that computes it: lambda: criterion("
        raise UsageTypeError(msg + "model(x), y)")
    if data is not None:
        return _given(loss, label, data)
    if _takes_nothing(loss):
        return loss
    try:
        inspect.signature(loss).bind()
    except TypeError as error:
        msg = f"the loss of '{label}' is called without arguments ({error}); wrap it: "
        raise UsageTypeError(msg + "lambda: loss(batch), or pass data=batch") from None
    except ValueError:
        pass  # a built-in function does not tell
    return loss


def _takes_nothing(loss: object) -> bool:
    """Whether this is a plain function without parameters, which shows before its signature."""
    if not isinstance(loss, types.FunctionType) or vars(loss):
        return False
    return loss.__code__.co_argcount == loss.__code__.co_kwonlyargcount == 0


def _given(loss: Callable[..., object], label: str, data: object) -> Callable[[], object]:
    """Return the loss with its arguments in place."""
    named = {str(name): value for name, value in data.items()} if isinstance(data, Mapping) else {}
    ordered: object = () if isinstance(data, Mapping) else data
    if not isinstance(ordered, tuple | list):
        ordered = (ordered,)
    try:
        inspect.signature(loss).bind(*ordered, **named)
    except TypeError as error:
        msg = (
            f"the loss of '{label}' cannot be called with data= ({error}); pass a mapping by name, "
            "a tuple in order, or the only argument"
        )
        raise UsageTypeError(msg) from None
    except ValueError:
        pass  # a built-in function does not tell
    return functools.partial(loss, *ordered, **named)


def terms_of(result: object, label: str, *, recording: bool) -> Terms:
    """Return what a loss returned as scalars.

    Args:
        result: of the closure.
        label: of the objective.
        recording: whether autograd was on when the closure was called.

    Raises:
        UsageError: it is not one real scalar with a graph, or a mapping of such.
    """
    what = f"the loss of '{label}'"
    if isinstance(result, Mapping):
        components = _components(result, what)
        total = _sum(list(components.values()))
    else:
        components = {}
        total = _scalar(result, what)
    if not total.requires_grad:
        msg = f"{what} has no graph: it does not require gradients. The usual causes: {_CAUSES}"
        if not recording:
            msg += "; here autograd is switched off around gradcheck itself: "
            msg += "torch.is_grad_enabled() is False"
        raise UsageError(msg)
    return Terms(total=total, components=components)


def _components(result: Mapping[object, object], what: str) -> dict[str, torch.Tensor]:
    """Return the named terms of a loss."""
    if not result:
        msg = f"{what} is an empty mapping; return at least one component"
        raise UsageError(msg)
    keys: dict[str, object] = {}
    components = {}
    for key, value in result.items():
        name = str(key)
        if name == "weights" and isinstance(value, torch.Tensor) and value.numel() != 1:
            weights(value)  # how samples count, which is no term of the loss
            continue
        if not name.strip():
            msg = (
                f"{what} has a component with the empty name {key!r}; every component needs a name"
            )
            raise UsageError(msg)
        if name in keys:
            msg = f"{what} has components {keys[name]!r} and {key!r}, and both are called '{name}'"
            raise UsageError(msg)
        keys[name] = key
        components[name] = _scalar(value, f"component '{name}' of {what}")
    if not components:
        msg = f"{what} holds weights alone; return a component beside them: {{'loss': ...}}"
        raise UsageError(msg)
    return components


def _scalar(value: object, what: str) -> torch.Tensor:
    """Return one real scalar as a tensor without dimensions."""
    if not isinstance(value, torch.Tensor):
        msg = f"{what} is {_described(value)}"
        raise UsageTypeError(msg)
    if value.numel() != 1:
        msg = f"{what} has shape {tuple(value.shape)}; reduce it to one number: .mean() or .sum()"
        raise UsageError(msg)
    if value.is_complex():
        msg = f"{what} is complex ({value.dtype}); gradients need a real one: take .real or .abs()"
        raise UsageError(msg)
    if not value.is_floating_point():
        msg = f"{what} has dtype {value.dtype}, which carries no gradient; compute it in floats"
        raise UsageError(msg)
    return value.reshape(())


def _numbers(scalars: Sequence[torch.Tensor]) -> list[float]:
    """Return scalars as numbers, those on one accelerator by a single copy: each waits for it."""
    scalars = [scalar.detach().resolve_neg() for scalar in scalars]
    plain = all(type(s) is torch.Tensor and s.dtype in _COPIED for s in scalars)
    alike = len({scalar.device for scalar in scalars}) == 1 < len(scalars)
    if not (plain and alike) or is_here(scalars[0]):
        return [float(scalar) for scalar in scalars]
    from pytest_gradcheck.backends._torch.device.crossing import brought

    return [float(number) for number in brought(scalars)]


def _described(value: object) -> str:
    """Return what a value that is no tensor is, and what probably happened."""
    kind = type(value).__name__
    if value is None:
        return "None; did you forget to return it?"
    if isinstance(value, tuple | list):
        return f"a {kind} of {len(value)}; return one tensor, or a mapping of named components"
    return f"a {kind}, not a tensor; did you call .item()?"


def _sum(terms: list[torch.Tensor]) -> torch.Tensor:
    """Return the sum in order, starting from the first so that one term keeps its bits."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
