"""On an accelerator: the same sketch as on the CPU, and nothing of the user's is disturbed."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from pytest_gradcheck import measure_gradients
from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._torch.shards import ShardView
from pytest_gradcheck.backends._torch.views import view_of
from pytest_gradcheck.measure import measure
from pytest_gradcheck.records import ComponentEvaluation, Evaluation
from pytest_gradcheck.stats import gradient_stats, placed, point_stats
from pytest_gradcheck.stats.components import component_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_gradcheck.records import ComponentStats, GradientStats

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]

MEBI = 2**20
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7, 1), (100, 41), (300, 500), (1200, 1000)])
def test_the_statistics_are_those_of_the_cpu(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """The same gradient must give the same bits wherever it lies; a warning would be an error."""
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert stats_of(gradient.cuda()) == stats_of(gradient)
    assert stats_of(gradient.cuda().T) == stats_of(gradient.T)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_bits_give_what_they_give_on_the_cpu(dtype: torch.dtype) -> None:
    """NaN, Inf, the largest numbers and those below the normal ones must be taken alike."""
    random = torch.Generator().manual_seed(2)
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    bounds = torch.iinfo(integer)
    bits = torch.randint(bounds.min, bounds.max, (50_000,), generator=random, dtype=integer)
    gradient = bits.view(dtype)
    assert stats_of(gradient.cuda()) == stats_of(gradient)
    assert stats_of(gradient.nan_to_num().cuda()) == stats_of(gradient.nan_to_num())


def test_a_shard_crosses_in_few_pieces() -> None:
    """What lies on a device and is reduced on the CPU must not wait for each chunk of it."""
    part = torch.arange(float(MEBI), device="cuda").view(1024, 1024)
    view = ShardView(part, (4096, 1024), (slice(1024, 2048), slice(0, 1024)))
    assert waits(lambda: list(view.chunks(1000))) == 1
    starts, values = zip(*view.chunks(1000), strict=True)
    assert starts == tuple(range(MEBI, 2 * MEBI, 1000))
    assert torch.equal(torch.from_numpy(np.concatenate(values)), part.cpu().view(-1))


def test_another_stream_and_modes_change_nothing() -> None:
    """Work must be queued where the user queues it, in whatever modes."""
    gradient = torch.randn(300, 5000)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    try:
        with torch.cuda.stream(torch.cuda.Stream()), torch.autocast("cuda"):
            moved = gradient.cuda()
            assert stats_of(2.0 * moved) == stats_of(2.0 * gradient)
    finally:
        torch.use_deterministic_algorithms(False)  # noqa: FBT003 - as above


def test_the_device_is_waited_for_once() -> None:
    """Gradient, point, and values beside the largest elements must take one wait each."""
    net, loss = model()
    source = objective(net, loss)
    evaluation = source.value_and_grad()
    native = gradient_stats(evaluation, source.point, top=20)
    steps: list[Callable[[], object]] = [
        lambda: gradient_stats(evaluation, source.point, top=20),
        lambda: point_stats(source.point, keep=False),
        lambda: placed(native, source.point, None, top=20),
    ]
    assert [waits(step) for step in steps] == [1, 1, 1]


def components_of(*grads: torch.Tensor) -> tuple[ComponentStats, ...]:
    """Return the statistics of components of one parameter where they lie."""
    return component_stats(
        {
            str(i): ComponentEvaluation(value=0.0, grads={"w": view_of(grad)})
            for i, grad in enumerate(grads)
        }
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7, 1), (300, 500), (1500, 1400)])
def test_components_are_those_of_the_cpu(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Norms and cosines must agree wherever components lie, up to the order of their sums."""
    random = torch.Generator().manual_seed(1)
    grads = [torch.randn(shape, generator=random).to(dtype) for _ in range(3)]
    grads[2] = (grads[2] + grads[0]).double()
    assert_close(components_of(*(g.cuda() for g in grads)), components_of(*grads))
    assert_close(components_of(*(g.cuda().T for g in grads)), components_of(*(g.T for g in grads)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_components_of_any_bits_are_those_of_the_cpu(dtype: torch.dtype) -> None:
    """NaN, Inf, the largest numbers and those below the normal ones must be taken alike."""
    random = torch.Generator().manual_seed(2)
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    bounds = torch.iinfo(integer)
    bits = torch.randint(bounds.min, bounds.max, (2, 50_000), generator=random, dtype=integer)
    one, other = bits.view(dtype)
    tiny = (bits[0] & (1 << (8 * dtype.itemsize - 8)) - 1).view(dtype)
    grads = [one, other.nan_to_num(), tiny]
    assert_close(components_of(*(g.cuda() for g in grads)), components_of(*grads))


def assert_close(there: Sequence[ComponentStats], here: Sequence[ComponentStats]) -> None:
    """Check that components differ by rounding alone."""
    for one, other in zip(there, here, strict=True):
        assert (one.finite, one.nonfinite) == (other.finite, other.nonfinite)
        assert one.norm == pytest.approx(other.norm, rel=1e-12, abs=0)
        assert one.cosines == pytest.approx(other.cosines, rel=0, abs=1e-12)


def test_components_give_the_same_bits_again() -> None:
    """A repeated reduction on a device must be equal, not only close."""
    grads = [torch.randn(3 * MEBI, dtype=torch.float64, device="cuda") for _ in range(3)]
    assert components_of(*grads) == components_of(*grads)


@pytest.mark.parametrize("layers", [1, 5])
def test_components_are_waited_for_once(layers: int) -> None:
    """However many parameters and components there are: one wait beside that for the gradient."""
    net, losses = terms(layers)
    source = objective(net, losses)
    evaluation = source.value_and_grad()
    found = gradient_stats(evaluation, source.point, top=20)
    assert len(found.components) == layers + 1
    assert waits(lambda: component_stats(evaluation.components)) == 1
    assert waits(lambda: gradient_stats(evaluation, source.point, top=20)) == 2


def test_a_measurement_waits_no_more_for_a_larger_loss() -> None:
    """The waits of a whole measurement must not grow with parameters or components."""
    sources = [objective(*terms(layers)) for layers in (1, 5)]
    measure(sources[0])  # the trial of the device comes first
    few, many = (waits(partial(measure, source)) for source in sources)
    assert few == many
    assert few >= 5  # values, gradient, components, values beside the largest elements, point


def terms(layers: int) -> tuple[nn.Module, Callable[[], dict[str, torch.Tensor]]]:
    """Return a model on the device, and a loss of one component more than it has layers."""
    torch.manual_seed(0)
    parts = [nn.Linear(80, 80) for _ in range(layers)]
    net = nn.Sequential(*parts).cuda()
    inputs = torch.randn(32, 80, device="cuda")

    def losses() -> dict[str, torch.Tensor]:
        weights = {f"size {i}": part.weight.square().sum() for i, part in enumerate(parts)}
        return {"fit": net(inputs).square().mean(), **weights}

    return net, losses


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_little_is_held_beside_components(dtype: torch.dtype) -> None:
    """What the documentation says of memory on the device must hold for components as well."""
    grads = [torch.ones(1024, 8192, dtype=dtype, device="cuda").T for _ in range(3)]
    components_of(*grads)
    assert peak(lambda: components_of(*grads)) <= 36 * MEBI


def waits(action: Callable[[], object]) -> int:
    """Return how many times an action waits for the device."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            action()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)


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

    measured()  # the trial of the device comes first
    assert peak(measured) - peak(plain) <= 32 * MEBI


@pytest.mark.parametrize(
    ("tensor", "most"),
    [
        (torch.ones(8 * MEBI, dtype=torch.bfloat16), 32 * MEBI),
        (torch.ones(8 * MEBI, dtype=torch.float64), 40 * MEBI),
        (torch.ones(1024, 8192, dtype=torch.float64).T, 54 * MEBI),
    ],
    ids=["bfloat16", "float64", "transposed"],
)
def test_little_is_held_beside_a_gradient(tensor: torch.Tensor, most: int) -> None:
    """What the documentation says of memory on the device must hold."""
    gradient = tensor.cuda()
    stats_of(gradient)
    assert peak(lambda: stats_of(gradient)) <= most


def peak(action: Callable[[], object]) -> int:
    """Return the most bytes that an action holds on the device."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    action()
    return torch.cuda.max_memory_allocated() - before
