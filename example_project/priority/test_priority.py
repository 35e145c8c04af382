"""What the gradients of the priority network must satisfy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_gradcheck.session.fixture import GradCheck
from torch import Tensor

from models import priority
from models.priority import PriorityNet


@pytest.fixture
def net() -> PriorityNet:
    """Return a network with its starting values."""
    return priority.small_net()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Return a training batch of the usual size."""
    return priority.cases(priority.BATCH)


@pytest.mark.gradcheck(max_norm=10.0)
class TestTraining:
    """The network as it is trained, normalised over the batch."""

    @pytest.mark.gradcheck(balance=6.0, max_share=0.4)
    def test_balance(
        self, gradcheck: GradCheck, net: PriorityNet, batch: tuple[Tensor, Tensor]
    ) -> None:
        """None of the six losses drowns the others."""
        gradcheck(net, lambda: priority.losses(net, *batch))

    @pytest.mark.gradcheck(numeric=True, max_norm_ratio=1.1)
    def test_heads(
        self, gradcheck: GradCheck, net: PriorityNet, batch: tuple[Tensor, Tensor]
    ) -> None:
        """The heads alone have the gradient that the losses' values say."""
        gradcheck(net, lambda: priority.losses(net, *batch), wrt=("heads.*",))

    def test_batch_is_large_enough(
        self, gradcheck: GradCheck, net: PriorityNet, batch: tuple[Tensor, Tensor]
    ) -> None:
        """Normalising over a batch costs little against normalising over a hundred cases."""
        many = priority.cases(96)
        usual = gradcheck.measure(net, lambda: priority.losses(net, *batch))
        ideal = gradcheck.measure(net, lambda: priority.losses(net, *many))
        assert usual.norm < 1.5 * ideal.norm, f"batches of {priority.BATCH} are too small"


@pytest.mark.gradcheck(max_norm=10.0)
def test_in_use(gradcheck: GradCheck, net: PriorityNet, batch: tuple[Tensor, Tensor]) -> None:
    """With running statistics instead of the batch's own, the network stays trainable."""
    net.eval()
    gradcheck(net, lambda: priority.losses(net, *batch))


def test_training(gradcheck: GradCheck, net: PriorityNet) -> None:
    """Two epochs bring the loss down, rarely clipped, and no loss takes over."""
    features, urgency = priority.cases(20 * priority.BATCH)
    batches = [*zip(*(torch.split(t, priority.BATCH) for t in (features, urgency)), strict=True)]
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with gradcheck.watch(net, epoch=20, max_share=0.55) as run:
        for batch in batches * 2:
            optimizer.zero_grad()
            terms = priority.losses(net, *batch)
            run.log(components=terms)
            torch.autograd.backward(torch.stack([*terms.values()]).sum())
            torch.nn.utils.clip_grad_norm_(net.parameters(), 3.5)
            optimizer.step()


def test_batch_size_hardly_matters(gradcheck: GradCheck, net: PriorityNet) -> None:
    """Normalised over twice or four times as many cases, the gradient keeps its size."""

    def at(batch: int) -> tuple[PriorityNet, Callable[[], dict[str, Tensor]]]:
        drawn = priority.cases(batch)
        return net, lambda: priority.losses(net, *drawn)

    sizes = [priority.BATCH, 2 * priority.BATCH, 4 * priority.BATCH]
    gradcheck.sweep({"batch": sizes}, at, max_norm_ratio=1.5)
