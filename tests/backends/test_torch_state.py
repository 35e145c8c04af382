from __future__ import annotations

import copy
import random
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._torch import streams
from pytest_gradcheck.backends._torch.captured import data_of, held_by
from pytest_gradcheck.backends._torch.streams import Stream, stream_of
from pytest_gradcheck.point import to_numpy
from tests.backends.scenarios_torch import content, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_gradcheck.records import Objective

TORCH = torch.Generator()
NUMPY = np.random.default_rng(3)


class Leaky(nn.Module):
    """A model whose forward pass disturbs everything a module has."""

    written: torch.Tensor
    hidden: torch.Tensor
    spread: torch.Tensor
    graph: torch.Tensor
    queue: torch.Tensor

    def __init__(self) -> None:
        """Register one of each kind."""
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.drop = nn.Dropout()
        self.calls = 0
        self.register_buffer("written", torch.tensor([-0.0, float("nan")]))
        self.register_buffer("hidden", torch.zeros(2))
        self.register_buffer("replaced", torch.zeros(2))
        self.register_buffer("absent", None)
        self.register_buffer("spread", torch.tensor([1.0]).expand(3))
        self.register_buffer("queue", torch.zeros(2))
        self.register_buffer("graph", torch.eye(2).to_sparse())
        self.register_buffer("untouched_graph", torch.eye(2).to_sparse())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Disturb everything."""
        self.calls += 1
        self.last = x
        del self.replaced
        self.register_buffer("replaced", torch.ones(2))
        self.register_buffer("absent", torch.ones(2))
        self.register_buffer("new", torch.ones(2))
        self.written.add_(1.0)
        self.hidden.data.add_(1.0)
        self.spread.data[0] = 5.0
        self.graph.mul_(3.0)
        self.queue.data = torch.cat([self.queue, torch.ones(1)])
        self.norm.weight.data = 2 * self.norm.weight.data
        self.drop.eval()
        return torch.as_tensor(self.norm(x))


@pytest.mark.parametrize("precision", ["native", "float64"])
def test_whatever_a_forward_pass_disturbs_comes_back(precision: str) -> None:
    """Buffers, attributes and modes must be the same objects with the same bits."""
    model = Leaky()
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    graph, before = (
        model.graph.to_dense(),
        picture(*model.children(), model.written, model.hidden, model.queue),
    )
    own, order = dict(vars(model)), list(model._buffers.items())
    made = objective(model, lambda: model(x).square().sum())
    first = made.value_and_grad(precision=precision)
    assert picture(*model.children(), model.written, model.hidden, model.queue) == before
    assert vars(model) == own
    assert all(new is old for (_, new), (_, old) in zip(model._buffers.items(), order, strict=True))
    assert list(model._buffers) == [name for name, _ in order]
    assert torch.equal(model.graph.to_dense(), graph)
    assert model.spread.tolist() == [1.0, 1.0, 1.0]
    assert made.value_and_grad(precision=precision).value == first.value


def test_values_come_back_past_autograd() -> None:
    """A graph that the user built before must still be good for its own backward pass."""
    model = nn.BatchNorm1d(2).eval()
    x = torch.ones(3, 2)
    mine = model(x).square().sum()
    made = objective(model, lambda: model(x).sum())
    made.value_and_grad({name: to_numpy(view) + 1 for name, view in made.point.items()})
    mine.backward()
    assert model.weight.grad is not None


def test_the_memory_of_a_parameter_is_used_in_place() -> None:
    """A parameter at another point must be seen by whoever shares its memory."""
    flat = torch.arange(4.0)
    w = flat[1:3].requires_grad_()
    seen: list[list[float]] = []

    def loss() -> torch.Tensor:
        seen.append(flat.tolist())
        return w.sum()

    objective({"w": w}, loss).value({"w": np.array([7.0, 8.0])})
    assert seen == [[0.0, 7.0, 8.0, 3.0]]
    assert flat.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_an_embedding_that_rescales_itself_comes_back() -> None:
    """The weight of an embedding with `max_norm` must be as before, though it writes to it."""
    model = nn.Embedding(3, 2, max_norm=0.1)
    before = content(model.weight)
    made = objective(model, lambda: model(torch.tensor([0, 2])).sum())
    for precision in ("native", "float64"):
        first, second = (made.value_and_grad(precision=precision) for _ in range(2))
        assert first.value == second.value
        assert content(model.weight) == before


def test_modules_that_only_the_closure_knows_come_back() -> None:
    """A second network inside the loss must keep its buffers, its mode and its gradients."""
    model, critic = nn.Linear(2, 2), nn.BatchNorm1d(2)
    for parameter in critic.parameters():
        parameter.grad = torch.ones(2)
    before = picture(critic)

    def loss() -> torch.Tensor:
        out = critic(model(torch.eye(2)))
        critic.eval()
        return torch.as_tensor(out.square().sum())

    made = objective(model, loss)
    assert made.value_and_grad().value == made.value_and_grad().value
    assert picture(critic) == before


@pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning")
def test_a_scripted_module_comes_back() -> None:
    """A scripted module, whose state lies elsewhere, must come back as well."""
    model = torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    x = torch.eye(2)
    before = [content(b) for b in model.buffers()], model.training

    def loss() -> object:
        out = model(x)
        model.eval()
        return out[0].sum()

    objective(model, loss).value_and_grad()
    assert ([content(b) for b in model.buffers()], model.training) == before


def test_buffers_of_inference_mode_are_left_alone() -> None:
    """A buffer that nobody can write to outside of inference mode must be no obstacle."""
    model = nn.Linear(2, 2)
    with torch.inference_mode():
        scale = torch.ones(2)
    model.register_buffer("scale", scale)
    model.register_parameter("frozen", nn.Parameter(scale, requires_grad=False))
    made = objective(model, lambda: model(torch.ones(2)).sum() * scale[0].item())
    assert made.value_and_grad().value == made.value()


def test_a_lazy_module_beside_the_loss_is_no_obstacle() -> None:
    """A module that the closure holds and does not run may be without shapes."""
    model, lazy = nn.Linear(2, 2), nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    made = objective(model, lambda: model(torch.eye(2)).sum() * len(lazy))
    assert made.value_and_grad().value == made.value()
    assert made.value(precision="float64") == pytest.approx(made.value(), rel=1e-5)


def test_gradients_are_other_objects_than_grad() -> None:
    """The `.grad` of a parameter must stay what it was: absent, or the same tensor."""
    model = nn.Linear(2, 1)
    model.weight.grad = mine = torch.full((1, 2), 9.0)
    objective(model, lambda: model(torch.ones(2)).sum()).value_and_grad()
    assert model.weight.grad is mine
    assert mine.tolist() == [[9.0, 9.0]]
    assert model.bias.grad is None


def generators() -> list[Any]:
    """Return one generator object of each kind."""
    return [
        torch.Generator().manual_seed(1),
        np.random.default_rng(1),
        np.random.RandomState(1),
        random.Random(1),
    ]


def draw(generator: Any) -> float:
    """Return one number from a generator of any kind."""
    if isinstance(generator, torch.Generator):
        return torch.rand((), generator=generator).item()
    return float(generator.random() if hasattr(generator, "random") else generator.random_sample())


@pytest.mark.parametrize("generator", generators(), ids=lambda g: type(g).__name__)
def test_a_generator_that_the_closure_holds_comes_back(generator: Any) -> None:
    """A closure's own generator must give the same draws in each evaluation, and afterwards."""
    w = torch.ones(1, requires_grad=True)
    wanted = draw(
        copy.deepcopy(generator) if not isinstance(generator, torch.Generator) else _twin(generator)
    )
    made = objective({"w": w}, lambda: torch.sum(w * draw(generator)), seed=5)
    assert made.value() == made.value_and_grad().value == pytest.approx(wanted, rel=1e-6)
    assert draw(generator) == wanted


def _twin(generator: torch.Generator) -> torch.Generator:
    """Return a generator in the same state."""
    return torch.Generator().set_state(generator.get_state())


def test_a_module_that_holds_a_generator_is_pure() -> None:
    """A generator among a module's attributes must come back as well."""
    model = nn.Linear(1, 1)
    generators = {"noise": torch.Generator().manual_seed(2)}
    vars(model).update(generators)
    made = objective(
        model, lambda: torch.sum(model.weight * torch.rand(1, generator=vars(model)["noise"]))
    )
    assert made.value() == made.value()


def test_anything_else_has_no_stream() -> None:
    """What is no generator must have no stream."""
    assert stream_of(3) is None


@pytest.fixture
def fake_accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Replace every accelerator by one whose state is a list of numbers."""
    fake = SimpleNamespace(state=[1, 2], awake=True)
    fake.is_initialized = lambda: fake.awake
    fake.get_rng_state_all = fake.get_rng_state = lambda: list(fake.state)
    fake.set_rng_state_all = fake.set_rng_state = lambda state: setattr(fake, "state", state)
    fake.manual_seed_all = fake.manual_seed = lambda seed: setattr(fake, "state", [seed])
    for name in ("cuda", "xpu", "mps"):
        monkeypatch.setattr(torch, name, fake)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: fake.awake)
    return fake


def test_an_accelerator_in_use_is_seeded_and_restored(fake_accelerator: SimpleNamespace) -> None:
    """The streams of an accelerator in use must be seeded before and put back after."""
    found: list[Stream] = list(streams.global_streams())
    assert len(found) == 6
    for stream in found[3:]:
        before = stream.save()
        assert stream.seed is not None
        stream.seed(9)
        assert fake_accelerator.state == [9]
        stream.load(before)
        assert fake_accelerator.state == [1, 2]


def test_an_accelerator_at_rest_is_not_woken(fake_accelerator: SimpleNamespace) -> None:
    """An accelerator that nobody uses must not be touched."""
    fake_accelerator.awake = False
    assert len(list(streams.global_streams())) == 3


def test_a_large_seed_fits_numpy() -> None:
    """A seed beyond 32 bits must be accepted, numpy's stream included."""
    w = torch.ones(1, requires_grad=True)
    made = objective({"w": w}, lambda: torch.sum(w * float(np.random.random())), seed=2**40 + 3)  # noqa: NPY002 - the user's own
    assert made.value() == pytest.approx(np.random.RandomState(3).random(), rel=1e-6)


class Trainer:
    """An object that holds a model and is called as the loss."""

    def __init__(self, model: nn.Module) -> None:
        """Hold it in an attribute."""
        self.model = model

    def __call__(self) -> object:
        """Use a generator that only this file knows."""
        return torch.rand(1, generator=TORCH)

    def loss(self) -> object:
        """Use another function of this file."""
        return batch()


def batch() -> object:
    """Draw from the generators of this file, one inside of a comprehension."""
    return [NUMPY.random() for _ in range(3)]


def holders(model: nn.Module, generator: random.Random) -> list[Callable[[], object]]:
    """Return functions that hold both in every way that is followed."""
    trainer = Trainer(model)

    def defaults(m: nn.Module = model, *, g: random.Random = generator) -> object:
        return m, g

    nested = {"models": [model], "others": (generator,)}
    return [
        lambda: (model, generator),
        defaults,
        partial(print, model, end=generator),
        lambda: nested,
        lambda: (trainer, generator),
        lambda: defaults(),  # noqa: PLW0108 - a function that holds a function
    ]


def test_what_a_closure_holds_is_found() -> None:
    """Modules and generators must be found in every way in which a closure can hold them."""
    model, generator = nn.Linear(1, 1), random.Random()
    for function in holders(model, generator):
        held = held_by(function)
        assert any(h is model for h in held)
        assert any(h is generator for h in held)


def test_globals_of_the_file_are_found() -> None:
    """Generators that functions of the same file use must be found, also by methods and calls."""
    trainer = Trainer(nn.Linear(1, 1))
    assert any(h is NUMPY for h in held_by(trainer.loss))
    assert any(h is TORCH for h in held_by(trainer))


def test_the_search_ends() -> None:
    """Cycles, unbound variables and large data must not keep the search from ending."""
    cycle: list[object] = []
    cycle.append(cycle)
    data = [[[list(range(100)) for _ in range(100)] for _ in range(100)]]

    def loss() -> object:
        return cycle, data, later

    held = held_by(loss)
    later = 1
    assert len(held) <= 4096
    assert any(h is cycle for h in held)
    assert later == 1


def test_data_are_named_with_type_and_shape() -> None:
    """Tensors and arrays that a closure names must be listed, parameters and models left out."""
    x, y = torch.ones(2, 3), np.ones(4, dtype=np.int64)
    w, model, n = torch.ones(1), nn.Linear(1, 1), 3
    shown = data_of(lambda: (x, y, w, model, n, later), but=(w,))
    later = None
    assert shown == "x float32 (2, 3); y int64 (4,)"
    assert data_of(print, but=()) == ""
    assert later is None


def test_the_seed_reaches_torch() -> None:
    """Dropout must follow the seed and nothing else."""
    model = nn.Sequential(nn.Linear(8, 64), nn.Dropout())
    x = torch.ones(8)

    def made(seed: int) -> Objective:
        return objective(model, lambda: model(x).square().sum(), seed=seed)

    assert made(1).value() == made(1).value() != made(2).value()
