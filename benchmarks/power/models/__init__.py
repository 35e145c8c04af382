"""The models of the benchmark, one file for each family; a framework is imported when asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.power.subject import Family, Model

__all__ = ["FILES", "models"]

FILES: dict[Family, tuple[str, ...]] = {
    "torch": (
        "perceptron",
        "convolution",
        "attention",
        "recurrent",
        "latent",
        "kernel",
        "acyclic",
        "discrete",
    ),
    "pymc": ("regression", "process", "hidden"),
}


def models(family: Family) -> Iterator[Model]:
    """Yield the models of a framework, which is imported now."""
    for name in FILES[family]:
        yield from importlib.import_module(f"{__name__}.{name}").MODELS
