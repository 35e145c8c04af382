"""Tell whoever listens that long work is going on, and how far it has come.

The library only announces; the pytest layer listens where there is a terminal to show it on. Where
nobody listens an announcement costs a dictionary look-up.

Requirements:
    Nothing here prints, waits or counts time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Work", "listening", "working"]


@dataclass(slots=True)
class Work:
    """Describe a piece of long work.

    Attributes:
        what: it is, as a present participle: ``compiling 'eight_schools'``.
        total: how many steps it has, ``None`` where nobody knows.
        done: how many of them are behind us.
    """

    what: str
    total: int | None = None
    done: int = 0


Listener = Callable[[Work | None], None]

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def working(what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Announce long work, and yield a function to call after each of its steps.

    Args:
        what: the work is.
        total: how many steps it has.

    Example:
        >>> with working("evaluating replicates", total=2) as advance:
        ...     advance()
        ...     advance()
    """
    listener, work = _LISTENER.get(), Work(what, total)

    def advance() -> None:
        work.done += 1
        if listener is not None:
            listener(work)

    if listener is not None:
        listener(work)
    try:
        yield advance
    finally:
        if listener is not None:
            listener(None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have all work announced to a function while the block runs: ``None`` when a piece ends."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
