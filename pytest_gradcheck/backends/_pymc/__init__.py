"""PyMC: the log-density of a model on its unconstrained space.

Parameters are the continuous value variables by name (``tau_log__``), components the terms of the
log-density by name (``tau``, ``y``, a potential). A free term includes the Jacobian of its
transform.

Requirements:
    This folder is the only place that imports PyMC and PyTensor. Value and gradient are those of
    the function that PyMC's samplers call.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

try:
    import pymc
except Exception as error:  # noqa: BLE001 - a library that does not fit fails as it likes
    reason = f"{type(error).__name__}: {error}; PyMC 5 needs arviz<1 and a matplotlib that fits it"
    raise ImportError(reason) from None
import pytensor

from pytest_gradcheck.backends import select
from pytest_gradcheck.backends._pymc import structure as described
from pytest_gradcheck.backends._pymc.cache import Compiled, compiled
from pytest_gradcheck.backends._pymc.mode import scope
from pytest_gradcheck.backends._pymc.origins import origins
from pytest_gradcheck.backends._pymc.places import Places
from pytest_gradcheck.backends._pymc.program import flat, frozen
from pytest_gradcheck.backends._pymc.seeding import seeded
from pytest_gradcheck.backends._pymc.starts import points
from pytest_gradcheck.backends.stream import numpy_stream
from pytest_gradcheck.errors import PrecisionError, UsageError, UsageTypeError, noted
from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.records import (
    ComponentEvaluation,
    Evaluation,
    Jitter,
    Objective,
    Origin,
    Precision,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    Point = Mapping[str, NDArray[Any]]

__all__ = ["ROOTS", "objective"]

ROOTS = ("pymc",)


def objective(
    source: object,
    *,
    loss: object,
    value_and_grad: object,
    wrt: tuple[str, ...] | None,
    name: str | None,
    seed: int,
    mode: object,
    data: object,
) -> Objective:
    """Make an objective of a PyMC model.

    Args:
        source: a ``pm.Model``, or what holds one, such as a built model of Bambi.
        loss: must be ``None``; the model is the objective.
        value_and_grad: must be ``None``.
        wrt: patterns of the value variables to differentiate with respect to; the others stay at
            the initial point.
        name: what messages call it; the model's own name where it has one.
        seed: of the initial point and of everything the model draws.
        mode: ``"fast"``, ``"default"``, or a mode of PyTensor; chosen by us when ``None``.
        data: must be ``None``.

    Raises:
        UsageError: the model cannot be differentiated; the message says why and what to do.
    """
    for option, given in (("loss", loss), ("value_and_grad", value_and_grad), ("data", data)):
        if given is not None:
            msg = f"{option} has no use with a PyMC model: its log-density is the objective"
            raise UsageTypeError(msg)
    source = getattr(getattr(source, "backend", None), "model", source)
    if not isinstance(source, getattr(pymc.model.core, "BaseModel", pymc.Model)):
        msg = f"cannot take gradients of a pymc {type(source).__name__}; pass the pymc.Model itself"
        raise UsageTypeError(msg)
    model: Any = source
    label = name or model.name or "model"
    names = select(_differentiable(model, label), wrt)
    with _context("computing the initial point", label), scope("fast"), seeded([], seed), model:
        start = {key: frozen(v) for key, v in model.initial_point(random_seed=seed).items()}
    with _context("compiling the log-density", label):
        found = compiled(model, start, wrt=names, mode=mode, seed=seed)
    density = _Density(label, model, start, found, seed=seed)
    return Objective(
        name=label,
        backend="pymc",
        device="cpu",
        point={key: NumpyView(start[key]) for key in names},
        value_and_grad=density.value_and_grad,
        value=density.value,
        origins=density.origins,
        coordinates=density.coordinates,
        seed=seed,
        stream=numpy_stream,
        sense="logp",
        stores_point=True,
        separate_terms=True,
        named=partial(points, model, names),
        min_scale=1.0,
        facts=described.facts(model, start, found.program),
        structure=described.structure(model),
        packages={"pymc": pymc.__version__, "pytensor": pytensor.__version__},
    )


def _differentiable(model: pymc.Model, label: str) -> list[str]:
    """Return the names of the value variables, or say why there is nothing to differentiate."""
    if not model.free_RVs:
        what = "only observed variables" if model.observed_RVs else "no variables"
        msg = f"'{label}' (pymc) has {what}: nothing to differentiate"
        raise UsageError(msg)
    discrete = [model.values_to_rvs[value].name for value in model.discrete_value_vars]
    if discrete:
        only = "" if model.continuous_value_vars else ", and nothing else to differentiate"
        gaps = described.imputed(model)
        missing = ", ".join([of for name, of in gaps.items() if name in discrete])
        msg = (
            f"'{label}' (pymc) has discrete free variables: {', '.join(discrete)}{only}; "
            "marginalise them (pymc_extras.marginalize) or observe them (pm.observe)"
        ) + (f"; the data of {missing} have missing values (NaN)" if missing else "")
        raise UsageError(msg)
    floats = {value.name: value.dtype for value in model.continuous_value_vars}
    wrong = [f"{key}: {dtype}" for key, dtype in floats.items() if dtype != pytensor.config.floatX]
    if wrong:
        msg = (
            f"'{label}' (pymc) was not built with floatX={pytensor.config.floatX!r}, which is set "
            f"now ({', '.join(wrong)}); set pytensor.config.floatX as it was when it was built"
        )
        raise UsageError(msg)
    return list(floats)


class _Density:
    """Evaluate a compiled model at points given by name."""

    def __init__(
        self,
        label: str,
        model: pymc.Model,
        start: Point,
        found: Compiled,
        *,
        seed: int,
    ) -> None:
        self.label = label
        self.model = model
        self.start = start
        self.compiled = found.program
        self.data = found.data
        self.seed = seed

    def value(self, point: Point | None = None, *, precision: Precision = "native") -> float:
        """Return the log-density alone, from the function that also computes the gradient."""
        return self.value_and_grad(point, components=False, precision=precision).value

    def value_and_grad(
        self,
        point: Point | None = None,
        *,
        components: bool = True,
        precision: Precision = "native",
        jitter: Jitter | None = None,
        seed: int | None = None,
    ) -> Evaluation:
        """Return log-density, gradient and terms at a point."""
        del jitter  # data are constants of the compiled function
        self._check(precision)
        seed = self.seed if seed is None else seed
        vector = flat(point or {}, self.start, self.compiled.names)
        with _context("evaluating the log-density", self.label), self.compiled.seeing(self.data):
            value, grad = self.compiled.headline(vector, self.start, seed=seed)
            terms = (
                self.compiled.terms(
                    self.model, vector, self.start, seed=seed, headline=(value, grad)
                )
                if components
                else {}
            )
        blocks = self.compiled.split(grad, self.start)
        return Evaluation(
            value=value,
            grads={
                name: None if name in self.compiled.disconnected else NumpyView(block)
                for name, block in blocks.items()
            },
            components={
                name: ComponentEvaluation(
                    value=term.value,
                    grads={
                        key: None if g is None else NumpyView(g) for key, g in term.grads.items()
                    },
                )
                for name, term in terms.items()
            },
        )

    def origins(self, point: Point | None = None) -> tuple[Origin, ...]:
        """Return where the numbers that are not finite at a point arose."""
        vector = flat(point or {}, self.start, self.compiled.names)
        values = {**self.start, **self.compiled.split(vector, self.start)}
        with _context("tracing the log-density", self.label), self.compiled.seeing(self.data):
            return origins(self.model, self.compiled, values, seed=self.seed)

    def coordinates(self, name: str, index: tuple[int, ...]) -> str:
        """Return what the model calls an element of a parameter."""
        return Places(self.model).coordinates(name, index, self.start[name].shape)

    def _check(self, precision: Precision) -> None:
        """Refuse float64 for a model that is compiled for another one."""
        dtypes = sorted({str(v.dtype) for k, v in self.start.items() if k in self.compiled.names})
        if precision == "float64" and dtypes != ["float64"]:
            msg = (
                f"'{self.label}' (pymc) is compiled in {', '.join(dtypes)}; a float64 gradient "
                "takes a model built with pytensor.config.floatX = 'float64'"
            )
            raise PrecisionError(msg)


def _context(doing: str, label: str) -> AbstractContextManager[None]:
    """Say of which model an error is, and what was being done."""
    return noted(f"{doing} of '{label}' (pymc)", where=f"'{label}' (pymc)")
