"""Choose how a model is compiled, and keep the compiler's own noise to itself.

The stock modes cost tens of seconds (C, Numba) or say ``-inf`` where the sampler says a number
(``FAST_COMPILE``: the rewrites that keep a log-density stable are not in it). The fast mode applies
every rewrite of a full compilation and evaluates with numpy: it agrees with the sampler's function
on values and on which elements are finite, and compiles in about a second.

Requirements:
    Which mode is chosen depends on the graph alone, never on a clock, so that one model is always
    compiled in one way.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor
from pytensor.compile.mode import Mode, get_default_mode, get_mode, predefined_modes
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.vm import VMLinker

from pytest_gradcheck.backends._pymc.elementwise import at_once
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.uncollected import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "MOST_SCANNED",
    "Choice",
    "choose",
    "compiling",
    "default",
    "plain",
    "scope",
    "taped",
]

MOST_SCANNED = 25_000
"""The most operations inside of `Scan` loops that the fast mode takes on, some 20 µs each."""

_AFTER_EVERYTHING = 1000.0
_NOISE = (
    r"PyTensor could not link to a BLAS",  # about how PyTensor was installed
    r"Support point not defined for variable",  # the draw that replaces it is seeded
    r"Numba will use object mode",  # an Op without a Numba version: slower, not wrong
    r"Cannot cache compiled function",  # the same Ops are compiled again next time
    r"DifferentialEquation should implement `pullback`",  # PyMC's own Op, and PyMC's to mend
    r"Ill-conditioned matrix",  # what comes of it is in the gradient
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Hold the mode to compile with.

    Attributes:
        label: what reports call it: ``fast``, ``default``, or what the user passed.
        mode: what PyTensor takes.
        forced: whether the user asked for it, so that nothing else may take its place.
        reason: why it is not the fast one.
    """

    label: str
    mode: Any
    forced: bool = False
    reason: str = ""


def choose(mode: object, scanned: float) -> Choice:
    """Return the mode to compile a model with.

    Args:
        mode: what the user passed: ``None``, ``"fast"``, ``"default"``, or what PyTensor knows.
        scanned: how many operations one evaluation runs inside of `Scan` loops.

    Raises:
        UsageError: PyTensor knows no such mode.
    """
    if mode is None:
        if scanned <= MOST_SCANNED:
            return Choice(label="fast", mode=_fast())
        return default("a Scan too long to run in Python")
    if mode == "fast":
        return Choice(label="fast", mode=_fast(), forced=True)
    if mode == "default":
        return Choice(label="default", mode=get_default_mode(), forced=True)
    if isinstance(mode, Mode):
        label = f"{type(mode).__name__}({type(mode.linker).__name__})"
        return Choice(label=label, mode=mode, forced=True)
    if not isinstance(mode, str):
        msg = f"mode= takes a name or a pytensor Mode, not {type(mode).__name__}"
        raise UsageTypeError(msg)
    try:
        return Choice(label=mode, mode=get_mode(mode), forced=True)
    except ValueError:
        known = ", ".join(["fast", "default", *predefined_modes])
        msg = f"mode={mode!r} is not a PyTensor mode; known: {known}"
        raise UsageError(msg) from None


def default(reason: str) -> Choice:
    """Return PyTensor's own mode, with the reason why the fast one is not used."""
    return Choice(label="default", mode=get_default_mode(), reason=reason)


@contextmanager
def scope(label: str) -> Iterator[None]:
    """Compile or evaluate: without a C compiler in the fast mode, and without noise.

    Warnings about floating-point numbers are off: a NaN is data here, and the checks report it.
    """
    get_default_mode()  # PyTensor keeps the first one it makes: it must not be made without C
    flags = {"cxx": ""} if label == "fast" else {}
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        pytensor.config.change_flags(**flags),
    ):
        for message in _NOISE:
            warnings.filterwarnings("ignore", message=message)
        yield


@contextmanager
def compiling(label: str) -> Iterator[None]:
    """Compile, as in `scope`, without what costs PyTensor a third of the time and gains us nothing.

    It notes for each of the thousands of variables that it makes on the way from where it was
    called: always from here. What the user's own variables were noted with is kept.
    """
    if label != "fast":
        with scope(label):
            yield
        return
    # Graphs are cyclic, and would be looked through time and again.
    with scope(label), uncollected(), pytensor.config.change_flags(traceback__limit=0):
        yield


def taped(keep: Callable[..., None], *, as_written: bool) -> Mode:
    """Return a mode that tells what every operation takes and computes.

    Args:
        keep: called after each operation, with ``node`` and ``storage_map``.
        as_written: rewrite nothing; otherwise as the fast mode does.
    """
    linker = VMLinker(use_cloop=False, c_thunks=False, allow_gc=False, callback=keep)
    if as_written:
        return Mode(linker, RewriteDatabaseQuery(include=["minimum_compile", "merge"]))
    return _rewriting(linker)


@cache
def plain() -> Mode:
    """Return a mode that evaluates a graph with numpy much as it was derived."""
    query = ["minimum_compile", "merge", "useless", "inline_ofg_expansion", "py_only"]
    return _rewriting(
        VMLinker(use_cloop=False, c_thunks=False),
        RewriteDatabaseQuery(include=[*query, "local_useless_unbatched_blockwise"]),
    )


@cache
def _fast() -> Mode:
    """Return the fast mode: all rewrites, no C, no Numba, evaluated by numpy."""
    return _rewriting(VMLinker(use_cloop=False, c_thunks=False))


def _rewriting(linker: VMLinker, query: RewriteDatabaseQuery | None = None) -> Mode:
    """Return a mode with some rewrites: every one of a full compilation that numpy gains from."""
    if query is None:
        query = RewriteDatabaseQuery(include=["fast_run", "py_only"], exclude=["fusion", "inplace"])
    found = Mode(linker, query)
    return found.register((at_once(), _AFTER_EVERYTHING))
