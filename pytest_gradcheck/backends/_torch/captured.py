"""What a loss closure holds on to: modules, random generators, data.

A closure hides its inputs: ``lambda: model.losses(batch)``. Other modules it calls (a
discriminator, a teacher) have buffers that move, and generators it draws from advance; both must
come back as they were, so they have to be found.

Requirements:
    The search follows functions, methods, partials, containers and the attributes of plain
    objects a few steps deep. It reads and never calls, and what it misses is not an error.
"""

from __future__ import annotations

import functools
import types
from itertools import islice
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

__all__ = ["data_of", "held_by"]

_DEPTH = 4
_WIDTH = 64  # entries of one container; a longer one holds data, not models
_LIMIT = 4096  # objects in all

_CLOSED = (torch.nn.Module, torch.Tensor, type, types.ModuleType)


def held_by(function: Callable[..., object]) -> list[object]:
    """Return the objects that a function can reach, each once, modules' own content excluded."""
    seen: dict[int, object] = {id(function): function}
    level: list[object] = [function]
    for _ in range(_DEPTH):
        found = {id(item): item for held in level for item in _inside(held)}
        level = [item for key, item in found.items() if key not in seen][: _LIMIT - len(seen)]
        seen.update((id(item), item) for item in level)
    return list(seen.values())


def data_of(function: Callable[..., object], *, but: Collection[object]) -> str:
    """Return the tensors and arrays that a closure names: ``x float32 (8, 3)``.

    Args:
        function: the closure.
        but: what is no data, the parameters.
    """
    found = []
    for name, value in _named(function):
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
        if isinstance(shape, tuple) and dtype is not None and all(value is not b for b in but):
            found.append(f"{name} {str(dtype).removeprefix('torch.')} {tuple(shape)}")
    return "; ".join(found)


def _named(function: Callable[..., object]) -> Iterator[tuple[str, object]]:
    """Yield what a closure names, and the arguments that it is already given."""
    if isinstance(function, functools.partial):
        yield from ((f"[{i}]", value) for i, value in enumerate(function.args))
        yield from function.keywords.items()
        function = function.func
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None) or ()
    for name, cell in zip(getattr(code, "co_freevars", ()), cells, strict=True):
        yield from ((name, value) for value in _content(cell))


def _inside(held: object) -> Iterator[object]:
    """Yield what one object holds directly."""
    if isinstance(held, types.FunctionType):
        for cell in held.__closure__ or ():
            yield from _content(cell)
        yield from held.__defaults__ or ()
        yield from (held.__kwdefaults__ or {}).values()
        for name in _global_names(held.__code__):
            value = held.__globals__.get(name)
            # Functions of the same file only: libraries hold nothing of the user's.
            if not isinstance(value, types.FunctionType) or value.__globals__ is held.__globals__:
                yield value
    elif isinstance(held, types.MethodType):
        yield from (held.__self__, held.__func__)
    elif isinstance(held, functools.partial):
        yield from (held.func, *held.args, *held.keywords.values())
    elif isinstance(held, dict):
        yield from islice(dict.values(held), _WIDTH)
    elif isinstance(held, list | tuple | set | frozenset):
        yield from islice(held, _WIDTH)
    elif not isinstance(held, _CLOSED):
        yield from islice(getattr(held, "__dict__", {}).values(), _WIDTH)
        yield vars(type(held)).get("__call__")


def _global_names(code: types.CodeType) -> Iterator[str]:
    """Yield the names that code looks up, comprehensions and inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _content(cell: types.CellType) -> Iterable[object]:
    """Return the content of a closure's cell, nothing while it is empty."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()
