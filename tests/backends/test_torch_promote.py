from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.utils.checkpoint import checkpoint

from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._torch import modes, promote
from pytest_gradcheck.errors import PrecisionError, UsageError
from pytest_gradcheck.point import to_numpy
from tests.backends.scenarios_torch import content, picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView

Loss = Callable[[], Any]

RNG = np.random.default_rng(0)
IDS = torch.tensor([[1, 5, 2, 0, 7], [3, 3, 9, 4, 6], [8, 1, 0, 2, 5], [6, 7, 9, 8, 4]])
X = torch.tensor(RNG.standard_normal((4, 5, 8)), dtype=torch.float32)
LABELS = torch.tensor([0, 2, 1, 2])


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return reproducible values."""
    return torch.tensor(RNG.standard_normal(shape)).to(dtype)


def settled(model: nn.Module) -> nn.Module:
    """Give a module reproducible parameters."""
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.tensor(0.3 * rng.standard_normal(parameter.shape)))
    return model


class Everything(nn.Module):
    """A network of what people use: embedding, transformer, GRU, norms, dropout, noise."""

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.mix = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.gru = nn.GRU(8, 6, num_layers=2, dropout=0.2, batch_first=True)
        self.norm = nn.BatchNorm1d(6)
        self.out = nn.Linear(6, 3)
        self.scale = torch.tensor(0.1)

    def forward(self, ids: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return logits, with noise drawn in both usual ways."""
        hidden, _ = self.gru(self.mix(self.embed(ids) + x))
        hidden = self.norm(hidden[:, -1])
        noise = torch.randn(hidden.shape) + torch.randn_like(hidden)
        return torch.as_tensor(self.out(hidden + self.scale * noise))


def linear_cases() -> dict[str, Callable[[nn.Linear], Any]]:
    """Return losses of a linear layer from 8 to 8 features."""
    index = torch.tensor([0, 2])
    captured = X.clone().requires_grad_()
    written = torch.zeros(4, 5, 8)
    packed = nn.utils.rnn.pack_padded_sequence(X, torch.tensor([5, 4, 2, 1]), batch_first=True)
    generator = torch.Generator().manual_seed(4)
    D = torch.distributions  # noqa: N806 - its usual name

    def penalty(m: nn.Linear) -> torch.Tensor:
        x = X.clone().requires_grad_()
        (slope,) = torch.autograd.grad(torch.tanh(m(x)).sum(), x, create_graph=True)
        return slope.square().mean()

    def penalty_on_captured(m: nn.Linear) -> torch.Tensor:
        (slope,) = torch.autograd.grad(torch.tanh(m(captured)).sum(), captured, create_graph=True)
        return slope.square().mean()

    def gamma(m: nn.Linear) -> Any:
        shape = F.softplus(m(X))
        drawn = D.Gamma(shape, torch.tensor(1.0), validate_args=False).rsample()
        return (
            drawn.mean()
            + torch.poisson(shape.detach()).mean()
            + D.Dirichlet(shape, validate_args=False).rsample()[..., 0].mean()
        )

    def discrete(m: nn.Linear) -> Any:
        coin = D.Bernoulli(logits=m(X), validate_args=False)
        die = D.Categorical(logits=m(X), validate_args=False)
        return coin.log_prob(coin.sample()).mean() + die.log_prob(die.sample()).mean()

    def in_place(m: nn.Linear) -> Any:
        drawn = torch.empty_like(m(X)).uniform_(0.5, 1.5) + torch.empty(8).exponential_()
        return (m(written.copy_(X).mul_(2.0)) * drawn).square().mean()

    return {
        "casts": lambda m: (
            m(X.float().to(torch.float32)).float().type(torch.float32).square().mean()
        ),
        "a named cast": lambda m: m(X.to(dtype=torch.float32)).sum(dtype=torch.float32).square(),
        "whole numbers": lambda m: m(torch.arange(8).float() / 3 + IDS[0, 0] / 3).square().mean(),
        "numpy": lambda m: m(torch.from_numpy(X.numpy())).square().mean() * torch.tensor(0.5),
        "functional_call": lambda m: (
            torch.func.functional_call(m, dict(m.named_parameters()), (X,)).square().mean()
        ),
        "vmap": lambda m: torch.func.vmap(lambda r: m(r).tanh().sum())(X).square().mean(),
        "checkpoint": lambda m: (
            checkpoint(
                lambda h: F.dropout(torch.tanh(m(h + X))) @ torch.ones(8, 3), X, use_reentrant=False
            )
            .square()
            .mean()
        ),
        "gradient penalty": penalty,
        "gradient penalty on captured data": penalty_on_captured,
        "generator": lambda m: m(torch.randn(3, 8, generator=generator)).square().mean(),
        "gumbel": lambda m: F.gumbel_softmax(m(X)).square().sum(),
        "normal": lambda m: D.Normal(m(X), 1.0, validate_args=False).rsample().square().mean(),
        "normal with means": lambda m: m(torch.normal(X, 0.5)).square().mean(),
        "gamma": gamma,
        "discrete": discrete,
        "in place": in_place,
        "out": lambda m: m(torch.rand(X.shape, out=torch.empty(X.shape))).square().mean(),
        "maximum": lambda m: m(X).max(dim=-1).values.square().mean(),
        "packed": lambda m: m(packed.data).square().mean() + m(packed[0][index]).mean(),
        "lists": lambda m: torch.cat([m(X), X]).square().mean() + torch.stack((X, m(X))).mean(),
        "einsum": lambda m: torch.einsum("bti,oi->bto", X, m.weight).square().mean(),
    }


LINEAR = linear_cases()


def arrays(grads: Mapping[str, ArrayView | None]) -> dict[str, NDArray[np.float64]]:
    """Return the gradients of the parameters that are connected."""
    return {name: to_numpy(view) for name, view in grads.items() if view is not None}


def compare(source: Any, loss: Loss, *, rtol: float = 1e-4) -> None:
    """Require the float64 evaluation to be in float64 and to agree with the native one."""
    made = objective(source, loss, seed=3)
    native, wide = made.value_and_grad(), made.value_and_grad(precision="float64")
    assert {v.dtype for v in wide.grads.values() if v is not None} <= {"float64", "complex128"}
    grads, narrow, again = (arrays(e.grads) for e in (wide, native, made.value_and_grad()))
    assert grads.keys() == narrow.keys()
    norm = math.hypot(*(float(np.linalg.norm(g)) for g in grads.values()))
    apart = math.hypot(*(float(np.linalg.norm(narrow[n] - g)) for n, g in grads.items()))
    assert 0 < apart <= rtol * norm
    assert wide.value == pytest.approx(native.value, rel=rtol)
    assert made.value(precision="float64") == wide.value
    assert all(np.array_equal(again[n], narrow[n]) for n in grads)


@pytest.mark.parametrize("train", [True, False])
def test_a_whole_network_is_promoted(train: bool) -> None:  # noqa: FBT001 - two cases
    """A network of the usual layers must give its native gradient, more precisely."""
    model = settled(Everything()).train(train)
    compare(model, lambda: F.cross_entropy(model(IDS, X), LABELS))


def test_autocast_is_switched_off() -> None:
    """A loss under bfloat16 autocast must come back in full precision."""
    model = settled(Everything())
    plain = objective(model, lambda: F.cross_entropy(model(IDS, X), LABELS))

    def loss() -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.cross_entropy(model(IDS, X).float(), LABELS)

    compare(model, loss, rtol=0.1)
    wide = objective(model, loss).value(precision="float64")
    assert wide == pytest.approx(plain.value(precision="float64"), rel=1e-12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert plain.value(precision="float64") == pytest.approx(wide, rel=1e-12)


# The checkpointing of torch 2.4 calls what torch 2.4 deprecates.
@pytest.mark.filterwarnings("ignore:.torch.cpu.amp.autocast:FutureWarning")
@pytest.mark.parametrize("case", LINEAR)
def test_what_losses_do_is_promoted(case: str) -> None:
    """Casts, draws, transforms and captured tensors of every kind must be promoted."""
    model = nn.Linear(8, 8)
    settled(model)
    compare(model, lambda: LINEAR[case](model))


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(8, 4, bidirectional=True),
        nn.MultiheadAttention(8, 2, dropout=0.2),
        nn.Sequential(nn.LayerNorm(8), nn.Dropout(), nn.GELU(), nn.Linear(8, 2)),
        nn.Sequential(nn.Conv1d(5, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout1d(0.3)),
        nn.utils.parametrizations.weight_norm(nn.Linear(8, 3)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(8, 3)),
    ],
    ids=["lstm", "attention", "layer norm", "convolution", "weight norm", "spectral norm"],
)
def test_layers_are_promoted(layer: nn.Module) -> None:
    """The layers that keep buffers, flat weights or several inputs must be promoted."""
    many = isinstance(layer, nn.MultiheadAttention)

    def loss() -> Any:
        out = layer(X, X, X) if many else layer(X)
        return (out[0] if isinstance(out, tuple) else out).square().mean()

    compare(layer, loss)


def test_hooks_where_gradients_accumulate_stay() -> None:
    """Who hooks the node that adds up a leaf's gradient must find it there after float64."""
    model: Any = settled(nn.Linear(8, 3))
    seen: list[str] = []
    node = model.weight.expand_as(model.weight).grad_fn.next_functions[0][0]
    node.register_hook(lambda *_: seen.append("node"))
    model.weight.register_hook(lambda grad: 2.0 * grad)
    model.bias.requires_grad_(requires_grad=False)

    def loss() -> Any:
        return model(X).square().mean()

    compare(model, loss)  # hooks on the tensor change the gradient in float64 too
    moved = {"weight": np.full((3, 8), 0.5)}
    assert objective(model, loss).value(moved, precision="float64") > 0
    seen.clear()
    loss().backward()
    assert seen == ["node"]
    assert model.weight.dtype == torch.float32
    assert model.weight.expand_as(model.weight).grad_fn.next_functions[0][0] is node


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_promoted(dtype: torch.dtype) -> None:
    """A half-precision model must draw in half precision and compute in double."""
    model = settled(nn.Linear(8, 8)).to(dtype)

    def loss() -> Any:
        noise = torch.randn(4, 8, dtype=dtype)
        return model(X.to(dtype)).float().square().mean() + model(noise).float().square().mean()

    compare(model, loss, rtol=2e-2)


def test_complex_is_promoted() -> None:
    """A complex parameter must come back as complex128, its draws being those of complex64."""
    z = normal(3, 2, dtype=torch.complex64).requires_grad_()

    def loss() -> Any:
        noise = torch.randn(2, 4, dtype=torch.complex64) + torch.randn_like(z)[:2, :1].to(
            torch.complex64
        )
        return (z @ noise).abs().sum()

    compare({"z": z}, loss)


def test_mixed_types_are_promoted() -> None:
    """A mapping of several types must come back in double throughout."""
    tensors = {
        "half": normal(3, dtype=torch.bfloat16).requires_grad_(),
        "single": normal(3).requires_grad_(),
        "double": normal(3, dtype=torch.float64).requires_grad_(),
    }
    compare(
        tensors,
        lambda: torch.stack([t.double().exp().sum() for t in tensors.values()]).prod(),
        rtol=1e-2,
    )


def test_a_sparse_gradient_is_promoted() -> None:
    """A sparse gradient must stay sparse and be in double."""
    model = settled(nn.Embedding(10, 3, sparse=True))
    compare(model, lambda: model(IDS).exp().sum())


def test_components_are_promoted() -> None:
    """Components must be promoted like the loss."""
    model = settled(nn.Linear(8, 8))
    made = objective(model, lambda: {"a": model(X).square().mean(), "b": model(X).sin().mean()})
    wide = made.value_and_grad(precision="float64")
    assert sum(part.value for part in wide.components.values()) == pytest.approx(wide.value, 1e-15)
    assert {v.dtype for p in wide.components.values() for v in p.grads.values() if v} == {"float64"}


@pytest.mark.skipif(not hasattr(torch.compiler, "set_stance"), reason="this torch cannot choose")
def test_a_compiled_model_is_promoted() -> None:
    """A compiled model must run as it was written, because compiled code cannot be watched."""
    model = torch.compile(settled(nn.Sequential(nn.Linear(8, 4), nn.Tanh())), backend="eager")
    compare(model, lambda: model(X).square().mean())


def test_an_old_torch_says_that_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled model in a torch that always runs it compiled must say which torch would do."""
    model = torch.compile(nn.Linear(8, 4), backend="eager")
    plain = nn.Linear(8, 4)
    monkeypatch.delattr(torch.compiler, "set_stance", raising=False)
    with pytest.raises(PrecisionError, match=r"'Linear' is compiled; torch .* \(2\.6 can\)"):
        objective(model, lambda: model(X).sum()).value(precision="float64")
    assert math.isfinite(objective(plain, lambda: plain(X).sum()).value(precision="float64"))


def test_dynamo_is_not_imported_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiled function the compiler must not be asked for anything."""
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    monkeypatch.delattr(torch.compiler, "set_stance", raising=False)
    model = nn.Linear(8, 4)
    assert math.isfinite(objective(model, lambda: model(X).sum()).value(precision="float64"))


def test_a_point_is_not_rounded() -> None:
    """A point between two float32 numbers must be evaluated where it is."""
    w = torch.ones(1, requires_grad=True)
    made = objective({"w": w}, lambda: w.square().sum())
    between = {"w": np.array([1 + 1e-9])}
    assert made.value(between, precision="float64") == (1 + 1e-9) ** 2
    assert made.value(between) == 1.0


def test_a_double_model_runs_natively() -> None:
    """A model in double must be evaluated as it is, bit for bit."""
    w = normal(3, dtype=torch.float64).requires_grad_()
    made = objective({"w": w}, lambda: w.exp().sum())
    assert made.value(precision="float64") == made.value()


def test_the_users_objects_come_back() -> None:
    """Parameters, buffers and captured tensors must be the same memory with the same bits."""
    model = settled(Everything())
    captured = X.clone()

    def loss() -> Any:
        captured.mul_(1.5)
        return F.cross_entropy(model(IDS, captured), LABELS)

    before = picture(model), content(captured), captured.data_ptr()
    objective(model, loss).value_and_grad(precision="float64")
    assert (picture(model), content(captured), captured.data_ptr()) == before


def test_the_modes_change_nothing_else() -> None:
    """Whole numbers, truth values and doubles must pass through unchanged."""
    with modes.Promotion(), modes.NativeDraws(torch.float32):
        assert torch.arange(3).dtype is torch.int64
        assert (X > 0).dtype is torch.bool
        assert torch.tensor([1, 2]).to(torch.int32).dtype is torch.int32
        assert torch.randint(5, (2,)).dtype is torch.int64
        assert X.dtype is torch.float64
        assert X.shape == (4, 5, 8)
    assert X.dtype is torch.float32


def refused(source: Any, loss: Loss) -> str:
    """Return the message with which float64 is refused."""
    made = objective(source, loss)
    assert math.isfinite(made.value())
    with pytest.raises(PrecisionError) as caught:
        made.value_and_grad(precision="float64")
    return str(caught.value)


class Single(torch.autograd.Function):
    """A kernel that knows float32 alone."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """Refuse anything else."""
        if x.dtype is not torch.float32:
            msg = f"expected scalar type Float\nbut found {x.dtype}"
            raise RuntimeError(msg)
        return x * 1

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        """Pass the gradient on."""
        return grad


def test_a_kernel_of_one_type_is_refused() -> None:
    """A kernel that only knows float32 must be reported with its own words, on one line."""
    w = torch.ones(2, requires_grad=True)
    message = refused({"w": w}, lambda: Single.apply(w).sum())
    assert message == "'tensors' does not run in float64: RuntimeError: expected scalar type Float"


def test_a_test_of_the_type_is_refused() -> None:
    """A closure that insists on its types must be reported, not fail as if it were wrong."""
    model = nn.Linear(8, 2)

    def loss() -> Any:
        out: torch.Tensor = model(X)
        assert out.dtype is torch.float32
        return out.sum()

    assert "does not run in float64: AssertionError: " in refused(model, loss)


def test_an_error_that_has_other_causes_is_the_users() -> None:
    """A closure that raises in any precision must raise its own error."""
    w = torch.ones(2, requires_grad=True)

    def loss() -> Any:
        msg = "out of cheese"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="out of cheese") as caught:
        objective({"w": w}, loss).value(precision="float64")
    assert caught.value.__context__ is None
    with pytest.raises(UsageError, match="is an empty mapping"):
        objective({"w": w}, dict).value(precision="float64")


def test_results_that_stay_narrow_are_refused() -> None:
    """A result in float32 must never pass for one in float64."""
    with pytest.raises(PrecisionError, match=r"^the loss comes back in torch\.float32 when"):
        promote.check_wide("the loss", torch.ones(()))
    promote.check_wide("the loss", torch.ones((), dtype=torch.complex128))


def test_an_accelerator_is_refused() -> None:
    """Tensors elsewhere than on the CPU must be refused, saying where they are."""
    model = nn.Linear(2, 2)
    model.register_buffer("away", torch.ones(2, device="meta"))
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(PrecisionError, match="'tensors' has tensors on meta; float64 is evaluated"):
        objective({"w": w}, lambda: w.sum() * len(list(model.buffers()))).value(precision="float64")


def test_torch_still_asks_the_question_that_is_answered() -> None:
    """`torch.autograd.grad` must ask for modes under the name that the copy replaces."""
    assert "has_torch_function" in torch.autograd.grad.__code__.co_names


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.randn_like(X, dtype=torch.float64),
        lambda: X.new_empty(4, 8, dtype=torch.float64).normal_(),
        lambda: X.double().normal_(),
        lambda: torch.empty(4, 8, dtype=torch.float64).uniform_(),
    ],
    ids=["like", "new", "double", "in place"],
)
def test_what_is_drawn_in_float64_natively_stays_so(draw: Callable[[], torch.Tensor]) -> None:
    """A draw that the user asks for in 64 bits must be the same one in both precisions."""
    drawn = []

    def loss(model: nn.Linear) -> Any:
        drawn.append(draw())
        found: torch.Tensor = model(X)
        return found.square().mean()

    model = nn.Linear(8, 8)
    made = objective(model, lambda: loss(model))
    made.value_and_grad()
    made.value_and_grad(precision="float64")
    assert torch.equal(drawn[0], drawn[1])
