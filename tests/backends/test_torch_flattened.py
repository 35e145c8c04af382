"""Models in FullyShardedDataParallel, which flattens parameters, are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import distributed, nn
from torch.distributed import HashStore  # type: ignore[attr-defined] # documented
from torch.distributed.fsdp import FullyShardedDataParallel

from pytest_gradcheck import measure_gradients
from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(not distributed.is_available(), reason="this torch has no distributed part"),
    pytest.mark.filterwarnings("ignore:FSDP is switching to use `NO_SHARD`:UserWarning"),
]

REFUSED = r"a Linear is wrapped in FullyShardedDataParallel \(FSDP1\).*fully_shard \(FSDP2\)"


@pytest.fixture(autouse=True)
def _group() -> Iterator[None]:
    """Make a process group of this process alone."""
    distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("kept", [False, True], ids=["flat", "use_orig_params"])
def test_a_wrapped_model_is_refused(*, kept: bool) -> None:
    """The message must name the wrapper and what to use instead, before anything is evaluated."""
    model = wrapped(nn.Linear(4, 2), kept=kept)
    with pytest.raises(UsageError, match=f"'FullyShardedDataParallel': {REFUSED}"):
        measure_gradients(model, never)


def test_a_model_that_is_wrapped_in_part_is_refused() -> None:
    """A wrapper must be found wherever in the model it is."""
    model = nn.Sequential(nn.Linear(3, 4), wrapped(nn.Linear(4, 2)))
    with pytest.raises(UsageError, match=f"'Sequential': {REFUSED}"):
        measure_gradients(model, never)


def test_a_wrapped_model_in_the_loss_is_refused() -> None:
    """A wrapper that only the loss knows must be found, too."""
    model = wrapped(nn.Linear(4, 2))
    tensors = dict(model.named_parameters())
    with pytest.raises(UsageError, match=f"'tensors': {REFUSED}"):
        measure_gradients(tensors, lambda: model(torch.ones(1, 4)).sum())


def wrapped(module: nn.Module, *, kept: bool = False) -> FullyShardedDataParallel:
    """Return a module in the wrapper."""
    here = torch.device("cpu")
    return FullyShardedDataParallel(module, device_id=here, use_orig_params=kept)


def never() -> torch.Tensor:
    """Fail: nothing may be evaluated."""
    raise AssertionError
