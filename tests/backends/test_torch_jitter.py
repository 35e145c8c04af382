from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch
from torch import nn

from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._torch.jitter import MovedInputs, Noise
from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.records import ArrayView, Jitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import Objective

EPS32, EPS64, EPSBF = 2.0**-23, 2.0**-52, 2.0**-7
ONES = torch.ones(4, 3)


def linear(loss: Callable[[nn.Linear], torch.Tensor]) -> Objective:
    """Return the objective of a small layer under a loss."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    return objective(layer, lambda: loss(layer))


def grad(of: Objective, jitter: Jitter | None, **options: str) -> np.ndarray:
    """Return the gradient of the weight."""
    view = of.value_and_grad(jitter=jitter, **options).grads["weight"]
    return to_numpy(cast("ArrayView", view))


def autocast(layer: nn.Linear) -> torch.Tensor:
    """Return a loss that is computed in bfloat16 on its way."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden: torch.Tensor = layer(ONES)
    return hidden.float().square().mean()


@pytest.mark.parametrize(
    ("loss", "precision", "eps"),
    [
        (lambda layer: layer(ONES).square().mean(), "native", EPS32),
        (lambda layer: layer(ONES).square().mean(), "float64", EPS64),
        (lambda layer: layer(torch.full((4, 3), 0.1)).square().mean(), "float64", EPS64),
        (lambda layer: layer(torch.rand(4, 3)).square().mean(), "float64", EPS32),
        (autocast, "native", EPSBF),
        (autocast, "float64", EPS64),
    ],
)
def test_the_coarsest_precision_is_seen(
    loss: Callable[[nn.Linear], torch.Tensor], precision: str, eps: float
) -> None:
    """What an operation computed or drew in must show, not what a constant is made in."""
    found = linear(loss).value_and_grad(jitter=Jitter(), precision=precision)
    assert found.eps == eps


def test_nobody_watches_unasked() -> None:
    """A plain evaluation must not pay for being watched."""
    assert linear(lambda layer: layer(torch.ones(4, 3)).sum()).value_and_grad().eps is None


@pytest.mark.parametrize("precision", ["native", "float64"])
def test_captured_inputs_move(precision: str) -> None:
    """Measured inputs must move by about the epsilon asked for, and the user's not at all."""
    inputs = torch.linspace(0.1, 1.7, 12).reshape(4, 3)
    before = inputs.clone()
    of = linear(lambda layer: layer(inputs).square().mean())
    home, moved = (
        grad(of, jitter, precision=precision) for jitter in (None, Jitter(eps=1e-3, seed=1))
    )
    change = np.abs(moved - home).max() / np.abs(home).max()
    assert 1e-5 < change < 1e-2
    assert torch.equal(inputs, before)


def test_the_same_seed_moves_alike() -> None:
    """Noise must repeat, or a baseline could not."""
    inputs = torch.linspace(0.1, 1.7, 12).reshape(4, 3)
    of = linear(lambda layer: layer(inputs).square().mean())
    jitter = Jitter(eps=1e-3, seed=3)
    assert np.array_equal(grad(of, jitter), grad(of, jitter))
    assert not np.array_equal(grad(of, jitter), grad(of, Jitter(eps=1e-3, seed=4)))


@pytest.mark.parametrize(
    "inputs", [torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[1, 0, 2]])], ids=["float", "int"]
)
def test_labels_and_masks_stay(inputs: torch.Tensor) -> None:
    """Whole numbers say what is meant, and must not move."""
    of = linear(lambda layer: layer(inputs.float()).square().mean())
    assert np.array_equal(grad(of, None), grad(of, Jitter(eps=1e-3, seed=1)))


def test_zeros_stay_zero() -> None:
    """Noise is relative to each element."""
    moved = Noise(Jitter(eps=1e-2)).moved(torch.tensor([0.0, 0.5]))
    assert moved[0] == 0
    assert moved[1] != 0.5


def test_complex_inputs_move() -> None:
    """A complex input must stay complex and move."""
    still = torch.tensor([0.5 + 0.25j, 0j])
    moved = Noise(Jitter(eps=1e-2)).moved(still)
    assert moved.dtype == still.dtype
    assert moved[0] != still[0]
    assert moved[1] == 0


def test_a_sparse_input_stays() -> None:
    """What the noise cannot be laid on must pass unchanged."""
    sparse = torch.tensor([[0.0, 0.5]]).to_sparse()
    assert Noise(Jitter(eps=1e-2)).moved(sparse) is sparse


def test_what_the_closure_makes_itself_stays() -> None:
    """Draws and intermediate results are no inputs."""
    of = linear(lambda layer: layer(torch.rand(4, 3)).square().mean())
    assert np.array_equal(grad(of, None), grad(of, Jitter(eps=1e-3, seed=1)))


def test_an_input_moves_once() -> None:
    """A tensor that is used twice must be the same one both times."""
    inputs = torch.tensor([0.3, 0.7])
    with MovedInputs(Noise(Jitter(eps=1e-2)), ()):
        difference = inputs * 1.0 - inputs * 1.0
    assert difference.abs().max() == 0
