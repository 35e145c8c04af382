"""Hear what every training loop calls: backward, clipping, the gradient scaler, the step.

Requirements:
    One set of taps serves any number of listeners, put in place by the first and taken away by the
    last. A loop that imported ``clip_grad_norm_`` by name long before is heard too: the functions
    that torch gives out keep what they call in a closure cell, and that is what is exchanged.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from pytest_gradcheck.backends._torch.watching.exchange import exchange, exchange_within, listed
from pytest_gradcheck.backends._torch.watching.norms import remembering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.optim import Optimizer

__all__ = ["Listener", "listening"]


class Listener(Protocol):
    """Hear of each event, always before it happens unless its name says otherwise."""

    def backward(self, roots: list[torch.Tensor]) -> None:
        """Hear that gradients are about to be computed from these tensors."""

    def scaled(self, outputs: object, result: object) -> None:
        """Hear that a gradient scaler turned a loss into a scaled one."""

    def clipping(self, parameters: list[torch.Tensor], kind: str, threshold: float) -> None:
        """Hear that gradients are about to be clipped: by ``norm`` or by ``value``."""

    def clipped(self, total: torch.Tensor | None) -> None:
        """Hear that they were, and what their total norm had been."""

    def scaler_steps(self, scaler: GradScaler, optimizer: Optimizer) -> None:
        """Hear that a gradient scaler is about to step an optimizer, or to skip it."""

    def scaler_stepped(self, optimizer: Optimizer) -> None:
        """Hear that it did one or the other."""

    def stepping(self, optimizer: Optimizer) -> None:
        """Hear that an optimizer is about to use the gradients that are there now."""

    def stepped(self, optimizer: Optimizer) -> None:
        """Hear that it did."""


class _Taps:
    """Keep who listens, and what must be undone when nobody does."""

    def __init__(self) -> None:
        """Start with nobody."""
        self.listeners: list[Listener] = []
        self._undo = ExitStack()
        self._clipping = False

    def join(self, listener: Listener) -> None:
        """Add a listener; the first one has the taps put in place."""
        if not self.listeners:
            with ExitStack() as undo:
                self._install(undo)
                self._undo = undo.pop_all()
        self.listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Remove a listener; the last one has the taps taken away."""
        self.listeners.remove(listener)
        if not self.listeners:
            self._undo.close()

    def tell(self, event: str, *args: Any) -> None:  # noqa: ANN401 - whatever the event carries
        """Tell every listener of an event."""
        for listener in self.listeners:
            getattr(listener, event)(*args)

    def _install(self, undo: ExitStack) -> None:
        """Put the taps in place."""
        exchange(undo, torch.autograd, "backward", self._backward)
        exchange(undo, GradScaler, "scale", self._scale)
        exchange(undo, GradScaler, "step", self._scaler_step)
        exchange_within(undo, "clip_grad_norm_", self._clip_norm)
        exchange_within(undo, "clip_grad_value_", self._clip_value)
        if hasattr(clip_grad, "_clip_grads_with_norm_"):  # since torch 2.6
            exchange_within(undo, "_clip_grads_with_norm_", self._clip_with_norm)
        undo.callback(register_optimizer_step_pre_hook(self._stepping).remove)
        undo.callback(register_optimizer_step_post_hook(self._stepped).remove)

    def _backward(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``torch.autograd.backward`` with a tap."""

        @functools.wraps(plain)
        def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - torch's own
            if isinstance(tensors, torch.Tensor):
                self.tell("backward", [tensors])
            elif isinstance(tensors, list | tuple):
                self.tell("backward", [one for one in tensors if isinstance(one, torch.Tensor)])
            return plain(tensors, *args, **kwargs)

        return backward

    def _scale(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``GradScaler.scale`` with a tap."""

        @functools.wraps(plain)
        def scale(scaler: GradScaler, outputs: Any) -> Any:  # noqa: ANN401 - torch's own
            result = plain(scaler, outputs)
            self.tell("scaled", outputs, result)
            return result

        return scale

    def _scaler_step(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``GradScaler.step`` with a tap."""

        @functools.wraps(plain)
        def step(scaler: GradScaler, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - torch's own
            self.tell("scaler_steps", scaler, optimizer)
            result = plain(scaler, optimizer, *args, **kwargs)
            self.tell("scaler_stepped", optimizer)
            return result

        return step

    def _clip_norm(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """Return what ``clip_grad_norm_`` calls, with a tap."""

        @functools.wraps(plain)
        def clip(parameters: Any, max_norm: float, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - torch's own
            known, again = listed(parameters)
            with self._told(known, "norm", max_norm) as done:
                total = plain(again, max_norm, *args, **kwargs)
                done(total)
            return total

        return clip

    def _clip_with_norm(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """Return what ``clip_grads_with_norm_`` calls, with a tap."""

        @functools.wraps(plain)
        def clip(
            parameters: Any,  # noqa: ANN401 - torch's own
            max_norm: float,
            total_norm: torch.Tensor,
            *args: Any,  # noqa: ANN401 - torch's own
            **kwargs: Any,  # noqa: ANN401 - torch's own
        ) -> None:
            known, again = listed(parameters)
            with self._told(known, "norm", max_norm) as done:
                plain(again, max_norm, total_norm, *args, **kwargs)
                done(total_norm)

        return clip

    def _clip_value(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """Return what ``clip_grad_value_`` calls, with a tap."""

        @functools.wraps(plain)
        def clip(parameters: Any, clip_value: float, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - torch's own
            known, again = listed(parameters)
            with self._told(known, "value", clip_value) as done:
                plain(again, clip_value, *args, **kwargs)
                done(None)

        return clip

    @contextmanager
    def _told(
        self, parameters: list[torch.Tensor], kind: str, threshold: float
    ) -> Iterator[Callable[[torch.Tensor | None], None]]:
        """Tell of clipping once, though one of torch's functions calls another."""
        if self._clipping:
            yield lambda _: None
            return
        self._clipping = True
        try:
            with remembering():
                self.tell("clipping", parameters, kind, float(threshold))
                yield lambda total: self.tell("clipped", total)
        finally:
            self._clipping = False

    def _stepping(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:  # noqa: ANN401 - torch's own
        """Tell of a step; where a closure computes the gradients first, after it has."""
        positional = len(args) > 1 and callable(args[1])
        closure = args[1] if positional else kwargs.get("closure")
        if not callable(closure):
            self.tell("stepping", optimizer)
            return None
        first = True

        @functools.wraps(closure)
        def heard(*inner: Any, **named: Any) -> Any:  # noqa: ANN401 - the user's own
            nonlocal first
            result = closure(*inner, **named)
            if first:  # some optimizers call it many times in one step
                first = False
                self.tell("stepping", optimizer)
            return result

        if positional:
            return (args[0], heard, *args[2:]), kwargs
        return args, {**kwargs, "closure": heard}

    def _stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ANN401, ARG002 - torch's own
        """Tell of a step that was made."""
        self.tell("stepped", optimizer)


_TAPS = _Taps()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener hear of everything while the block runs."""
    _TAPS.join(listener)
    try:
        yield
    finally:
        _TAPS.leave(listener)
