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
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from pytest_gradcheck.backends._torch.draws import DRAWS, may_draw
from pytest_gradcheck.backends._torch.nested import asks_wide, has_tensor, mapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch._ops import OpOverload

__all__ = ["NativeDraws", "Promotion", "wide_dtype"]

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


_NARROW = {
    dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype)
    and (dtype.is_floating_point or dtype.is_complex)
    and dtype not in {torch.float64, torch.complex128}
}
_PLAIN = (int, float, bool, str, NoneType, torch.device, torch.Size, torch.layout)
_DTYPE: Any = torch.Tensor.dtype
_FACTS = {  # what a tensor says of itself in either precision
    *(
        getattr(torch.Tensor, name).__get__
        for name in ("shape", "device", "ndim", "layout", "requires_grad", "is_leaf", "is_sparse")
    ),
    *(torch.Tensor.size, torch.Tensor.dim, torch.Tensor.numel, torch.Tensor.stride),
    *(torch.Tensor.is_floating_point, torch.Tensor.is_complex, torch.Tensor.is_contiguous),
}
_TELLING = {_DTYPE.__get__, torch.Tensor.type}


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
            wanted |= not self._told and asks_wide(call)
            if has_tensor(call):
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
        if name not in DRAWS or not has_tensor((args, kwargs)):
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
