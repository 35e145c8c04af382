from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._torch.loss import check_callable
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.point import to_numpy


class Model(nn.Module):
    """A model with one parameter."""

    def __init__(self) -> None:
        """Start from 1 and 2."""
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 2.0]))


def refused(result: object, *, call: str = "value_and_grad") -> str:
    """Return the message with which a loss is refused that returns ``result(w)``."""
    model = Model()
    model.w.grad = before = torch.ones(2)
    made = objective(model, lambda: result(model.w) if callable(result) else result)
    with pytest.raises(UsageError) as caught:
        getattr(made, call)()
    assert model.w.grad is before
    assert not hasattr(caught.value, "__notes__")
    return str(caught.value)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({}, "the loss of 'Model' is an empty mapping"),
        (None, "the loss of 'Model' is None; did you forget to return it?"),
        (3.0, "the loss of 'Model' is a float, not a tensor; did you call .item()?"),
        (lambda w: (w.sum(), w), "is a tuple of 2; return one tensor, or a mapping"),
        (lambda w: w, "the loss of 'Model' has shape (2,); reduce it to one number: .mean()"),
        (lambda w: w[:0], "the loss of 'Model' has shape (0,); reduce it"),
        (lambda w: w.sum() * 1j, "is complex (torch.complex64); gradients need a real one"),
        (lambda w: w.sum().long(), "has dtype torch.int64, which carries no gradient"),
        (lambda w: {"a": w.sum(), "b": 2.0}, "component 'b' of the loss of 'Model' is a float"),
        (lambda w: {"a": w.sum(), "b": 2}, "component 'b' of the loss of 'Model' is an int, not a"),
        (lambda w: {"a": w}, "component 'a' of the loss of 'Model' has shape (2,)"),
        (lambda w: {1: w.sum(), "1": w.sum()}, "components 1 and '1', and both are called '1'"),
        (lambda w: {" ": w.sum()}, "a component with the empty name ' '"),
        (lambda w: w.detach().sum(), "the loss of 'Model' has no graph"),
        (lambda w: {"a": w.detach().sum()}, "the loss of 'Model' has no graph"),
    ],
)
@pytest.mark.parametrize("call", ["value", "value_and_grad"])
def test_a_loss_that_is_no_loss_is_refused(result: object, message: str, call: str) -> None:
    """Whatever is no real scalar with a graph must be refused, saying what it is."""
    assert message in refused(result, call=call)


def test_a_detached_loss_names_the_usual_causes() -> None:
    """A loss without a graph must name what usually cuts it, and not blame the caller."""
    message = refused(lambda w: w.sum().detach())
    assert "torch.no_grad() or inference_mode() around it, .detach(), .item()" in message
    assert "is_grad_enabled" not in message


def test_autograd_switched_off_around_the_test_is_said() -> None:
    """A loss that has no graph because autograd is off must say where it is off."""
    with torch.no_grad():
        message = refused(lambda w: w.sum())
    assert message.endswith("torch.is_grad_enabled() is False")


def test_a_loss_of_one_element_is_a_scalar() -> None:
    """A loss of shape (1, 1) must count as a scalar, as it does in torch."""
    model = Model()
    made = objective(model, lambda: model.w.sum().reshape(1, 1))
    assert made.value_and_grad().value == 3.0
    grad = made.value_and_grad().grads["w"]
    assert grad is not None
    assert to_numpy(grad).tolist() == [1.0, 1.0]


def test_nan_is_no_mistake() -> None:
    """A loss of NaN must be evaluated: it is for the checks to judge."""
    model = Model()
    evaluation = objective(model, lambda: torch.sum(model.w * math.nan)).value_and_grad()
    assert math.isnan(evaluation.value)


def test_a_parameter_may_be_the_loss() -> None:
    """A scalar parameter that is itself the loss must have a gradient of one."""
    w = torch.tensor(2.0, requires_grad=True)
    grad = objective({"w": w}, lambda: w).value_and_grad().grads["w"]
    assert grad is not None
    assert to_numpy(grad) == 1.0


def test_a_loss_of_other_parameters_is_disconnected() -> None:
    """A loss that reaches none of the parameters must give None, which is no error here."""
    model, other = Model(), Model()
    assert objective(model, lambda: torch.sum(other.w)).value_and_grad().grads == {"w": None}


def test_a_loss_that_calls_backward_is_refused() -> None:
    """A closure that differentiates by itself must be told to return the loss."""

    def stepping(w: torch.Tensor) -> torch.Tensor:
        loss = w.square().sum()
        loss.backward()
        return loss

    message = refused(stepping)
    assert message.startswith("the loss of 'Model' calls backward() itself and fills the .grad of")
    assert "parameter 'w'; return the loss" in message


def test_backward_into_another_module_is_refused() -> None:
    """A closure that fills the gradients of a module that it holds must be told as well."""
    model, other = Model(), Model()

    def loss() -> torch.Tensor:
        other.w.sum().backward()
        return model.w.sum()

    with pytest.raises(UsageError, match=r"the \.grad of a parameter of a module that it holds"):
        objective(model, loss).value()
    assert other.w.grad is None


def test_a_used_up_graph_is_refused() -> None:
    """A closure that used up its graph must be told what does that."""

    def used(w: torch.Tensor) -> torch.Tensor:
        loss = w.exp().sum()
        torch.autograd.grad(loss, w)
        return loss

    message = refused(used)
    assert "the loss of 'Model' cannot be differentiated: its graph is gone" in message
    assert "uses a tensor computed outside of the closure" in message


def test_a_loss_computed_outside_is_refused() -> None:
    """A closure that returns the same tensor again must be told to compute it inside."""
    model = Model()
    loss = model.w.exp().sum()
    made = objective(model, lambda: loss)
    made.value_and_grad()
    with pytest.raises(UsageError, match="compute everything inside"):
        made.value_and_grad()


def test_a_reentrant_checkpoint_is_refused() -> None:
    """Checkpointing that only works with backward() must be told which kind works."""
    message = refused(lambda w: checkpoint(torch.sum, w * 2, use_reentrant=True))
    assert message.endswith("alone; pass use_reentrant=False")


def test_a_step_inside_the_closure_is_refused() -> None:
    """A closure that changes a parameter in place must be refused: it cannot be undone."""

    def clipping(w: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            w.clamp_(max=1.5)
        return w.sum()

    message = refused(clipping)
    assert message.startswith("the loss of 'Model' changes parameter 'w' in place")


def test_an_error_of_the_loss_is_its_own() -> None:
    """What the closure raises must reach the user as it is, with our context noted once."""
    model = Model()

    def loss() -> torch.Tensor:
        msg = "out of cheese"
        raise LookupError(msg)

    made = objective(model, loss, seed=7)
    for point, where in ((None, "at its own point"), ({"w": [0.0, 0.0]}, "at the point given")):
        with pytest.raises(LookupError, match=r"^out of cheese\n") as caught:
            made.value(point)
        note = f"while evaluating the loss of 'Model' (torch, {where}, seed 7)"
        assert caught.value.__notes__ == [note]


def test_an_error_of_the_backward_pass_is_its_own() -> None:
    """What arises in the backward pass must reach the user as well, with the same context."""
    model = Model()

    def loss() -> torch.Tensor:
        out = model.w.exp()
        out.add_(1.0)
        return out.sum()

    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        objective(model, loss).value_and_grad()
    assert caught.value.__notes__[0].startswith("while evaluating the loss of 'Model'")


def test_skipping_inside_the_closure_stays_a_skip() -> None:
    """An outcome that pytest raises must pass through, everything put back."""
    model = Model()

    def loss() -> torch.Tensor:
        model.eval()
        pytest.skip("not today")

    with pytest.raises(pytest.skip.Exception):
        objective(model, loss).value()
    assert model.training


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (None, "'m' (torch): there is no loss; pass a function that computes it"),
        (torch.ones(()), "'m' (torch): the loss is a Tensor; pass a function"),
        (lambda batch: batch, "is called without arguments (missing a required argument: 'batch')"),
    ],
)
def test_a_loss_that_cannot_be_called_is_refused(loss: object, message: str) -> None:
    """What is no function of no arguments must be refused before anything runs."""
    with pytest.raises(UsageTypeError) as caught:
        check_callable(loss, "m")
    assert message in str(caught.value)


@pytest.mark.parametrize("loss", [partial(torch.ones, ()), dict])
def test_any_function_without_arguments_will_do(loss: Any) -> None:
    """Partials and functions that do not tell their signature must be accepted."""
    assert check_callable(loss, "m") is loss
