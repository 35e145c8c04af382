"""Inputs that are passed beside the loss, instead of being held by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from pytest_gradcheck.backends import objective
from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.records import ArrayView, Jitter

if TYPE_CHECKING:
    from pytest_gradcheck.records import Objective

X, Y = torch.randn(5, 3), torch.randn(5, 2)


def layer() -> nn.Linear:
    """Return a small model, the same one each time."""
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def given(data: object) -> Objective:
    """Return the objective of a loss that gets its inputs as arguments."""
    model = layer()

    def loss(x: torch.Tensor, y: torch.Tensor = Y) -> torch.Tensor:
        error: torch.Tensor = model(x) - y
        return error.square().mean()

    return objective(model, cast("Any", loss), data=data)


def grad(of: Objective, **options: Any) -> np.ndarray:
    """Return the gradient of the weight."""
    return to_numpy(cast("ArrayView", of.value_and_grad(**options).grads["weight"]))


@pytest.mark.parametrize(
    "data", [X, (X,), [X, Y], {"x": X}, {"y": Y, "x": X}], ids=["one", "tuple", "list", "x", "x, y"]
)
def test_data_are_the_arguments_of_the_loss(data: object) -> None:
    """A loss of arguments must have the gradient of the closure that holds them."""
    model = layer()
    held = objective(model, lambda: (model(X) - Y).square().mean())
    for precision in ("native", "float64"):
        assert np.array_equal(
            grad(given(data), precision=precision), grad(held, precision=precision)
        )


def test_data_move_with_rounding() -> None:
    """Inputs that are passed must be moved by the noise that is asked for, as held ones are."""
    of = given((X, Y))
    assert not np.array_equal(grad(of, jitter=Jitter(eps=1e-3, seed=1)), grad(of))


def test_data_are_among_the_facts() -> None:
    """A report must say what the loss was given."""
    assert given({"x": X}).facts["data"] == "x float32 (5, 3)"
    assert given((X, Y)).facts["data"] == "[0] float32 (5, 3); [1] float32 (5, 2)"


@pytest.mark.parametrize("data", [(), (X, Y, X), {"z": X}], ids=["none", "too many", "unknown"])
def test_data_that_the_loss_does_not_take_are_refused(data: object) -> None:
    """What the loss cannot be called with must be said at once, with what can be passed."""
    with pytest.raises(UsageTypeError, match="cannot be called with data="):
        given(data)


def test_a_loss_with_arguments_and_no_data_is_told_of_them() -> None:
    """Who forgets the data must read of both ways to pass them."""
    with pytest.raises(UsageTypeError, match=r"lambda: loss\(batch\), or pass data=batch"):
        given(None)
