"""Gradients that are reduced as they are accumulated: the same statistics, in less memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.utils.checkpoint import checkpoint

from pytest_gradcheck import check_gradients, measure_gradients, record_gradients
from pytest_gradcheck.backends import objective
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Perturbation, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
IDS = torch.arange(8) % 5


class Tied(nn.Module):
    """A model with a tied weight, a sparse gradient, an unused parameter and a large matrix."""

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.table = nn.Embedding(5, 6, sparse=True)
        self.inner = nn.Linear(6, 6)
        self.wide = nn.Linear(6, 3000)
        self.out = nn.Linear(3000, 2, bias=False)
        self.unused = nn.Parameter(torch.ones(3))
        self.complex = nn.Parameter(torch.tensor([1.0 + 2.0j, -0.5j]))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Use the inner layer twice."""
        hidden = torch.tanh(self.inner(F.dropout(self.inner(inputs), 0.2)) + self.table(IDS))
        out: torch.Tensor = self.out(torch.relu(self.wide(hidden)))
        return out * self.complex.abs()


def model(kind: Callable[[], nn.Module] = Tied) -> Any:
    """Return a model with fixed values."""
    torch.manual_seed(3)
    return kind()


def mean_square(made: nn.Module) -> Any:
    """Return a loss."""
    return made(X).square().mean()


def both(plan: Plan, kind: Callable[[], nn.Module] = Tied, **options: Any) -> tuple[Any, Any]:
    """Return the ordinary measurement and the streaming one."""
    found = []
    for streaming in (False, True):
        made = model(kind)
        loss = partial(mean_square, made)
        found.append(measure(objective(made, loss, streaming=streaming, **options), plan))
    return found[0], found[1]


@pytest.mark.parametrize("top", [1, 5, 20, 100])
def test_the_statistics_are_the_same_bits(top: int) -> None:
    """Whatever is known of a gradient must not depend on how it was reduced."""
    plan = Plan(shadow=True, perturbation=Perturbation(samples=2, scale=1e-3, seed=0), top=top)
    ordinary, streamed = both(plan)
    assert streamed.native == ordinary.native
    assert streamed.shadow == ordinary.shadow
    assert (streamed.samples, streamed.point) == (ordinary.samples, ordinary.point)
    assert (streamed.facts, streamed.policy) == (ordinary.facts, ordinary.policy)
    assert [p.name for p in streamed.native.parameters if p.disconnected] == ["unused"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_the_same_bits(dtype: torch.dtype) -> None:
    """A model in another type must give the same statistics too."""
    inputs = X.to(dtype)
    layer = model(lambda: nn.Linear(6, 3, dtype=dtype))
    found = [
        measure(objective(layer, lambda: layer(inputs).float().square().sum(), streaming=way))
        for way in (False, True)
    ]
    assert found[0].native == found[1].native


def test_baselines_hold_either_way() -> None:
    """What one way recorded must hold for the other, and what drifted must drift for both."""
    made = model()

    def loss() -> Any:
        return made(X).square().mean()

    ordinary = record_gradients(made, loss, perturb=False, allow_missing="unused")
    streamed = record_gradients(made, loss, perturb=False, allow_missing="unused", streaming=True)
    assert streamed.allowances == ordinary.allowances
    assert streamed.shadow_allowances == ordinary.shadow_allowances
    for baseline, way in ((ordinary, True), (streamed, False)):
        limits: dict[str, Any] = {"perturb": False, "allow_missing": "unused", "streaming": way}
        assert check_gradients(made, loss, baseline=baseline, **limits).passed
        verdict = check_gradients(made, lambda: 2 * loss(), baseline=baseline, **limits)
        assert [r.check for r in verdict.failures] == ["drift"]


def test_no_gradient_outlives_its_reduction() -> None:
    """Each gradient must be forgotten before the next one is complete, and none stays behind."""
    made = nn.Sequential(*(nn.Linear(6, 6) for _ in range(4)))
    seen: list[int] = []

    def taken(name: str, _view: object) -> None:
        seen.append(sum(p.grad is not None for p in made.parameters()))
        assert name not in order
        order.append(name)

    order: list[str] = []
    source = objective(made, lambda: made(X).square().mean())
    assert source.passing is not None
    evaluation = source.passing(taken)
    assert evaluation.grads == {}
    assert seen == [0] * 8
    assert sorted(order[:2]) == ["3.bias", "3.weight"]  # in backward order
    assert all(p.grad is None for p in made.parameters())
    assert all(not p._post_accumulate_grad_hooks for p in made.parameters())


def test_gradients_of_the_user_stay() -> None:
    """What was in .grad before must be there afterwards."""
    made = model()
    made(X).sum().backward()
    with_grad = [p for p in made.parameters() if p.grad is not None]
    before = [p.grad.to_dense().clone() for p in with_grad]
    measure_gradients(made, lambda: made(X).square().mean(), streaming=True)
    assert made.unused.grad is None
    assert all(torch.equal(a, p.grad.to_dense()) for a, p in zip(before, with_grad, strict=True))


def test_a_seed_reaches_the_draws() -> None:
    """Another seed must give another dropout mask, as it does ordinarily."""
    made = model()
    source = objective(made, lambda: made(X).square().mean(), streaming=True)
    values = [source.value_and_grad(seed=seed).value for seed in (0, 1, 0)]
    assert values[0] == values[2] != values[1]


def stepping(made: nn.Module) -> dict[str, Any]:
    """Have an optimizer step in the backward pass."""
    for p in made.parameters():
        p.register_post_accumulate_grad_hook(lambda p: p.data.add_(1.0))
    return {}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: {"loss": lambda: {"a": m(X).sum(), "b": m(X).sum()}}, "has components (a, b)"),
        (lambda m: {"loss": lambda: {"a": m(X).sum()}}, "has components (a), and"),
        (lambda m: {"numeric": True}, "numeric= and replicates= need it whole"),
        (lambda m: {"replicates": 8}, "numeric= and replicates= need it whole"),
        (stepping, "(an optimizer step in the backward pass?)"),
        (
            lambda m: {"loss": lambda: checkpoint(m, m.inner(X), use_reentrant=True).sum()},
            "use_reentrant=False",
        ),
    ],
    ids=["components", "one component", "numeric", "replicates", "hooks", "reentrant"],
)
def test_what_needs_whole_gradients_is_refused(
    call: Callable[[nn.Module], dict[str, Any]], said: str
) -> None:
    """Where streaming cannot be had, the error must say why and what to leave out."""
    made = model()
    options = {"loss": lambda: made(X).square().mean(), **call(made)}
    with pytest.raises(UsageError) as caught:
        check_gradients(made, streaming=True, allow_missing="unused", **options)
    assert said in str(caught.value)


def test_other_backends_have_nothing_to_stream() -> None:
    """Arrays come with all their gradients at once, and must say so."""
    import numpy as np

    with pytest.raises(UsageError, match=r"streaming=True has no use with .* it has all at once"):
        check_gradients(
            {"w": np.ones(2)}, value_and_grad=lambda p: (0.0, {"w": p["w"]}), streaming=True
        )


def test_more_elements_than_are_kept_are_refused() -> None:
    """A longer list of largest elements than the reduction kept must not be cut silently."""
    made = model()
    with pytest.raises(UsageError, match="--grad-top=101: with streaming=True at most 100"):
        measure(objective(made, lambda: made(X).sum(), streaming=True), Plan(top=101))


def test_pages_leave_histograms_out() -> None:
    """A report that shows histograms must do without those of a gradient that is gone."""
    ordinary, streamed = both(Plan(histogram=True))
    assert ordinary.histograms
    assert streamed.histograms == {}
