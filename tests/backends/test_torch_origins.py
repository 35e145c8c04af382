"""Where a number that is not finite arose in a torch loss."""

from __future__ import annotations

import torch

from pytest_gradcheck import check_gradients
from pytest_gradcheck.explain import explain


class Length(torch.nn.Module):
    """Take the length of a vector that starts at zero."""

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(3))
        self.scale = torch.nn.Parameter(torch.ones(2))

    def forward(self) -> torch.Tensor:
        """Return the length."""
        return (self.w**2).sum().sqrt() + torch.log(self.scale).sum()


def test_the_backward_pass_names_the_operation_and_its_component() -> None:
    """A finite loss with a NaN gradient must name the derivative, its input and the component."""
    model = Length()
    verdict = check_gradients(
        model, lambda: {"length": model(), "rest": model.scale.sum()}, perturb=False
    )
    (origin,) = verdict.measurement.origins
    assert origin.term == "length"
    assert origin.operation == "the derivative of sqrt is inf"
    assert origin.expression == "sqrt(0)"
    assert origin.parameters == ("w",)
    said = " ".join(" ".join(explain(verdict)).split())
    assert (
        "finite [arose in length] the derivative of sqrt is inf in sqrt(0) spoils the gradient of w"
    ) in said


def test_the_forward_pass_names_operation_numbers_module_and_line() -> None:
    """A loss of NaN must name what made it, the numbers, the module and the line."""
    model = Length()
    with torch.no_grad():
        model.scale[1] = -2.0
        model.w[0] = 1.0
    (origin,) = check_gradients(model, model, perturb=False).measurement.origins
    assert origin.operation == "log(-2) = nan"
    assert origin.term == "Length"
    assert origin.source.startswith("test_torch_origins.py:")
    assert origin.note == "at element [1] of shape [2]"


def test_a_mask_of_minus_infinity_is_innocent() -> None:
    """An infinity that a softmax turns into zero must not be blamed for a later one."""
    model = Length()

    def loss() -> torch.Tensor:
        scores = model.w.masked_fill(torch.tensor([False, True, False]), float("-inf"))
        weights = torch.softmax(scores, 0)
        return (weights / (model.scale.sum() - 2.0)).sum()

    (origin,) = check_gradients(model, loss, perturb=False).measurement.origins
    assert origin.operation.startswith("div(0.5, 0) = inf")


def test_a_parameter_that_is_nan_itself_is_named() -> None:
    """Where the point is the cause no operation must be blamed."""
    model = Length()
    with torch.no_grad():
        model.scale[0] = float("nan")
    (origin,) = check_gradients(model, model, perturb=False).measurement.origins
    assert origin.operation == "the point itself is not finite: scale"


def test_a_perturbed_point_says_where_it_arose() -> None:
    """The row of a perturbed point must come with its operation."""
    x = torch.full((3,), 0.5, requires_grad=True)
    verdict = check_gradients({"x": x}, lambda: x.log().sum(), perturb=2.0, samples=8)
    told = [o for s in verdict.measurement.samples for o in s.origins]
    assert [o.operation[:5] for o in told] == ["log(-"]
    result = verdict.result("perturb")
    assert result is not None
    assert any("arose" in f.subject and "log(-" in f.text for f in result.findings)


def test_everything_is_as_before() -> None:
    """Watching must leave parameters, gradients and random state alone."""
    model = Length()
    before = [p.detach().clone() for p in model.parameters()]
    state = torch.get_rng_state()
    check_gradients(model, model, perturb=False)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


def test_a_healthy_loss_has_no_origins() -> None:
    """Nothing must be looked for where all is finite."""
    x = torch.ones(3, requires_grad=True)
    assert check_gradients({"x": x}, lambda: (x**2).sum() + 1).measurement.origins == ()
