"""Run functions in processes that form a process group, from within one test.

A distributed model needs several processes, a test runs in one. The pool starts them once, they
import torch once, and each run joins them to a fresh process group of gloo on the CPU.

Requirements:
    A rank that fails or hangs fails the run with its own traceback; nothing waits for ever.
"""

from __future__ import annotations

import itertools
import multiprocessing
import sys
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import torch
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined] # documented, not exported
from torch.distributed.distributed_c10d import PrefixStore, Store

from pytest_gradcheck.checks.validate import count, number
from pytest_gradcheck.errors import RankError, UsageTypeError
from pytest_gradcheck.meeting import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

__all__ = ["RankPool"]

_HOST: Final = "127.0.0.1"
_POLL: Final = 0.01
_START: Final = 300.0  # seconds that a process may take to import torch
_GRACE: Final = 5.0  # seconds beyond the ranks' own patience


class RankPool:
    """Hold processes in which a function runs on every rank of a process group.

    Args:
        ranks: how many processes to start.
        timeout: seconds that ranks wait for each other; a run takes at most twice that and 5 more.

    Example:
        ``with RankPool(2) as pool: measurement = pool.run(train_step)[0]``, where ``train_step`` is
        a function of a module (it is pickled by its name) that wraps the model and returns
        ``measure_gradients(model, loss).measurement``.
    """

    def __init__(self, ranks: int, *, timeout: float = 60.0) -> None:
        """Start the processes; they are ready when the first run is."""
        self._timeout: Final = number("timeout", timeout, strict=True)
        self._store: Final = TCPStore(_HOST, 0, is_master=True, wait_for_workers=False)
        self._runs: Final = itertools.count()
        context = multiprocessing.get_context("spawn")
        self._lines: list[Connection] = []
        self._processes = []
        self._ready: set[int] = set()
        for _ in range(count("ranks", ranks)):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, self._store.port, self._timeout), daemon=True
            )
            process.start()
            theirs.close()
            self._lines.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the processes."""
        self.close()

    def run(
        self, function: Callable[..., Any], *args: object, ranks: int | None = None
    ) -> list[Any]:
        """Return what a function returns on every rank.

        Args:
            function: of a module that can be imported; called with `args` once
                ``torch.distributed`` is initialised.
            *args: the same on all ranks; they and the results are pickled.
            ranks: how many of the processes take part; all by default.

        Raises:
            RankError: a rank raised, died or did not finish in time; with its traceback.
        """
        if not self._processes:
            msg = "the pool is closed: its processes were stopped after a rank died or hung"
            raise RankError(msg)
        size = len(self._lines) if ranks is None else count("ranks", ranks)
        if size > len(self._lines):
            msg = f"ranks={size}: the pool has {len(self._lines)} processes"
            raise UsageTypeError(msg)
        number_of_run = next(self._runs)
        late = set(range(size)) - self._ready
        if late:  # importing torch takes what it takes
            self._heard(late, _START)
            self._ready |= late
        for rank, line in enumerate(self._lines[:size]):
            line.send((function, args, rank, size, number_of_run))
        # Ranks that waited in vain for one another need a while to say so.
        heard = self._heard(set(range(size)), 2 * self._timeout + _GRACE)
        failed = {rank: said for rank, (passed, said) in heard.items() if not passed}
        if failed:
            # Who waited for a rank that failed has less to say than that rank.
            first = min(failed, key=lambda rank: ("RankError" in failed[rank], rank))
            others = f" (as did rank {_listed(r for r in failed if r != first)})"
            also = others if len(failed) > 1 else ""
            msg = f"rank {first} of {size} failed{also}:\n{failed[first]}"
            raise RankError(msg)
        return [heard[rank][1] for rank in range(size)]

    def close(self) -> None:
        """Stop the processes."""
        for line in self._lines:
            with suppress(OSError):
                line.send(None)
            line.close()
        deadline = time.monotonic() + _GRACE
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()
        self._lines, self._processes = [], []

    def _heard(self, ranks: set[int], patience: float) -> dict[int, tuple[bool, Any]]:
        """Return what every rank answers; ends the pool where one never will."""
        heard: dict[int, tuple[bool, Any]] = {}
        deadline = time.monotonic() + patience
        while len(heard) < len(ranks):
            for rank in ranks - set(heard):
                if self._lines[rank].poll(_POLL):
                    with suppress(EOFError):
                        heard[rank] = self._lines[rank].recv()
                        continue
                    self._abandon(f"rank {rank} died", heard)
            if time.monotonic() > deadline:
                late = _listed(ranks - set(heard))
                self._abandon(f"rank {late} did not answer within {patience:g} s", heard)
        return heard

    def _abandon(self, why: str, heard: dict[int, tuple[bool, Any]]) -> None:
        """Kill the processes and say why.

        Raises:
            RankError: always.
        """
        for process in self._processes:
            process.kill()
        self.close()
        told = [f"rank {r}:\n{said}" for r, (passed, said) in sorted(heard.items()) if not passed]
        raise RankError("\n".join([why, *told]))


def _listed(ranks: Any) -> str:  # noqa: ANN401 - any numbers
    """Return numbers as text."""
    return ", ".join(map(str, sorted(ranks)))


def _serve(line: Connection, port: int, timeout: float) -> None:
    """Run what the pool sends, in a process of its own, until it sends nothing more."""
    torch.set_num_threads(1)
    TIMEOUT.set(timeout)
    store = TCPStore(_HOST, port, is_master=False)
    line.send((True, "ready"))
    with suppress(EOFError, KeyboardInterrupt):
        while (job := line.recv()) is not None:
            line.send(_answer(job, store, timeout))


def _answer(job: tuple[Any, ...], store: Store, timeout: float) -> tuple[bool, Any]:
    """Return whether a run passed on this rank, and its result or its traceback."""
    function, args, rank, size, run = job
    try:
        distributed.init_process_group(
            "gloo",
            store=PrefixStore(f"run {run}", store),
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=timeout),
        )
        return True, function(*args)
    except Exception:  # noqa: BLE001 - the parent raises it again, whatever it is
        return False, traceback.format_exc()
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
        sys.stdout.flush()
