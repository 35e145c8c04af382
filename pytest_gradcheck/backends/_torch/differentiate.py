"""Take the gradient of one term, and say what it means where that is impossible."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from pytest_gradcheck.backends._torch.promote import check_wide
from pytest_gradcheck.backends._torch.views import view_of
from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_gradcheck.backends._torch.source import Source
    from pytest_gradcheck.records import ArrayView

__all__ = ["explained", "taken", "views"]

_MISUSES = {  # what torch says of a graph that cannot be differentiated -> what it means here
    "backward through the graph a second time": (
        "its graph is gone before gradcheck can use it: it runs backward() or autograd.grad() "
        "itself, or it uses a tensor computed outside of the closure; compute everything inside, "
        "and return the loss"
    ),
    "use_reentrant": (
        "it uses torch.utils.checkpoint with use_reentrant=True, which works with .backward() "
        "alone; pass use_reentrant=False"
    ),
}


def taken(term: torch.Tensor, source: Source, *, last: bool) -> dict[str, torch.Tensor | None]:
    """Differentiate one term, every ``.grad`` left alone; ``last`` frees the graph.

    Raises:
        UsageError: the graph cannot be differentiated; the message says why.
    """
    names, tensors = list(source.wrt), list(source.wrt.values())
    grads: tuple[torch.Tensor | None, ...] = (None,) * len(tensors)
    if term.requires_grad:
        with explained(source):
            grads = torch.autograd.grad(term, tensors, retain_graph=not last, allow_unused=True)
    return dict(zip(names, grads, strict=True))


@contextmanager
def explained(source: Source) -> Iterator[None]:
    """Say what it means where torch says that a graph cannot be differentiated."""
    try:
        yield
    except RuntimeError as error:
        for said, meaning in _MISUSES.items():
            if said in str(error):
                msg = f"the loss of '{source.label}' cannot be differentiated: {meaning}"
                raise UsageError(msg) from None
        raise


def views(grads: Mapping[str, torch.Tensor | None], *, wide: bool) -> dict[str, ArrayView | None]:
    """Show gradients to the statistics; with ``wide`` they must be float64."""
    found: dict[str, ArrayView | None] = {}
    for name, grad in grads.items():
        if grad is not None and wide:
            check_wide(f"the gradient of {name!r}", grad)
        found[name] = None if grad is None else view_of(grad)
    return found
