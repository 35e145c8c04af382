"""Say what a model is, apart from numbers: its structure and the facts worth keeping.

Requirements:
    The structure of a model is the same text under every version of PyMC, so that a baseline
    survives an upgrade: names of distributions and transforms, dimensions, shape, dtype and a hash
    of the data, in the form that `pytest_gradcheck.drift.variables` reads. Shapes of the parameters
    are not in it; they are compared by themselves.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from pymc.pytensorf import find_rng_nodes
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant

from pytest_gradcheck.backends._pymc.graph import evaluated
from pytest_gradcheck.backends._pymc.mode import scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from pymc import Model
    from pymc.logprob.transforms import Transform
    from pytensor.graph.basic import Variable

    from pytest_gradcheck.backends._pymc.program import Program

__all__ = ["distribution", "facts", "imputed", "structure"]

_MISSING = "_unobserved"  # how PyMC calls it
_ZERO = 1e-12


def structure(model: Model) -> dict[str, str]:
    """Return one line for each variable, data container and potential, by name."""
    lines = {rv.name: _free(model, rv) for rv in model.free_RVs}
    for rv in model.observed_RVs:
        data = _data(model.rvs_to_values[rv])
        lines[rv.name] = "; ".join([distribution(rv), "observed", *data])
    for container in model.data_vars:
        lines.setdefault(container.name, "; ".join(["Data", *_data(container)]))
    for potential in model.potentials:
        lines[potential.name] = "Potential"
    return lines


def facts(
    model: Model, start: Mapping[str, NDArray[Any]], program: Program
) -> dict[str, str | int | bool]:
    """Return what reports show of a model; what does not apply is left out."""
    observed = [rv.name for rv in model.observed_RVs]
    gaps = imputed(model)
    shapes = [f"{rv.name}: {_shape(_value(model.rvs_to_values[rv]))}" for rv in model.observed_RVs]
    found: dict[str, str | int | bool] = {
        "dimensions": sum(start[name].size for name in program.names),
        "terms": len(model.free_RVs) + len(observed) + len(model.potentials),
        "mode": program.choice.label,
        "mode_reason": program.choice.reason,
        "floatX": str(start[program.names[0]].dtype),
        "observed": ", ".join(shapes),
        "imputed": ", ".join(gaps),
        "held": ", ".join(program.held),
        "stochastic": bool(program.rngs),
    }
    return {name: fact for name, fact in found.items() if fact}


def imputed(model: Model) -> dict[str, str]:
    """Return the variables that stand for what is missing in data, and whose data that is."""
    observed = {rv.name for rv in model.observed_RVs}
    names = [rv.name for rv in model.free_RVs if rv.name.endswith(_MISSING)]
    found = {name: name.removesuffix(_MISSING) for name in names}
    return {name: of for name, of in found.items() if f"{of}_observed" in observed}


def _free(model: Model, rv: Variable) -> str:
    """Return distribution, transform, dimensions and parameter of a free variable."""
    parts = [distribution(rv)]
    transform = model.rvs_to_transforms.get(rv)
    if transform is not None:
        parts.append(f"transform {_transform(transform)}")
    dims = model.named_vars_to_dims.get(rv.name)
    if dims:
        parts.append(f"dims ({', '.join(map(str, dims))})")
    parameter = model.rvs_to_values[rv].name
    if parameter != rv.name:
        parts.append(f"parameter {parameter}")
    return "; ".join(parts)


def _transform(transform: Transform) -> str:
    """Return the name of a transform, link by link where it is a chain."""
    links = getattr(transform, "transform_list", None)
    return "+".join(map(_transform, links)) if links else type(transform).__name__


def distribution(rv: Variable) -> str:
    """Return the name of a variable's distribution: ``HalfNormal``."""
    op = rv.owner.op
    match type(op).__name__:
        case "MinibatchRandomVariable":  # scales the one that it holds
            op = rv.owner.inputs[0].owner.op
        case "XRV":  # names the dimensions of the one that it holds
            op = op.core_op
    return type(op).__name__.removeprefix("_").removesuffix("RV")


def _data(variable: Variable) -> list[str]:
    """Return shape, dtype and hash of observed values."""
    value = _value(variable)
    if value is None:
        return ["minibatch"]
    return [
        f"shape {_shape(value)}",
        f"dtype {value.dtype.name}",
        f"values {hashlib.sha256(_rounded(value)).hexdigest()[:12]}",
    ]


def _rounded(value: NDArray[Any]) -> bytes:
    """Return values to some seven digits, so that their last bits do not make other data.

    Data computed in the test (a sine, a draw) differ in them from one processor to the next; what
    should be zero is then some 1e-16 of the rest.
    """
    values = np.asarray(value, dtype=np.float64)
    size = np.abs(values)
    floor = _ZERO * size.max(where=np.isfinite(size), initial=0.0)
    with np.errstate(over="ignore"):
        return np.where(size < floor, 0.0, values).astype("<f4").tobytes()


def _value(variable: Variable) -> NDArray[Any] | None:
    """Return observed values, ``None`` where they are drawn anew each time."""
    if isinstance(variable, Constant):
        return np.asarray(variable.data)
    if isinstance(variable, SharedVariable):
        return np.asarray(variable.get_value(borrow=True))
    if find_rng_nodes([variable]):
        return None
    with scope("fast"):
        return evaluated(variable)


def _shape(value: NDArray[Any] | None) -> str:
    """Return a shape as text: ``800``, ``3x4``, ``scalar``."""
    if value is None:
        return "minibatch"
    return "x".join(map(str, value.shape)) or "scalar"
