"""The random streams that a loss may draw from: to seed, to save and to put back.

Requirements:
    The global streams of Python, numpy and torch are seeded before each evaluation. A generator
    object that the closure holds keeps the state that its owner gave it, and is put back to it
    after each evaluation, so that the same point always meets the same draws; only a replicate
    seeds it.
    No accelerator is woken up: its streams count once it is in use.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch

from pytest_gradcheck.backends.stream import DRAWS, SEED, digest, numpy_draws

__all__ = ["Stream", "global_streams", "held_in", "stream_name", "stream_of"]

_KINDS = (torch.Generator, np.random.RandomState, random.Random, np.random.Generator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Hold how one random stream is read, put back and seeded.

    Attributes:
        save: returns the state.
        load: puts a state back.
        seed: seeds the stream; ``None`` for one that belongs to the user.
        reseed: seeds one that belongs to the user.
    """

    save: Callable[[], Any]
    load: Callable[[Any], object]
    seed: Callable[[int], object] | None = None
    reseed: Callable[[int], object] | None = None


def global_streams() -> Iterable[Stream]:
    """Yield the global streams, those of accelerators in use included."""
    yield Stream(save=random.getstate, load=random.setstate, seed=random.seed)
    yield Stream(save=np.random.get_state, load=np.random.set_state, seed=_seed_numpy)
    cpu = torch.default_generator
    yield Stream(save=cpu.get_state, load=cpu.set_state, seed=cpu.manual_seed)
    for device in (torch.cuda, torch.xpu):
        if device.is_initialized():
            yield Stream(
                save=device.get_rng_state_all,
                load=device.set_rng_state_all,
                seed=device.manual_seed_all,
            )
    if torch.backends.mps.is_available():
        yield Stream(
            save=torch.mps.get_rng_state, load=torch.mps.set_rng_state, seed=torch.mps.manual_seed
        )


def held_in(modules: Collection[torch.nn.Module]) -> list[object]:
    """Return the generator objects among the attributes of modules."""
    tables = [vars(module) for module in modules]
    kinds = set(map(type, chain.from_iterable(table.values() for table in tables)))
    if not any(issubclass(kind, _KINDS) for kind in kinds):  # nearly always
        return []
    return [value for table in tables for value in table.values() if isinstance(value, _KINDS)]


def stream_of(generator: object) -> Stream | None:
    """Return the stream of a generator object, ``None`` for anything else."""
    match generator:
        case torch.Generator():
            return Stream(
                save=generator.get_state, load=generator.set_state, reseed=generator.manual_seed
            )
        case np.random.RandomState():
            return Stream(
                save=generator.get_state,
                load=generator.set_state,
                reseed=lambda seed: generator.seed(seed % 2**32),
            )
        case random.Random():
            return Stream(save=generator.getstate, load=generator.setstate, reseed=generator.seed)
        case np.random.Generator():
            bits: Any = generator.bit_generator

            def load(state: object) -> None:
                bits.state = state

            return Stream(
                save=lambda: bits.state,
                load=load,
                reseed=lambda seed: load(type(bits)(seed).state),
            )
        case _:
            return None


def _seed_numpy(seed: int) -> None:
    """Seed numpy's global stream, which takes 32 bits."""
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the user's loss may draw from it


def stream_name(tensors: Iterable[torch.Tensor]) -> str:
    """Return the name of the streams that a loss may draw from.

    Args:
        tensors: the parameters, whose devices and real types are those it draws on and in.
    """
    kinds = dict.fromkeys((t.device.type, t.dtype.to_real()) for t in tensors)
    return digest([*numpy_draws(), *(_draws(device, dtype) for device, dtype in kinds)])


def _draws(device: str, dtype: torch.dtype) -> tuple[str, list[int], list[float]]:
    """Return draws of torch's stream on one device, normals in one type."""
    own = torch.Generator(device).manual_seed(SEED)
    whole = torch.randint(0, 2**31, (DRAWS,), generator=own, device=device)
    real = torch.randn(DRAWS, generator=own, device=device, dtype=dtype)
    return f"torch {device} {dtype}", whole.tolist(), real.double().cpu().tolist()
