"""On an accelerator: the same sketch as on the CPU, and nothing of the user's is disturbed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pytest_gradcheck import measure_gradients
from pytest_gradcheck.backends._torch.views import view_of
from pytest_gradcheck.records import Evaluation
from pytest_gradcheck.stats import gradient_stats

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import GradientStats

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]

MEBI = 2**20


def stats_of(gradient: torch.Tensor) -> GradientStats:
    """Return the statistics of one gradient where it lies."""
    grads = {"w": view_of(gradient)}
    return gradient_stats(Evaluation(value=0.0, grads=grads), grads, top=5)


def model() -> tuple[nn.Module, Callable[[], torch.Tensor]]:
    """Return a small model on the device, and its loss."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 8)).cuda()
    inputs = torch.randn(32, 64, device="cuda")
    return net, lambda: net(inputs).square().mean()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(7,), (100, 41), (300, 500)])
def test_the_sketch_is_that_of_the_cpu(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """The same gradient must give the same bits wherever it lies."""
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert stats_of(gradient.cuda()) == stats_of(gradient)


def test_mixed_precision_is_measured_as_it_trains() -> None:
    """Under autocast the norm must be that of the gradients that training would get."""
    net, loss = model()

    def mixed() -> torch.Tensor:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return loss()

    mixed().backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    expected = torch.nn.utils.get_total_norm(grads)
    net.zero_grad()
    assert measure_gradients(net, mixed).norm == pytest.approx(float(expected), rel=1e-3)


def test_a_loss_scale_is_seen() -> None:
    """A loss that a GradScaler scaled must give gradients larger by that scale."""
    net, loss = model()
    scaler = torch.amp.GradScaler("cuda", init_scale=1024.0)
    plain = measure_gradients(net, loss).norm
    scaled = measure_gradients(net, lambda: scaler.scale(loss())).norm
    assert scaled == pytest.approx(1024.0 * plain, rel=1e-5)
    assert scaler.get_scale() == 1024.0


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method.:DeprecationWarning")  # torch's own
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning")
def test_a_compiled_model_is_measured() -> None:
    """A compiled model must give the gradient of the model that was compiled."""
    net, loss = model()
    plain = measure_gradients(net, loss)
    inputs = torch.randn(32, 64, device="cuda")
    compiled = torch.compile(net)
    measured = measure_gradients(compiled, lambda: compiled(inputs).square().mean())
    assert [p.name for p in measured.native.parameters] == [p.name for p in plain.native.parameters]
    direct = measure_gradients(net, lambda: net(inputs).square().mean())
    assert measured.norm == pytest.approx(direct.norm, rel=1e-4)


def test_a_cuda_graph_replays_after_a_measurement() -> None:
    """A graph that was captured before must give the same result after a measurement."""
    net, loss = model()
    static = torch.randn(32, 64, device="cuda")
    with torch.no_grad():
        net(static)  # libraries make their workspaces outside of the capture
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = net(static)
    graph.replay()
    before = output.clone()
    measure_gradients(net, loss)
    graph.replay()
    assert torch.equal(output, before)


def test_a_measurement_needs_little_memory_of_the_device() -> None:
    """Beside its gradients a measurement may hold no more than a few megabytes on the device."""
    weight = nn.Parameter(torch.ones(8 * MEBI, device="cuda"))

    def plain() -> None:
        torch.autograd.grad((weight * weight).sum(), weight)

    def measured() -> None:
        measure_gradients({"w": weight}, lambda: weight.square().sum())

    assert peak(measured) - peak(plain) <= 32 * MEBI


def peak(action: Callable[[], None]) -> int:
    """Return the most bytes that an action holds on the device."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    action()
    return torch.cuda.max_memory_allocated() - before
