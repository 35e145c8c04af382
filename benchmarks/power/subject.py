"""A model of the benchmark, and the ways in which it can be built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pytest_gradcheck.api import source

if TYPE_CHECKING:
    from pytest_gradcheck.records import Objective

__all__ = ["AS_WRITTEN", "Family", "Model", "Style", "Subject", "Variant"]

Family = Literal["torch", "pymc"]
Style = Literal["rewritten", "permuted", "channels_last", "unfused", "compiled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Say how to build a model: everything but `mutant` must leave its gradient as it is.

    Attributes:
        styles: ``rewritten`` in other words (``x @ w.T + b`` for ``linear``), ``permuted`` order of
            the batch, ``channels_last`` memory, ``unfused`` attention, ``compiled`` by
            ``torch.compile``.
        mode: PyTensor's mode, the package's own choice by default.
        mutant: name of a mistake to build in, one of the model's own.
    """

    styles: frozenset[Style] = frozenset()
    mode: str | None = None
    mutant: str = ""

    def __contains__(self, style: Style) -> bool:
        """Return whether a style is asked for."""
        return style in self.styles


AS_WRITTEN = Variant()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Hold what a test would pass to ``gradcheck``.

    Attributes:
        source: a module, named tensors or a PyMC model.
        loss: the closure; ``None`` for PyMC.
        options: of the call, such as ``mode`` and ``at``.
    """

    source: object
    loss: Callable[[], object] | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    def objective(self, name: str) -> Objective:
        """Return the objective, as the package makes it."""
        return source(self.source, self.loss, name=name, **self.options)  # type: ignore[arg-type] # options of several types


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Hold one model of the benchmark.

    Attributes:
        name: in the tables.
        family: the framework that it is written in.
        build: makes it anew. Initial values and data come from `numpy.random.RandomState`, whose
            streams are frozen, so that only arithmetic differs from one place to the next.
        styles: the styles that change how it computes; the others have no effect.
        mutants: mistakes that `build` can make.
        quick: whether it is part of a quick run.
    """

    name: str
    family: Family
    build: Callable[[Variant], Subject]
    styles: frozenset[Style] = frozenset()
    mutants: tuple[str, ...] = ()
    quick: bool = False

    def objective(self, variant: Variant = AS_WRITTEN) -> Objective:
        """Return the objective of one variant."""
        return self.build(variant).objective(self.name)
