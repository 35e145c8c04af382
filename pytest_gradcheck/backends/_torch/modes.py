"""The two torch modes that make a closure compute in float64 (see `promote`).

Requirements:
    The function mode sees every torch function that Python calls, and promotes what goes in and
    what comes out. Random numbers are drawn one level below, where those that a library function
    draws in its own body show too: in the native type, then promoted, because the streams of
    float32 and float64 have nothing in common. Seeing every operation costs more than a small one
    takes, so the second mode is on only around functions that may draw.
    Most calls of a closure have nothing to promote. They must find that out in a microsecond.
"""

from __future__ import annotations

import types
from contextlib import nullcontext
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch._ops import OpOverload

__all__ = ["DRAWS", "NativeDraws", "Promotion", "mapped", "may_draw", "wide_dtype"]

_CASTS = {
    getattr(torch.Tensor, narrow): getattr(torch.Tensor, wide)
    for narrow, wide in (
        ("float", "double"),
        ("half", "double"),
        ("bfloat16", "double"),
        ("cfloat", "cdouble"),
        ("chalf", "cdouble"),
    )
}

# Of the operations that draw, those that gradients do not pass: their draws depend on the type of
# what they fill, or are whole numbers that rounding may tip. Dropout, noisy activations and the
# gamma family draw the same in every type, and must not lose the precision of their input.
DRAWS = {
    *("bernoulli", "bernoulli_", "binomial", "cauchy_", "exponential_", "geometric_"),
    *("log_normal_", "multinomial", "normal", "normal_", "poisson", "rand", "rand_like", "randn"),
    *("randn_like", "random_", "uniform_"),
}

_DRAWING = (
    "dropout",
    "rrelu",
    "attention",
    "lstm",
    "gru",
    "rnn_",
    "gumbel",
    "sample",
    "fractional",
)
_DEPTH = 3  # functions of the library between a call and a draw

_NARROW = {
    dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype)
    and (dtype.is_floating_point or dtype.is_complex)
    and dtype not in {torch.float64, torch.complex128}
}
_PLAIN = (int, float, bool, str, NoneType, torch.device, torch.Size, torch.layout)
_FACTS = {  # what a tensor says of itself in either precision
    *(
        getattr(torch.Tensor, name).__get__
        for name in ("shape", "device", "ndim", "layout", "requires_grad", "is_leaf", "is_sparse")
    ),
    *(torch.Tensor.size, torch.Tensor.dim, torch.Tensor.numel, torch.Tensor.stride),
    *(torch.Tensor.is_floating_point, torch.Tensor.is_complex, torch.Tensor.is_contiguous),
}
_TELLING = {*(getattr(torch.Tensor, name).__get__ for name in ("dtype",)), torch.Tensor.type}


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the 64-bit type (128 for complex) that holds a floating-point type's values."""
    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


class Promotion(TorchFunctionMode):
    """Promote every tensor that reaches a torch function, and everything that leaves one.

    Args:
        native: the real type that the native run draws in.
        moved: applied to the promoted copy of each captured tensor.
    """

    def __init__(
        self,
        native: torch.dtype = torch.float32,
        moved: Callable[[torch.Tensor], torch.Tensor] = lambda t: t,
    ) -> None:
        """Start with no captured tensor seen."""
        super().__init__()
        self._native = native
        self._moved = moved
        # The tensor itself is kept beside its copy: an id is only good while its owner lives.
        self._seen: dict[int, tuple[object, object]] = {}
        self._own: WeakIdKeyDictionary = WeakIdKeyDictionary()  # 64 bits wide natively, too
        self._told = False  # the type of any tensor

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call one torch function on promoted arguments."""
        if func in _FACTS:
            return func(*args, **(kwargs or {}))
        self._told |= func in _TELLING
        wanted = func is torch.Tensor.double
        if not _is_ready(args, kwargs):
            call = mapped((args, dict(kwargs or {})), self._captured)
            # Who was told the type of a promoted tensor may hand it on, and mean the native one.
            wanted |= not self._told and _asks_wide(call)
            if _has_tensor(call):
                # With a tensor in hand a type names a cast; without one it names what a constant
                # or a draw is made in, which stays as it is natively.
                call = mapped(call, _wide_type)
            args, kwargs = cast("tuple[tuple[object, ...], dict[str, object]]", call)
        if func in _BACKWARD:
            with self:  # checkpointed code runs again inside of the backward pass
                return _BACKWARD[func](*args, **(kwargs or {}))
        wide = _CASTS.get(func, func)
        if may_draw(func) and not (wanted or (args and args[0] in self._own)):
            with NativeDraws(self._native):
                result = wide(*args, **(kwargs or {}))
        else:
            result = wide(*args, **(kwargs or {}))
        if type(result) is torch.Tensor:
            if wanted:
                self._own[result] = True
            return _promote(result) if result.dtype in _NARROW else result
        return mapped(result, _promote)

    def _captured(self, value: object) -> object:
        """Return the promoted copy of a narrow tensor, the same one each time."""
        if id(value) in self._seen:
            return self._seen[id(value)][1]
        wide = _promote(value)
        if wide is not value:
            if isinstance(wide, torch.Tensor) and not wide.requires_grad:
                wide = self._moved(wide)
            self._seen[id(value)] = value, wide
        return wide


class NativeDraws(TorchDispatchMode):
    """Draw random numbers in the native type, and promote them.

    Args:
        native: the real type that the native run draws in.
    """

    def __init__(self, native: torch.dtype) -> None:
        """Remember the native type, and its complex partner."""
        super().__init__()
        self._native = {torch.float64: native, torch.complex128: native.to_complex()}

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
        """Call one operation, and one that draws in the native type."""
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        # Without a tensor to fill or to resemble, the type is what the user wrote: not promoted.
        if name not in DRAWS or not _has_tensor((args, kwargs)):
            return func(*args, **kwargs)
        narrow = mapped((args, kwargs), self._narrow)
        narrow_args, narrow_kwargs = cast("tuple[tuple[Any, ...], dict[str, Any]]", narrow)
        drawn = func(*narrow_args, **narrow_kwargs)
        if name.endswith("_"):
            return args[0].copy_(drawn)
        return kwargs["out"].copy_(drawn) if "out" in kwargs else mapped(drawn, _promote)

    def _narrow(self, value: object) -> object:
        """Return a wide tensor or type as the native one."""
        if isinstance(value, torch.Tensor):
            return value.to(self._native.get(value.dtype, value.dtype))
        if isinstance(value, torch.dtype):
            return self._native.get(value, value)
        return value


@cache
def may_draw(func: Callable[..., object]) -> bool:
    """Whether a torch function draws random numbers, itself or in the functions that it calls."""
    return _draws(func, frozenset())


def _draws(func: object, callers: frozenset[object]) -> bool:
    """Whether a function's name, or a name that its code looks up, is one of those that draw."""
    if _is_draw(getattr(func, "__name__", "")):
        return True
    if not isinstance(func, types.FunctionType) or func in callers or len(callers) > _DEPTH:
        return False
    names = [func.__code__.co_names]
    names += [c.co_names for c in func.__code__.co_consts if isinstance(c, types.CodeType)]
    looked_up = [name for some in names for name in some]
    return any(map(_is_draw, looked_up)) or any(
        _draws(func.__globals__.get(name), callers | {func}) for name in looked_up
    )


def _is_draw(name: str) -> bool:
    """Whether a name is that of an operation that draws, or of one that may draw inside."""
    return name in DRAWS or any(part in name for part in _DRAWING)


def _is_ready(args: tuple[object, ...], kwargs: Mapping[str, object] | None) -> bool:
    """Whether a call has nothing to promote: no narrow tensor, no type, nothing nested."""
    for value in args:
        if isinstance(value, torch.Tensor):
            if value.dtype in _NARROW:
                return False
        elif not isinstance(value, _PLAIN) and not _is_flat(value):
            return False
    return not kwargs or _is_ready(tuple(kwargs.values()), None)


def _is_flat(value: object) -> bool:
    """Whether a value is a list or a tuple of plain numbers."""
    return isinstance(value, list | tuple) and all(isinstance(item, _PLAIN) for item in value)


def _asks_wide(value: object) -> bool:
    """Return whether nested containers hold a type of 64 bits."""
    if isinstance(value, dict):
        return any(_asks_wide(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_asks_wide(item) for item in value)
    return value is torch.float64 or value is torch.complex128


def mapped(value: object, change: Callable[[object], object]) -> object:
    """Return nested containers with every leaf changed; the same object where none was."""
    if isinstance(value, dict):
        entries = {key: mapped(item, change) for key, item in value.items()}
        return entries if any(entries[key] is not value[key] for key in value) else value
    if isinstance(value, list | tuple):
        items = [mapped(item, change) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        kind = cast("Callable[..., object]", type(value))
        return kind(*items) if hasattr(value, "_fields") else kind(items)
    return change(value)


def _has_tensor(value: object) -> bool:
    """Return whether nested containers hold a tensor."""
    if isinstance(value, dict):
        return any(_has_tensor(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has_tensor(item) for item in value)
    return isinstance(value, torch.Tensor)


def _wide_type(value: object) -> object:
    """Return the wide type for a type, anything else as it is."""
    return wide_dtype(value) if isinstance(value, torch.dtype) else value


def _promote(value: object) -> object:
    """Return a narrow tensor in 64 bits, differentiably; anything else as it is."""
    if not isinstance(value, torch.Tensor) or wide_dtype(value.dtype) == value.dtype:
        return value
    with torch.enable_grad() if value.requires_grad else nullcontext():
        return value.to(wide_dtype(value.dtype))


def _ungated(function: types.FunctionType) -> types.FunctionType:
    """Return a function of torch's own without its question whether a mode is active."""
    scope = {**function.__globals__, "has_torch_function": lambda _: False}
    copy = types.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


_BACKWARD: dict[object, types.FunctionType] = {
    torch.autograd.grad: _ungated(cast("types.FunctionType", torch.autograd.grad))
}
