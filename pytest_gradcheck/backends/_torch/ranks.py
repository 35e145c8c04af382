"""What the ranks of ``torch.distributed`` know together.

Requirements:
    A model is measured together where its gradient is one: wrapped in ``DistributedDataParallel``
    or ``fully_shard``, or with ``DTensor`` parameters, in a process group of more than one rank.
    Anything else is each rank's own.
    Statistics travel on the CPU, by gloo: the user's accelerators and their queues are left alone.
    The mesh of a model covers all ranks.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import distributed
from torch.distributed import TCPStore, distributed_c10d  # type: ignore[attr-defined] # documented
from torch.distributed.distributed_c10d import PrefixStore

from pytest_gradcheck.backends._torch.shards import is_sharded, share_of
from pytest_gradcheck.errors import RankError
from pytest_gradcheck.meeting import SCOPE, TIMEOUT, Meeting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pytest_gradcheck.backends._torch.source import Source

__all__ = ["Ranks", "is_fully_sharded", "is_replicated", "meeting_of_run", "ranks_of"]


_GATHERED = 1 << 20  # numbers that every rank may hear of the others', 8 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Add up what the ranks know (see `pytest_gradcheck.records.Collective`).

    Attributes:
        meeting: where they find each other.
        group: that carries the numbers.
        shards: number of the part that lies here, by parameter.
        owned: the parameters that this rank speaks for.
        name: of the objective, counted on every rank.
        turns: counts the meetings.
    """

    meeting: Meeting
    group: distributed.ProcessGroup
    shards: Mapping[str, int]
    owned: frozenset[str]
    name: str
    turns: Iterator[int] = field(default_factory=itertools.count)

    @property
    def rank(self) -> int:
        """Number of this rank."""
        return self.meeting.rank

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self.meeting.size

    def meet(self, says: str = "", trouble: str = "") -> None:
        """Wait for the other ranks before going on together.

        Raises:
            RankError: one of them did not come, has trouble, or is about to do something else.
        """
        turn = next(self.turns)
        heard = self.meeting.meet(f"{self.name}/{turn}", says, trouble=trouble)
        if turn > 1:
            self.meeting.forget(f"{self.name}/{turn - 2}")
        other = next((rank for rank, said in enumerate(heard) if said != says), None)
        if other is not None and not trouble:
            msg = (
                f"rank {other} measures something else than rank {self.rank}: {heard[other]} "
                f"against {says}; every rank must make the same calls in the same order"
            )
            raise RankError(msg)

    def owns(self, name: str) -> bool:
        """Whether this rank speaks for its elements of a parameter."""
        return name in self.owned

    def shard(self, name: str) -> int:
        """Return which part of a parameter lies here."""
        return self.shards[name]

    def whole(self, names: Iterable[str]) -> Ranks:
        """Return the same ranks where every one of them holds some parameters whole."""
        names = frozenset(names)
        owned = self.owned | names if self.rank == 0 else self.owned - names
        return replace(self, owned=owned, shards={**self.shards, **dict.fromkeys(names, 0)})

    def add(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of the ranks' vectors."""
        return self._reduced(vector, distributed.ReduceOp.SUM)

    def largest(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the element-wise maximum of the ranks' vectors."""
        return self._reduced(vector, distributed.ReduceOp.MAX)

    def gather(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the ranks' vectors, one row for each."""
        mine = torch.from_numpy(vector)
        rows = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(rows, mine, group=self.group)
        return torch.stack(rows).numpy()

    def exchange(
        self, summands: NDArray[np.float64], row: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sum of the ranks' vectors and their rows, from one gathering where small."""
        if self.size * summands.size > _GATHERED:
            return self.add(summands), self.gather(row)
        table = self.gather(np.concatenate([summands, row]))
        # Added up in the same order on every rank, so that all have the same bits.
        return np.add.reduce(table[:, : summands.size], axis=0), table[:, summands.size :]

    def share(self, value: object) -> object:
        """Return what rank 0 passed."""
        held = [value]
        distributed.broadcast_object_list(held, src=0, group=self.group)
        return held[0]

    def _reduced(self, vector: NDArray[np.float64], how: Any) -> NDArray[np.float64]:  # noqa: ANN401 - torch does not export its type
        """Return the ranks' vectors reduced to one."""
        result = torch.from_numpy(vector.copy())
        distributed.all_reduce(result, how, group=self.group)
        return result.numpy()


def ranks_of(source: Source) -> Ranks | None:
    """Return the ranks that hold a model's gradient together, ``None`` where this one has it all.

    Raises:
        RankError: another rank is about to measure something else, or did not come.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    size = distributed.get_world_size()
    modules = [] if source.module is None else list(source.module.modules())
    joint = any(map(is_replicated, modules)) or any(map(is_sharded, source.tensors))
    if size == 1 or not joint:
        return None
    rank = distributed.get_rank()
    places = dict.fromkeys(source.wrt, (0, rank == 0))
    places |= {name: share_of(t) for name, t in source.wrt.items() if is_sharded(t)}
    world = _world(distributed.group.WORLD)
    # Counted for each test anew: a rank may have missed a part of an earlier one.
    store, test = world.meeting.store, SCOPE.get()
    number = store.add(f"{test}/{world.name}/objectives of {rank}", 1)
    ranks = Ranks(
        meeting=world.meeting,
        group=world.group,
        shards={name: number for name, (number, _) in places.items()},
        owned=frozenset(name for name, (_, first) in places.items() if first),
        name=f"{world.name}/{number}",
    )
    ranks.meet(_outline(source))
    return ranks


@functools.cache
def meeting_of_run() -> Meeting | None:
    """Return where the processes that torchrun started meet, ``None`` where it did not.

    torchrun keeps a store of its own, which is there before any process group and after it.
    """
    told = os.environ
    if told.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    store = TCPStore(told["MASTER_ADDR"], int(told["MASTER_PORT"]), is_master=False)
    own = f"gradcheck {told.get('TORCHELASTIC_RUN_ID')} {told.get('TORCHELASTIC_RESTART_COUNT')}"
    return Meeting(
        store=PrefixStore(own, store), rank=int(told["RANK"]), size=int(told["WORLD_SIZE"])
    )


def is_replicated(module: torch.nn.Module) -> bool:
    """Return whether a module is wrapped in ``DistributedDataParallel``."""
    return isinstance(module, torch.nn.parallel.DistributedDataParallel)


def is_fully_sharded(module: torch.nn.Module) -> bool:
    """Return whether ``fully_shard`` was applied to a module."""
    library = sys.modules.get("torch.distributed.fsdp")
    kind = getattr(library, "FSDPModule", None)  # torch 2.6 and later
    return kind is not None and isinstance(module, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """Hold what belongs to one process group."""

    meeting: Meeting
    group: distributed.ProcessGroup
    name: str


@functools.lru_cache(maxsize=1)
def _world(group: distributed.ProcessGroup) -> _World:
    """Return what belongs to the default process group, made once by all its ranks together."""
    meeting = meeting_of_run()
    if meeting is None or meeting.size != group.size():
        store = distributed_c10d._get_default_store()  # noqa: SLF001 - the one its ranks share
        store = PrefixStore("gradcheck", store)
        meeting = Meeting(store=store, rank=group.rank(), size=group.size())
    # A process may make several groups, one after the other, that meet in the same store.
    turn = meeting.store.add(f"worlds of {meeting.rank}", 1)
    meeting.meet(f"world {turn}")
    limit = timedelta(seconds=TIMEOUT.get())
    own = distributed.new_group(backend="gloo", timeout=limit)
    return _World(meeting=meeting, group=own, name=str(turn))


def _outline(source: Source) -> str:
    """Return what must be the same on every rank: names and shapes, in a few characters."""
    shapes = [(name, tuple(tensor.shape)) for name, tensor in source.wrt.items()]
    digest = hashlib.sha256(repr(shapes).encode()).hexdigest()[:12]
    return f"{source.label!r} with {len(shapes)} parameters ({digest})"
