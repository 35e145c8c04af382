"""Refuse models whose parameters are pieces of one flat tensor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

__all__ = ["check_not_flattened"]


def check_not_flattened(modules: Iterable[torch.nn.Module], label: str) -> None:
    """Check that no module is wrapped in ``FullyShardedDataParallel`` (FSDP1).

    Args:
        modules: to look at.
        label: of the objective.

    Raises:
        UsageError: one is; the message says what to use.
    """
    library = sys.modules.get("torch.distributed.fsdp")  # not imported unless the user did
    kind: Any = getattr(library, "FullyShardedDataParallel", None)
    for module in modules if kind else ():
        if isinstance(module, kind):
            msg = (
                f"'{label}': a {type(module.module).__name__} is wrapped in "
                "FullyShardedDataParallel (FSDP1), which keeps flat pieces of its parameters, "
                "without their names and shapes; shard it with "
                "torch.distributed.fsdp.fully_shard (FSDP2), or measure it before it is wrapped"
            )
            raise UsageError(msg)
