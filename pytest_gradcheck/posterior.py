"""Say which draws of a sampler become points: ``at=posterior_points(idata)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pytest_gradcheck.errors import UsageError, UsageTypeError

__all__ = ["PosteriorPoints", "posterior_points"]

Which = Literal["draws", "divergences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorPoints:
    """Hold where a sampler was: what `posterior_points` returns.

    Attributes:
        idata: with a group ``posterior``, and ``sample_stats`` for divergences.
        which: ``draws``, spread evenly over all chains, or the last ``divergences``.
    """

    idata: Any
    which: Which


def posterior_points(idata: object, *, which: Which = "draws") -> PosteriorPoints:
    """Return the draws of a sampler as points, for ``at=``.

    ``gradcheck(model, at=posterior_points(idata, which="divergences"), samples=10)`` evaluates the
    gradient where the last ten divergences were. The draws are mapped to the unconstrained space by
    the transforms of the model that is checked.

    Args:
        idata: what ``pm.sample`` returned: an ``arviz.InferenceData`` or an ``xarray.DataTree``.
        which: ``draws`` takes as many as the limit ``samples`` says, spread evenly over all chains;
            ``divergences`` takes the last ones.

    Raises:
        UsageError: there is no such thing in it.
    """
    if getattr(idata, "posterior", None) is None:
        msg = (
            "posterior_points() takes what pm.sample() returned, with a group 'posterior', "
            f"not {type(idata).__name__}"
        )
        raise UsageTypeError(msg)
    if which not in get_args(Which):
        msg = f"which={which!r} is not one of {', '.join(get_args(Which))}"
        raise UsageError(msg)
    if which == "divergences" and "diverging" not in (getattr(idata, "sample_stats", None) or {}):
        msg = (
            "which='divergences' needs the variable 'diverging' of the group 'sample_stats', and "
            "this InferenceData has none"
        )
        raise UsageError(msg)
    return PosteriorPoints(idata=idata, which=which)
