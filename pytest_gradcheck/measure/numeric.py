"""Compare the analytic gradient with finite differences along random directions.

A direction moves every parameter at once, so a whole model costs a few evaluations. Central
differences at three step sizes are extrapolated to zero. Only what cannot be explained by their
error, by the rounding of the analytic side and by the noise of one unit in the last place counts as
a disagreement; then bisection over the parameters finds where it comes from.

Requirements:
    The cost is bounded on failure too: at most `_BUDGET` directional derivatives.
    At a kink (a ReLU at exactly zero) the two sides differ for a right gradient, so a disagreement
    counts only if it is also there at a point nearby; at a tie (two equal maxima) one unit in the
    last place explains everything, so such an agreement counts only if it is there as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.backends import select
from pytest_gradcheck.errors import PrecisionError
from pytest_gradcheck.measure.ridders import extrapolated
from pytest_gradcheck.moves import direction, jittered, perturbed
from pytest_gradcheck.plan import Directions
from pytest_gradcheck.point import CHUNK, at_point, to_numpy
from pytest_gradcheck.records import DirectionalDerivative, Evaluation, Jitter, Objective, Precision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView

    _Grads = Mapping[str, ArrayView | None]

__all__ = ["EPS", "directional"]

EPS: Final = {
    "float64": 2.0**-52,
    "complex128": 2.0**-52,
    "float32": 2.0**-23,
    "complex64": 2.0**-23,
    "float16": 2.0**-10,
    "complex32": 2.0**-10,
    "bfloat16": 2.0**-7,
}

_STEPS = (16.0, 1.6, 0.16)  # in units of eps ** (1/3), where central differences are best
_SAFETY = 10.0  # times the estimated error
_RTOL = {2.0**-52: 1e-7, 2.0**-23: 1e-5, 2.0**-10: 5e-3, 2.0**-7: 3e-2}  # eps: of sum |g o v|
_NATIVE_RTOL = 5e-2  # the native gradient beside a float64 one: gross faults only
_ULP_DRAWS = 3
_BUDGET = 48
_NEARBY = 3.0  # times the largest step, so that no step leads back across a kink
_VAGUE = 1e-2  # of sum |g o v|: who allows that much has compared nothing
_KINK = "the derivatives disagree at the point and agree nearby: the point lies on a kink"
_UNDEFINED = "the value is not finite a small step away: there is no numeric derivative"


def directional(
    objective: Objective, evaluation: Evaluation, plan: Directions
) -> tuple[tuple[DirectionalDerivative, ...], tuple[str, ...]]:
    """Return one comparison for each direction, and more for what bisection finds.

    Args:
        objective: to evaluate; in float64 where it can be.
        evaluation: its native gradient at the point.
        plan: directions and tolerances.

    Returns:
        The comparisons, and notes for the reader.

    Raises:
        UsageError: a pattern of parameters to exclude matches none.
    """
    still = select(list(objective.point), plan.exclude, where="Numeric(exclude=...)")
    names = [name for name in objective.point if name not in still]
    probe = _home(objective, evaluation, plan)
    found: list[DirectionalDerivative] = []
    notes = [probe.note] if probe.note else []
    for seed in range(plan.seed, plan.seed + plan.count if names else 0):
        first = probe.compare(names, seed)
        if math.isnan(first.numeric):
            notes.append(_UNDEFINED)
            continue
        if not first.agrees or first.allowed > _VAGUE * first.scale:
            nearby = probe.nearby(seed)
            second = nearby.compare(names, seed)
            if second.agrees and not first.agrees:
                notes.append(_KINK)
            if not math.isnan(second.numeric):
                first = second if first.agrees or second.agrees else first
                probe = nearby
        found.append(first)
        if not first.agrees:
            found.extend(probe.bisect(names, seed))
            break
    return tuple(found), tuple(dict.fromkeys(notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """Compare analytic and numeric derivatives of one objective at one point."""

    objective: Objective
    plan: Directions
    native: _Grads
    grads: _Grads
    precision: Precision = "float64"
    eps: float = EPS["float64"]
    note: str = ""

    def nearby(self, seed: int) -> _Probe:
        """Return the same at a point nearby, off any kink."""
        scale = max(_NEARBY * _STEPS[0] * self.eps ** (1 / 3), 1e-3)
        moved = at_point(self.objective, perturbed(self.objective, scale=scale, seed=seed))
        native = grads = moved.value_and_grad(components=False).grads
        if self.grads is not self.native:
            grads = moved.value_and_grad(components=False, precision=self.precision).grads
        return replace(self, objective=moved, native=native, grads=grads)

    def compare(self, names: list[str], seed: int) -> DirectionalDerivative:
        """Compare along one direction, restricted to some parameters."""
        along = direction(self.objective, seed=seed)
        analytic, scale = self._inner(self.grads, along, names)
        native, _ = self._inner(self.native, along, names)
        numeric, error = self._numeric(names, along)
        allowed = self._allowed(scale, error)
        if abs(analytic - numeric) > allowed:
            allowed += _SAFETY * self._ulp_noise(names, along)
        if abs(analytic - numeric) <= allowed < abs(native - numeric):
            analytic, allowed = native, max(allowed, _NATIVE_RTOL * scale)
        return DirectionalDerivative(
            parameters=tuple(names),
            analytic=analytic,
            numeric=numeric,
            error=error,
            scale=scale,
            allowed=allowed,
            precision=self.precision,
            seed=seed,
        )

    def bisect(self, names: list[str], seed: int) -> list[DirectionalDerivative]:
        """Return the smallest groups of parameters that still disagree, within the budget."""
        left = _BUDGET
        found: list[DirectionalDerivative] = []
        pending = [names]
        while pending and left >= 2:  # noqa: PLR2004 - two halves
            group = pending.pop(0)
            if len(group) == 1:
                continue
            halves = group[: len(group) // 2], group[len(group) // 2 :]
            left -= len(halves)
            for half in halves:
                result = self.compare(half, seed)
                if not result.agrees:
                    pending.append(half)
                    found = [f for f in found if not set(half) < set(f.parameters)] + [result]
        return found

    def _numeric(
        self, names: list[str], along: Mapping[str, NDArray[np.float64]]
    ) -> tuple[float, float]:
        """Return the extrapolated central difference and its error."""
        base = {name: to_numpy(self.objective.point[name]) for name in names}
        estimates, size = [], 0.0
        for factor in _STEPS:
            step = factor * self.eps ** (1 / 3)
            up, down = (
                self.objective.value(
                    {n: base[n] + sign * step * along[n] for n in names}, precision=self.precision
                )
                for sign in (1.0, -1.0)
            )
            size = max(size, abs(up), abs(down))
            estimates.append((step, (up - down) / (2.0 * step)))
        return extrapolated(estimates, self.eps * size)

    def _allowed(self, scale: float, error: float) -> float:
        """Return the difference that numeric error and the analytic side's rounding explain."""
        rtol = self.plan.rtol
        if rtol is None:
            rtol = min(r for eps, r in _RTOL.items() if eps >= min(self.eps, max(_RTOL)))
        return _SAFETY * error + rtol * scale + (self.plan.atol or 0.0)

    def _ulp_noise(self, names: list[str], along: Mapping[str, NDArray[np.float64]]) -> float:
        """Return how far one unit in the last place moves the analytic derivative."""
        home, _ = self._inner(self.grads, along, names)
        worst = 0.0
        for seed in range(_ULP_DRAWS):
            point = jittered(self.objective, eps=self.eps, seed=seed)
            moved = self.objective.value_and_grad(point, components=False, precision=self.precision)
            worst = max(worst, abs(self._inner(moved.grads, along, names)[0] - home))
        return worst

    def _inner(
        self, grads: _Grads, along: Mapping[str, NDArray[np.float64]], names: list[str]
    ) -> tuple[float, float]:
        """Return the product of gradient and direction over all ranks, and of absolute terms."""
        ranks = self.objective.collective
        if ranks is None:
            return _inner(grads, along, names)
        here = _inner(grads, along, [name for name in names if ranks.owns(name)])
        total, scale = ranks.add(np.array(here)).tolist()
        return total, scale


def _home(objective: Objective, evaluation: Evaluation, plan: Directions) -> _Probe:
    """Return the probe at the point, in float64 where it can be had, with a note if not."""
    native = evaluation.grads
    probe = _Probe(objective=objective, plan=plan, native=native, grads=native)
    dtypes = {view.dtype for view in objective.point.values()}
    try:
        wide = objective.value_and_grad(components=False, precision="float64", jitter=Jitter())
    except PrecisionError as error:
        eps = max(evaluation.eps or 0.0, *(EPS.get(d, 0.0) for d in dtypes), EPS["float64"])
        note = f"numeric check in native precision: {error}"
        return replace(probe, precision="native", eps=eps, note=note)
    probe = replace(probe, eps=max(wide.eps or 0.0, EPS["float64"]))
    return probe if dtypes <= {"float64", "complex128"} else replace(probe, grads=wide.grads)


def _inner(
    grads: _Grads,
    along: Mapping[str, NDArray[np.float64]],
    names: list[str],
) -> tuple[float, float]:
    """Return the inner product of gradient and direction, and the sum of its absolute terms."""
    total, scale = [], []
    for name in names:
        view = grads[name]
        if view is None:
            continue
        flat = along[name].reshape(-1)
        for start, values in view.chunks(CHUNK):
            terms = values.astype(np.float64) * flat[start : start + values.size]
            total.append(float(terms.sum()))
            scale.append(float(np.abs(terms).sum()))
    return math.fsum(total), math.fsum(scale)
