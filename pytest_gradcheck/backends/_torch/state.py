"""Leave the user's objects as they were: buffers, gradients, modes, attributes, random streams.

Requirements:
    Everything comes back bit for bit and as the same object, also when the loss raises. Values are
    written back past autograd's version counters, so that a graph which the user keeps is as good
    as before. Only buffers are copied; parameters are not (see `placement`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

import torch
from torch.nn.parameter import is_lazy

from pytest_gradcheck.backends._torch.captured import held_by
from pytest_gradcheck.backends._torch.shards import is_sharded
from pytest_gradcheck.backends._torch.streams import (
    Stream,
    global_streams,
    held_in,
    stream_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_gradcheck.backends._torch.source import Source

__all__ = ["Belongings", "belongings", "core", "undisturbed", "versions"]

_REGISTRIES = ("_parameters", "_buffers", "_modules")

Restore = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """Hold the user's objects that an evaluation may touch.

    Attributes:
        modules: every module that the loss may run, each once.
        leaves: every parameter of theirs and of the objective, each once.
        streams: of the generator objects that the loss holds.
    """

    modules: tuple[torch.nn.Module, ...]
    leaves: tuple[torch.Tensor, ...]
    streams: tuple[Stream, ...]

    def reseeded(self) -> Belongings:
        """Return the same objects, to be seeded as well where they are generators."""

        def start(stream: Stream) -> Stream:
            reseed = stream.reseed
            return stream if reseed is None else replace(stream, seed=reseed)

        return replace(self, streams=tuple(map(start, self.streams)))

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Return all parameters and buffers."""
        return (*self.leaves, *_own_tensors(self.modules, "_buffers"))

    def rescaled(self) -> list[torch.Tensor]:
        """Return the weights that an embedding with ``max_norm`` rescales as it reads them."""
        kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
        return [m.weight for m in self.modules if isinstance(m, kinds) and m.max_norm is not None]


def belongings(source: Source, loss: Callable[[], object]) -> Belongings:
    """Find the user's objects, those that only the closure knows included."""
    held = held_by(loss)
    modules = {id(m): m for m in source.modules}
    for root in held:
        if isinstance(root, torch.nn.Module) and id(root) not in modules:
            modules |= {id(m): m for m in root.modules() if id(m) not in modules}
    leaves = {id(p): p for p in source.tensors}
    leaves |= {id(p): p for p in _own_tensors(modules.values(), "_parameters")}
    held += held_in(modules.values())
    streams = {id(h): s for h in held if (s := stream_of(h)) is not None}
    return Belongings(
        modules=tuple(modules.values()),
        leaves=tuple([p for p in leaves.values() if not is_lazy(p) and p.is_leaf]),
        streams=tuple(streams.values()),
    )


@contextmanager
def undisturbed(mine: Belongings, *, seed: int) -> Iterator[None]:
    """Seed every global stream, and put everything back on the way out.

    Every ``.grad`` is ``None`` inside, so that a loss which calls ``backward()`` shows.
    """
    with ExitStack() as stack:
        stack.callback(torch.set_grad_enabled, torch.is_grad_enabled())
        for stream in (*global_streams(), *mine.streams):
            stack.callback(stream.load, stream.save())
            if stream.seed is not None:
                stream.seed(seed)
        stack.callback(_attributes(mine.modules))
        for tensor in _buffers(mine):
            stack.callback(_values(tensor))
            stack.callback(_memory(tensor))
        stack.callback(_leaves(mine.leaves))
        for leaf in mine.leaves:
            if leaf.grad is not None:
                leaf.grad = None
        yield


def _own_tensors(modules: Iterable[torch.nn.Module], registry: str) -> list[torch.Tensor]:
    """Return the tensors that stand in one registry of modules; not each only once."""
    return [t for m in modules for t in getattr(m, registry).values() if t is not None]


def core(tensor: torch.Tensor) -> torch.Tensor:
    """Return the part of a tensor in which no two elements share memory by expansion."""
    for axis, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[axis] > 1:
            tensor = tensor.narrow(axis, 0, 1)
    return tensor


def versions(tensors: Iterable[torch.Tensor]) -> list[int]:
    """Return autograd's count of in-place writes to each tensor."""
    return [t._version for t in tensors]  # noqa: SLF001 - the name is private, the count documented


def _buffers(mine: Belongings) -> list[torch.Tensor]:
    """Return the tensors that a forward pass may write to, each once."""
    found = _own_tensors(mine.modules, "_buffers")
    return list({id(b): b for b in (*found, *mine.rescaled()) if _is_writable(b)}.values())


def _is_writable(buffer: torch.Tensor) -> bool:
    """Return whether a forward pass could write to a buffer, and we could write it back."""
    return not is_lazy(buffer) and not buffer.is_inference()


def _memory(tensor: torch.Tensor) -> Restore:
    """Remember where a tensor lies and how it is shaped, and return what puts it back there."""
    if tensor.layout is not torch.strided or is_sharded(tensor):
        return lambda: None
    own = tensor.data

    def restore() -> None:
        if (tensor.data_ptr(), tensor.shape) != (own.data_ptr(), own.shape):
            tensor.data = own

    return restore


def _values(tensor: torch.Tensor) -> Restore:
    """Copy a tensor's values, and return what writes them back into its own memory."""
    if tensor.layout is not torch.strided:
        before, copy = versions([tensor]), tensor.detach().clone()
        # Writing through .data would not reach a sparse tensor; new memory does.
        return lambda: None if versions([tensor]) == before else setattr(tensor, "data", copy)
    own, copy = core(tensor.data), core(tensor.detach()).clone()
    return lambda: own.copy_(copy)


def _leaves(leaves: Sequence[torch.Tensor]) -> Restore:
    """Remember where parameters lie and what their ``.grad`` is, and return what puts it back."""
    grads = [leaf.grad for leaf in leaves]
    lying = [leaf for leaf in leaves if leaf.layout is torch.strided and not is_sharded(leaf)]
    memories = [leaf.data for leaf in lying]
    places = [(leaf.data_ptr(), leaf.shape) for leaf in lying]

    def restore() -> None:
        for leaf, own, place in zip(lying, memories, places, strict=True):
            if (leaf.data_ptr(), leaf.shape) != place:
                leaf.data = own
        for leaf, grad in zip(leaves, grads, strict=True):
            if leaf.grad is not grad:
                leaf.grad = grad

    return restore


def _attributes(modules: Sequence[torch.nn.Module]) -> Restore:
    """Remember modes and attributes of modules, and return what rebinds them."""
    modes = [(m, m.training) for m in modules if "training" not in vars(m)]  # scripted ones
    tables = [table for module in modules for table in _tables(module)]
    lengths, names, values = _content(tables)

    def restore() -> None:
        now = _content(tables)
        if (lengths, names) != now[:2] or not all(map(operator.is_, values, now[2])):
            entries = zip(names, values, strict=True)
            for table, length in zip(tables, lengths, strict=True):
                _rebind(table, dict(islice(entries, length)))
        for module, training in modes:
            if module.training is not training:
                module.training = training

    return restore


def _tables(module: torch.nn.Module) -> Iterator[dict[str, object]]:
    """Yield the dictionaries that a module consists of."""
    own = vars(module)
    yield own
    for name in _REGISTRIES:
        if isinstance(table := own.get(name), dict):
            yield table


def _content(tables: Sequence[dict[str, object]]) -> tuple[list[int], list[str], list[object]]:
    """Return how long dictionaries are, all of their keys, and all of their values."""
    values = chain.from_iterable([table.values() for table in tables])
    return list(map(len, tables)), list(chain.from_iterable(tables)), list(values)


def _rebind(table: dict[str, object], before: dict[str, object]) -> None:
    """Give a table its old entries in their old order; leave it alone if it has them."""
    same = len(table) == len(before) and all(map(operator.is_, table.values(), before.values()))
    if not (same and list(table) == list(before)):
        table.clear()
        table.update(before)
