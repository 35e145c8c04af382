"""Hand over each parameter's gradient as soon as it is complete, and forget it.

Autograd finishes the gradients of the last layers while it is still at work on the first ones. Who
takes each of them then needs room for the largest one, not for all of them.

Requirements:
    What is handed over is what ``backward()`` accumulates, so that ties are added up and hooks on
    tensors have run. Only parameters that were asked for accumulate anything. Nothing stays in
    ``.grad``, whatever happens.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from pytest_gradcheck.backends._torch.differentiate import explained
from pytest_gradcheck.backends._torch.promote import check_wide
from pytest_gradcheck.backends._torch.views import view_of
from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.backends._torch.source import Source
    from pytest_gradcheck.records import ArrayView

    Take = Callable[[str, ArrayView], None]

__all__ = ["check_streamable", "handed_over"]


def check_streamable(source: Source) -> None:
    """Check that gradients may be accumulated.

    Raises:
        UsageError: something of the user's own happens when one is.
    """
    for name, leaf in source.wrt.items():
        if getattr(leaf, "_post_accumulate_grad_hooks", None):
            msg = (
                f"streaming=True: parameter {name!r} of '{source.label}' has a hook of its own for "
                "when its gradient is accumulated (an optimizer step in the backward pass?), which "
                "would run now; remove it for the check, or leave streaming out"
            )
            raise UsageError(msg)


def handed_over(term: torch.Tensor, source: Source, take: Take, *, wide: bool) -> None:
    """Differentiate one term and hand every gradient to `take`, in backward order."""
    hooks = [
        leaf.register_post_accumulate_grad_hook(partial(_pass_on, name, take, wide))
        for name, leaf in source.wrt.items()
    ]
    try:
        if term.requires_grad:
            with explained(source):
                torch.autograd.backward(term, inputs=list(source.wrt.values()))
    finally:
        for hook in hooks:
            hook.remove()
        for leaf in source.wrt.values():
            leaf.grad = None


def _pass_on(name: str, take: Take, wide: bool, leaf: Any) -> None:  # noqa: ANN401, FBT001 - a tensor, whose gradient may be of any kind; called by autograd
    """Hand over what one parameter accumulated."""
    grad, leaf.grad = leaf.grad, None
    if wide:
        check_wide(f"the gradient of {name!r}", grad)
    take(name, view_of(grad))
