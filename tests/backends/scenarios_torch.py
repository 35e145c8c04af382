"""Scenarios of the torch backend: small modules and tensors with gradients in closed form."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pytest_gradcheck.backends import objective
from pytest_gradcheck.testing import Expected, Scenario

Point = Mapping[str, NDArray[Any]]
Tensors = Mapping[str, torch.Tensor]


def picture(*owners: nn.Module | torch.Tensor) -> object:
    """Return what must be the same after an evaluation: identities, bits, modes, streams."""
    tensors: list[torch.Tensor] = []
    modes: list[object] = []
    for owner in owners:
        if isinstance(owner, torch.Tensor):
            tensors.append(owner)
            continue
        tensors += [*owner.parameters(), *owner.buffers()]
        modes += [
            (id(m), m.training, list(m._buffers), sorted((k, id(v)) for k, v in vars(m).items()))
            for m in owner.modules()
        ]
    return (
        [(id(t), t.data_ptr(), t.stride(), content(t), t.dtype) for t in tensors],
        [(id(t.grad), content(t.grad)) for t in tensors if t.is_leaf and t.grad is not None],
        modes,
        content(torch.get_rng_state()),
        torch.is_grad_enabled(),
    )


def content(tensor: torch.Tensor) -> bytes:
    """Return a tensor's elements as bytes, in logical order."""
    flat = tensor.detach().resolve_conj().contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).tolist()) if flat.numel() else b""


def scenario(
    name: str,
    source: nn.Module | Tensors,
    loss: Callable[[], object],
    expected: Callable[[Point], Expected],
    *,
    rtol: float = 1e-6,
    stochastic: bool = False,
) -> Scenario:
    """Return a scenario, with a loss that fails after disturbing all it can reach."""
    owners = [source] if isinstance(source, nn.Module) else list(source.values())
    for owner in owners:
        for leaf in owner.parameters() if isinstance(owner, nn.Module) else [owner]:
            if leaf.requires_grad:
                leaf.grad = torch.ones_like(leaf, memory_format=torch.contiguous_format)

    def fail() -> object:
        loss()
        torch.rand(3)
        np.random.random(3)  # noqa: NPY002 - a stream that has to come back
        random.random()
        torch.set_grad_enabled(False)
        for owner in owners:
            if isinstance(owner, nn.Module):
                owner.train(not owner.training)
                owner.__dict__["extra"] = 1
        msg = "the user's own"
        raise ArithmeticError(msg)

    return Scenario(
        name=name,
        build=lambda seed: objective(source, loss, seed=seed),
        expected=expected,
        state=lambda: picture(*owners),
        failing=lambda: objective(source, fail),
        rtol=rtol,
        stochastic=stochastic,
    )


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return reproducible values that every floating-point type holds exactly."""
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.integers(-8, 9, shape) / 4.0).to(dtype)


def leaf(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return such values as a parameter."""
    return numbers(*shape, seed=seed, dtype=dtype).requires_grad_()


def array(tensor: torch.Tensor) -> NDArray[np.float64]:
    """Return a tensor's values for a closed form."""
    return tensor.detach().double().numpy()


def regression() -> Scenario:
    """Return a linear regression, with a frozen module beside it."""
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)).requires_grad_(requires_grad=False)
    model[0].requires_grad_()
    x, y = numbers(5, 3, seed=1), numbers(5, 2, seed=2)

    def expected(point: Point) -> Expected:
        apart = array(x) @ point["0.weight"].T + point["0.bias"] - array(y)
        slope = 2 * apart / apart.size
        grads = {"0.weight": slope.T @ array(x), "0.bias": slope.sum(axis=0)}
        return Expected(float(np.mean(apart**2)), grads)

    return scenario(
        "regression", model, lambda: (model[0](x) - y).square().mean(), expected, rtol=1e-5
    )


def components() -> Scenario:
    """Return components of which one is constant and none reaches the last parameter."""
    a, b, c = leaf(2, 3, seed=1), leaf(3, seed=2), leaf(4, seed=3)
    tensors = {"a": a, "b": b, "c": c}

    def loss() -> dict[object, torch.Tensor]:
        return {"fit": (a @ b).sum(), "size": b.square().sum(), 3: torch.tensor(1.5)}

    def expected(point: Point) -> Expected:
        rows, weights = point["a"], point["b"]
        fit = {"a": np.tile(weights, (2, 1)), "b": rows.sum(axis=0), "c": None}
        size = {"a": None, "b": 2 * weights, "c": None}
        parts = {
            "fit": Expected(float((rows @ weights).sum()), fit),
            "size": Expected(float(weights @ weights), size),
            "3": Expected(1.5, dict.fromkeys("abc")),
        }
        total = {"a": fit["a"], "b": rows.sum(axis=0) + 2 * weights, "c": None}
        return Expected(sum(part.value for part in parts.values()), total, parts)

    return scenario("components", tensors, loss, expected)


def one_component() -> Scenario:
    """Return a mapping of a single component."""
    w = leaf(3)

    def expected(point: Point) -> Expected:
        value, grads = float(np.sum(point["w"] ** 2)), {"w": 2 * point["w"]}
        return Expected(value, grads, {"only": Expected(value, grads)})

    return scenario("one component", {"w": w}, lambda: {"only": w.square().sum()}, expected)


def half_square(dtype: torch.dtype, rtol: float) -> Scenario:
    """Return half the squared norm in one type, over a vector, a scalar and nothing."""
    tensors = {"w": leaf(5, dtype=dtype), "s": leaf(dtype=dtype), "none": leaf(0, 2, dtype=dtype)}

    def loss() -> torch.Tensor:
        return sum((0.5 * t.square().sum() for t in tensors.values()), torch.zeros((), dtype=dtype))

    def expected(point: Point) -> Expected:
        return Expected(float(sum(0.5 * np.sum(v**2) for v in point.values())), dict(point))

    name = str(dtype).removeprefix("torch.")
    return scenario(name, tensors, loss, expected, rtol=rtol)


def complex_numbers(dtype: torch.dtype) -> Scenario:
    """Return the squared distance to a complex constant, through a conjugate view."""
    z = torch.complex(numbers(2, 3), numbers(2, 3, seed=1)).to(dtype).requires_grad_()
    centre = torch.complex(numbers(2, 3, seed=2), numbers(2, 3, seed=3)).to(dtype)

    def expected(point: Point) -> Expected:
        apart = point["z"] - np.stack([array(centre.real), array(centre.imag)], axis=-1)
        return Expected(float(np.sum(apart**2)), {"z": 2 * apart})

    return scenario(
        str(dtype).removeprefix("torch."),
        {"z": z},
        lambda: (z.conj() - centre.conj()).abs().square().sum(),
        expected,
    )


def layouts() -> Scenario:
    """Return parameters whose memory is transposed, channels last, and shared by expansion."""
    tensors = {
        "transposed": numbers(4, 3).T.requires_grad_(),
        "channels": numbers(2, 3, 2, 2).to(memory_format=torch.channels_last).requires_grad_(),
        "expanded": numbers(3, 1).expand(3, 4).detach().requires_grad_(),
    }
    slopes = {
        name: numbers(*tensor.shape, seed=9).clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }

    def loss() -> torch.Tensor:
        return sum(((t.square() * slopes[n]).sum() for n, t in tensors.items()), torch.zeros(()))

    def expected(point: Point) -> Expected:
        value = sum(np.sum(point[n] ** 2 * array(slope)) for n, slope in slopes.items())
        return Expected(float(value), {n: 2 * point[n] * array(s) for n, s in slopes.items()})

    return scenario("layouts", tensors, loss, expected)


def sparse_embedding() -> Scenario:
    """Return an embedding with sparse gradients, some rows read twice and some never."""
    model = nn.Embedding(9, 3, sparse=True)
    with torch.no_grad():
        model.weight.copy_(numbers(9, 3))
    rows = torch.tensor([7, 2, 1, 2])

    def expected(point: Point) -> Expected:
        grad = np.zeros((9, 3))
        np.add.at(grad, rows.numpy(), 2 * point["weight"][rows.numpy()])
        return Expected(float(np.sum(point["weight"][rows.numpy()] ** 2)), {"weight": grad})

    return scenario("sparse", model, lambda: model(rows).square().sum(), expected)


class Counting(nn.BatchNorm1d):
    """A batch normalisation that replaces a buffer each time."""

    seen: torch.Tensor

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's own name
        """Count, and normalise."""
        self.seen = self.seen + 1
        return super().forward(input)


def batch_norm() -> Scenario:
    """Return a training batch normalisation, which writes to its buffers and replaces one."""
    model = Counting(3)
    model.register_buffer("seen", torch.zeros(2))
    x, slope = numbers(6, 3, seed=1), numbers(6, 3, seed=2)

    def expected(point: Point) -> Expected:
        centred = array(x) - array(x).mean(axis=0)
        unit = centred / np.sqrt(array(x).var(axis=0) + model.eps)
        out = unit * point["weight"] + point["bias"]
        grads = {"weight": (unit * array(slope)).sum(axis=0), "bias": array(slope).sum(axis=0)}
        return Expected(float(np.sum(out * array(slope))), grads)

    return scenario("batch norm", model, lambda: torch.sum(model(x) * slope), expected, rtol=1e-5)


def stochastic() -> Scenario:
    """Return a linear function whose slope is drawn anew from torch's own stream."""
    w = leaf(20)

    def expected(point: Point) -> Expected:
        slope = array(torch.randn(20, generator=torch.Generator().manual_seed(0)))
        return Expected(float(slope @ point["w"]), {"w": slope})

    return scenario(
        "stochastic",
        {"w": w},
        lambda: torch.sum(w * torch.randn(20)),
        expected,
        rtol=1e-5,
        stochastic=True,
    )


def tied() -> Scenario:
    """Return two layers that share one weight."""
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    model = nn.ModuleDict({"encoder": first, "decoder": second})
    with torch.no_grad():
        first.weight.copy_(numbers(3, 3))
    x, y = numbers(3, seed=1), numbers(3, seed=2)

    def expected(point: Point) -> Expected:
        w = point["encoder.weight"]
        value = float(array(y) @ w @ w @ array(x))
        grad = np.outer(array(y), w @ array(x)) + np.outer(w.T @ array(y), array(x))
        return Expected(value, {"encoder.weight": grad})

    return scenario("tied", model, lambda: y @ second(first(x)), expected)


SCENARIOS = (
    regression(),
    components(),
    one_component(),
    half_square(torch.float64, 1e-12),
    half_square(torch.float32, 1e-6),
    half_square(torch.bfloat16, 1e-2),
    half_square(torch.float16, 1e-2),
    complex_numbers(torch.complex64),
    complex_numbers(torch.complex128),
    layouts(),
    sparse_embedding(),
    batch_norm(),
    stochastic(),
    tied(),
)
