"""Find points of a model: where samplers start, what the prior draws, where a sampler was.

Requirements:
    A seed names one point: the i-th point has seed ``seed + i``, and is the same under every
    version of PyMC that draws the same numbers.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pymc import pytensorf
from pymc.initial_point import make_initial_point_fn

from pytest_gradcheck.backends._pymc.mode import choose, scope
from pytest_gradcheck.backends._pymc.seeding import seeded
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.posterior import PosteriorPoints, posterior_points
from pytest_gradcheck.records import Start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from pymc import Model

    Points = Callable[[int, int], Sequence[Start]]

__all__ = ["SPELLINGS", "points"]

SPELLINGS = ("initial", "jitter", "prior")


def points(model: Model, names: Sequence[str], at: object) -> Points | None:
    """Return a function of a count and a seed that returns so many points.

    Args:
        model: whose points they are.
        names: of its parameters.
        at: ``"initial"`` for the initial point, which is no other; ``"jitter"`` for the starts of
            PyMC's samplers, which add U(-1, 1) to it; ``"prior"`` for draws from the prior; or the
            draws of a sampler.

    Raises:
        UsageError: `at` is something else.
    """
    if isinstance(at, str) and at in SPELLINGS:
        return None if at == "initial" else partial(_started, model, names, at)
    if isinstance(at, PosteriorPoints):
        return partial(_sampled, model, names, at)
    if getattr(at, "posterior", None) is not None:
        return partial(_sampled, model, names, posterior_points(at))
    known = ", ".join(map(repr, SPELLINGS))
    msg = f"at= takes a mapping of parameter names to values, {known}, or posterior_points(idata)"
    if isinstance(at, str):
        msg = f"at={at!r} is no point: {msg}"
        raise UsageError(msg)
    msg = f"{msg}; not {type(at).__name__}"
    raise UsageTypeError(msg)


def _started(model: Model, names: Sequence[str], at: str, count: int, seed: int) -> list[Start]:
    """Return starts of the samplers, or draws from the prior."""
    with scope("fast"), model:
        if at == "prior":
            prior = {rv: "prior" for rv in model.free_RVs}  # noqa: C420 - beats the user's initvals
            draw = make_initial_point_fn(model=model, overrides=prior)
            label = "prior draw"
        else:
            draw = make_initial_point_fn(model=model, jitter_rvs=set(model.free_RVs))
            label = "jittered start"
        found = []
        for i in range(count):
            with seeded([], seed + i):
                point = draw(seed + i)
            text = f"{label} #{i} (seed {seed + i})"
            found.append(Start(label=text, seed=seed + i, values=_floats(point, names)))
    return found


def _sampled(
    model: Model, names: Sequence[str], at: PosteriorPoints, count: int, seed: int
) -> list[Start]:
    """Return draws of a sampler in the unconstrained space."""
    del seed  # they are drawn already
    posterior = at.idata.posterior
    missing = [rv.name for rv in model.free_RVs if rv.name not in posterior]
    if missing:
        msg = (
            f"the posterior has no {', '.join(missing)}; its draws must be of the same model "
            f"(it has {', '.join(map(str, posterior.data_vars))})"
        )
        raise UsageError(msg)
    draws = {rv.name: _chains(posterior[rv.name]) for rv in model.free_RVs}
    places = _spread(posterior, count) if at.which == "draws" else _diverged(at.idata, count)
    label = "posterior" if at.which == "draws" else "divergence"
    unconstrain = _unconstrained(model)
    found = []
    for chain, draw in places:
        point = unconstrain({name: values[chain, draw] for name, values in draws.items()})
        here = f"chain {_label(posterior, 'chain', chain)} draw {_label(posterior, 'draw', draw)}"
        found.append(Start(label=f"{label} {here}", seed=0, values=_floats(point, names)))
    return found


def _spread(posterior: Any, count: int) -> list[tuple[int, int]]:  # noqa: ANN401 - xarray's
    """Return where in the chains so many draws stand at equal distances, the last included."""
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    total = chains * draws
    flat = dict.fromkeys(-(-total * i // count) - 1 for i in range(1, count + 1))
    return [divmod(i, draws) for i in flat]


def _diverged(idata: Any, count: int) -> list[tuple[int, int]]:  # noqa: ANN401 - xarray's
    """Return where the last divergences were, in the order of the draws."""
    diverging = _chains(idata.sample_stats["diverging"]).astype(bool)
    found = [(int(chain), int(draw)) for chain, draw in np.argwhere(diverging)]
    places = sorted(found, key=lambda place: place[::-1])
    if not places:
        msg = "which='divergences' finds none: the sampler did not diverge"
        raise UsageError(msg)
    return places[-count:]


def _unconstrained(
    model: Model,
) -> Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]:
    """Return a function that maps a draw to the unconstrained space."""
    rvs = list(model.free_RVs)
    outputs = []
    for rv in rvs:
        transform = model.rvs_to_transforms.get(rv)
        outputs.append(rv if transform is None else transform.forward(rv, *rv.owner.inputs))
    mode = choose("fast", 0).mode
    with scope("fast"), model:
        function = pytensorf.compile(rvs, outputs, mode=mode, on_unused_input="ignore")
    names = [model.rvs_to_values[rv].name for rv in rvs]

    def unconstrain(draw: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with scope("fast"):
            values = function(*(draw[rv.name].astype(rv.dtype) for rv in rvs))
        return dict(zip(names, values, strict=True))

    return unconstrain


def _chains(array: Any) -> NDArray[Any]:  # noqa: ANN401 - xarray's
    """Return the values of a variable, chains first and draws second."""
    return np.asarray(array.transpose("chain", "draw", ...).values)


def _label(dataset: Any, dim: str, index: int) -> object:  # noqa: ANN401 - xarray's
    """Return what a chain or a draw is called: its coordinate, or its number."""
    return dataset[dim].values[index].item() if dim in dataset.coords else index


def _floats(point: Mapping[str, Any], names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the values of the parameters."""
    return {name: np.array(point[name], dtype=np.float64) for name in names}
