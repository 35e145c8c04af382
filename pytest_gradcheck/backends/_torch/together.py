"""Differentiate a loss whose gradient the ranks of a distributed run make together.

``DistributedDataParallel`` and ``fully_shard`` exchange gradients in hooks that only ``backward()``
runs, and only once for each forward pass. So the closure is called anew for every term, and the
gradients are read where training finds them, in ``.grad``, which is put back afterwards.

Requirements:
    What is measured is what the wrapper did, missed all-reduces included. Before a backward pass
    the ranks meet, so that one whose forward pass failed does not leave the others hanging.
    In float64 the wrapper is bypassed: each rank differentiates alone and the gradients are
    averaged here, as ``DistributedDataParallel`` should. What shards parameters keeps memory of
    its own that cannot be widened, so there is no float64 gradient there.
    User hooks on parameters run, as they do in training (an optimizer in a hook would step).
    Under ``fully_shard`` parameters alone move when noise is measured, inputs do not.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import distributed

from pytest_gradcheck.backends._torch.ranks import is_fully_sharded, is_replicated
from pytest_gradcheck.backends._torch.shards import is_sharded, shard_view
from pytest_gradcheck.backends._torch.views import view_of
from pytest_gradcheck.errors import PrecisionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_gradcheck.backends._torch.ranks import Ranks
    from pytest_gradcheck.backends._torch.source import Source
    from pytest_gradcheck.backends._torch.state import Belongings
    from pytest_gradcheck.records import ArrayView

__all__ = ["averaged", "backward", "bypassed", "check_widenable", "facts_of", "resharded"]

_BUCKET = 25 << 20  # bytes of gradients that are exchanged together, as DistributedDataParallel's
_BATCH_NORMS = torch.nn.modules.batchnorm._BatchNorm  # noqa: SLF001 - what all batch norms share


def backward(term: torch.Tensor, source: Source, mine: Belongings) -> dict[str, ArrayView | None]:
    """Run ``backward()`` on one term and return what it left in ``.grad``."""
    if term.requires_grad:
        term.backward()
    found = {name: _taken(tensor) for name, tensor in source.wrt.items()}
    for leaf in mine.leaves:
        leaf.grad = None
    return found


def averaged(
    grads: Mapping[str, torch.Tensor | None], source: Source, ranks: Ranks
) -> dict[str, torch.Tensor | None]:
    """Return the mean over the ranks of gradients that each of them took alone.

    A parameter that one rank's data do not reach counts as zero there, unless none reaches it.
    """
    reached = ranks.largest(np.array([float(grad is not None) for grad in grads.values()]))
    found: dict[str, torch.Tensor | None] = dict.fromkeys(grads)
    bucket: dict[str, torch.Tensor] = {}
    for (name, grad), anywhere in zip(grads.items(), reached, strict=True):
        if anywhere:
            whole = torch.zeros_like(source.wrt[name]) if grad is None else grad.to_dense()
            bucket[name] = whole.detach()
        if sum(g.nbytes for g in bucket.values()) >= _BUCKET:
            found |= _exchanged(bucket, ranks)
            bucket = {}
    return found | _exchanged(bucket, ranks)


def _exchanged(bucket: Mapping[str, torch.Tensor], ranks: Ranks) -> dict[str, torch.Tensor]:
    """Return the mean over the ranks of some gradients, exchanged in one go."""
    if not bucket:
        return {}
    real = [torch.view_as_real(g) if g.is_complex() else g for g in bucket.values()]
    flat = torch.cat([g.reshape(-1) for g in real])
    distributed.all_reduce(flat, group=ranks.group)
    means = (flat / ranks.size).split([g.numel() for g in real])
    shaped = [mean.view(g.shape) for mean, g in zip(means, real, strict=True)]
    return {
        name: torch.view_as_complex(mean) if grad.is_complex() else mean
        for (name, grad), mean in zip(bucket.items(), shaped, strict=True)
    }


@contextmanager
def bypassed(mine: Belongings) -> Iterator[None]:
    """Keep every wrapper from exchanging gradients."""
    with ExitStack() as stack:
        for module in mine.modules:
            if is_replicated(module):
                stack.enter_context(module.no_sync())  # type: ignore[operator] # nn.Module's attributes have no types
        yield


@contextmanager
def resharded(mine: Belongings) -> Iterator[None]:
    """Leave sharded modules as a training step does, also where no backward pass was run."""
    try:
        yield
    finally:
        for module in mine.modules:
            if is_fully_sharded(module):
                module.reshard()  # type: ignore[operator] # as above


def check_widenable(source: Source, mine: Belongings) -> None:
    """Check that parameters can borrow float64 values.

    Raises:
        PrecisionError: they are sharded.
    """
    sharded = any(map(is_fully_sharded, mine.modules))
    if sharded or any(map(is_sharded, source.tensors)):
        how = "fully_shard" if sharded else "DTensor"
        msg = f"'{source.label}' is sharded ({how}), and its shards cannot borrow float64 values"
        raise PrecisionError(msg)


def facts_of(source: Source, ranks: Ranks) -> dict[str, str | int]:
    """Return what reports say about how a model is distributed."""
    modules = [] if source.module is None else list(source.module.modules())
    kinds = {
        "DDP": any(map(is_replicated, modules)),
        "fully_shard": any(map(is_fully_sharded, modules)),
        "DTensor": any(map(is_sharded, source.tensors)),
    }
    if kinds["fully_shard"]:
        kinds["DTensor"] = False
    facts: dict[str, str | int] = {"ranks": ranks.size}
    facts["distributed"] = ", ".join(name for name, here in kinds.items() if here)
    alone = {type(m).__name__ for m in modules if _is_alone(m)}
    if alone and (kinds["DDP"] or kinds["fully_shard"]):
        facts["unsynchronised"] = ", ".join(sorted(alone))
    return facts


def _is_alone(module: torch.nn.Module) -> bool:
    """Return whether a module normalises over the data of its own rank alone."""
    synchronised = torch.nn.SyncBatchNorm
    return (
        isinstance(module, _BATCH_NORMS)
        and not isinstance(module, synchronised)
        and (module.training or not module.track_running_stats)
    )


def _taken(parameter: torch.Tensor) -> ArrayView | None:
    """Return the view of a parameter's gradient; what a wrapper will write to again is copied."""
    grad: Any = parameter.grad
    if grad is None:
        return None
    if is_sharded(grad):
        return shard_view(grad, parameter)
    if grad.layout is torch.strided and grad.untyped_storage().nbytes() > grad.nbytes:
        grad = grad.clone()  # a part of a bucket
    return view_of(grad)
