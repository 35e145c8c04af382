"""A Hypothesis strategy over points near the current one, which shrinks towards it.

Requirements:
    A failing point shrinks to few parameters and small steps: what moves is drawn as single
    elements with a step each and as whole parameters with a seed and a size, and nothing, no step
    and no size are the simplest. Half of the steps are of any order of
    magnitude below the scale, so that a large one finds what is near as well as what is far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_gradcheck import backends
from pytest_gradcheck.checks.validate import number
from pytest_gradcheck.errors import MissingExtraError
from pytest_gradcheck.moves import perturbation_scales
from pytest_gradcheck.point import to_numpy

try:
    from hypothesis import strategies as st
except ImportError as error:
    message = (
        f"points() needs Hypothesis ({error}); run: pip install 'pytest-gradcheck[hypothesis]'"
    )
    raise MissingExtraError(message) from None

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["points"]

_ELEMENTS = 8  # moved one by one, beside a step of everything; more shrinks slowly
_DENSE_SEEDS = 2**16
_BITS = 20  # the smallest step is this power of two below the largest

Dense = Mapping[str, tuple[float, int]]
Sparse = Mapping[tuple[str, int], float]


def points(
    model: object,
    loss: Callable[[], object] | None = None,
    *,
    scale: float = 1e-2,
    wrt: str | tuple[str, ...] | None = None,
    **options: Any,  # noqa: ANN401 - passed on to the backend
) -> st.SearchStrategy[dict[str, NDArray[np.float64]]]:
    """Draw points near the model's current one, for ``at=``.

    Args:
        model: as for `pytest_gradcheck.check_gradients`.
        loss: only needed where the backend does; never called.
        scale: largest step of an element, in units of its parameter's RMS (of 1 in the
            unconstrained space of PyMC where the parameter is at zero). 1e3 searches far: smaller
            steps are drawn as often as large ones.
        wrt: patterns of the parameters to move; all.
        **options: passed on to the backend: ``value_and_grad``, ``seed``, ``mode``.

    Returns:
        Mappings of parameter name to a float64 array of the parameter's shape. Only parameters that
        move are in it; the empty mapping is the current point.

    Raises:
        UsageError: the model or an option cannot be used.

    Example:
        >>> import numpy as np
        >>> from hypothesis import given
        >>> from pytest_gradcheck import assert_gradients, points
        >>> w = {"w": np.array([3.0, 4.0])}
        >>> def square(p):
        ...     return (p["w"] ** 2).sum(), {"w": 2 * p["w"]}
        >>> @given(points(w, scale=1e-2, value_and_grad=square))
        ... def test_finite_nearby(point):
        ...     assert_gradients(w, value_and_grad=square, at=point, finite=True, perturb=False)
        >>> test_finite_nearby()
    """
    number("scale", scale, strict=True)
    objective = backends.objective(model, loss or _unused(model), wrt=wrt, **options)
    home = {name: to_numpy(view) for name, view in objective.point.items() if view.size}
    steps = {
        name: scale * unit for name, unit in perturbation_scales(objective).items() if name in home
    }
    return _moves(home).map(lambda moves: _point(home, steps, *moves))


def _unused(model: object) -> Callable[[], object] | None:
    """Return a loss for backends that insist on one; nothing evaluates it."""
    roots = {base.__module__.split(".")[0] for base in type(model).__mro__}
    tensors = isinstance(model, Mapping) and any(hasattr(v, "detach") for v in model.values())
    return (lambda: None) if "torch" in roots or tensors else None


def _moves(
    home: Mapping[str, NDArray[np.float64]],
) -> st.SearchStrategy[tuple[Dense, Sparse]]:
    """Draw what moves: whole parameters by a size and a seed, and single elements by a step."""
    # Of floats Hypothesis finds 1.0 simpler than 0.1; of whole numbers the smaller.
    size = st.one_of(st.integers(0, _BITS).flatmap(_up_to), _up_to(_BITS))
    unit = st.tuples(size, st.booleans()).map(lambda drawn: -drawn[0] if drawn[1] else drawn[0])
    names = st.sampled_from(list(home))
    element = names.flatmap(
        lambda name: st.tuples(st.just(name), st.integers(0, home[name].size - 1))
    )
    whole = st.tuples(size, st.integers(0, _DENSE_SEEDS))
    sparse = st.dictionaries(element, unit, max_size=_ELEMENTS)
    nothing: st.SearchStrategy[Any] = st.just({})
    few = st.one_of(
        st.tuples(nothing, st.dictionaries(element, unit, max_size=1)), st.tuples(nothing, sparse)
    )
    # Where single elements reach everything, a failure found by them has less to shrink.
    large = [name for name, values in home.items() if values.size > _ELEMENTS]
    if not large:
        return few
    dense = st.dictionaries(st.sampled_from(large), whole, max_size=len(large))
    return st.one_of(few, st.tuples(dense, sparse))


def _up_to(bits: int) -> st.SearchStrategy[float]:
    """Draw a share of the largest step, of an order of magnitude."""
    return st.integers(0, 2**bits).map(lambda n: n / 2**_BITS)


def _point(
    home: Mapping[str, NDArray[np.float64]],
    steps: Mapping[str, float],
    dense: Dense,
    sparse: Sparse,
) -> dict[str, NDArray[np.float64]]:
    """Return the point that some moves lead to."""
    moved = {}
    for name in dict.fromkeys([*dense, *(name for name, _ in sparse)]):
        size, seed = dense.get(name, (0.0, 0))
        delta = size * np.random.default_rng(seed).uniform(-1.0, 1.0, home[name].size)
        for (owner, index), step in sparse.items():
            if owner == name:
                delta[index] = step
        moved[name] = home[name] + steps[name] * delta.reshape(home[name].shape)
    return moved
