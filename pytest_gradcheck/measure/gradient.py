"""Evaluate an objective as a plan asks, and reduce what comes back to a measurement.

Requirements:
    This is the only room that calls user code. It knows no limits and no baselines.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import PrecisionError, UsageError
from pytest_gradcheck.measure.numeric import directional
from pytest_gradcheck.measure.replicates import replicates
from pytest_gradcheck.moves import perturbed
from pytest_gradcheck.plan import Perturbation, Plan
from pytest_gradcheck.progress import working
from pytest_gradcheck.records import Evaluation, Measurement, Objective, Sample, Start
from pytest_gradcheck.stats import gradient_stats, placed, point_stats
from pytest_gradcheck.stats.components import component_stats
from pytest_gradcheck.stats.histogram import histograms
from pytest_gradcheck.stats.mismatch import mismatches
from pytest_gradcheck.stats.sketch import total_cosine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_gradcheck.records import ComponentStats, DirectionalDerivative, GradientStats

__all__ = ["is_wide", "measure", "samples"]


def measure(objective: Objective, plan: Plan | None = None) -> Measurement:
    """Return the statistics of the gradient at the objective's point and around it.

    Args:
        objective: what to differentiate, and where.
        plan: the extra evaluations; the point alone by default.

    Raises:
        UsageError: the backend returned a gradient that does not fit its parameter, or nothing
            evaluates the points that were named.
    """
    plan = plan or Plan()
    if objective.starts is not None and plan.perturbation is None:
        msg = "the points of at= have nothing to act on: perturb is off"
        raise UsageError(msg)
    started = time.perf_counter()
    evaluation = objective.value_and_grad()
    _check_shapes(objective, evaluation)
    native = gradient_stats(evaluation, objective.point, top=plan.top)
    alone = objective.collective is None  # else what is asked for here may lie on another rank
    if alone:
        native = placed(native, objective.point, objective.coordinates, top=plan.top)
    counted = histograms(evaluation) if plan.histogram else {}
    shadow, notes = _shadow(objective) if plan.shadow else (None, ())
    derivatives: tuple[DirectionalDerivative, ...] = ()
    if plan.directions is not None and native.finite:
        derivatives, said = directional(objective, evaluation, plan.directions)
        notes += said
    flat = _level(native.components) if plan.perturbation and native.finite and alone else ()
    origins = () if native.finite or objective.origins is None else objective.origins()
    found = replicates(objective, plan.replicates) if plan.replicates else None
    if found is not None and found.identical:
        notes += (f"all {found.count} replicates are equal: the loss draws nothing at random",)
    policy = dict(evaluation.policy)
    odd = mismatches(evaluation, objective.sense) if objective.separate_terms else ()
    del evaluation  # the gradients themselves are not needed beside those of the samples
    return Measurement(
        objective=objective.name,
        backend=objective.backend,
        device=objective.device,
        sense=objective.sense,
        seed=objective.seed,
        at=objective.at,
        native=native,
        shadow=shadow,
        point=point_stats(
            objective.point, keep=objective.stores_point, collective=objective.collective
        ),
        samples=samples(objective, native, plan.perturbation) if plan.perturbation else (),
        origins=origins,
        flat=_still_level(objective, flat, plan.perturbation) if plan.perturbation else (),
        directional=derivatives,
        replicates=found,
        mismatches=odd,
        facts=dict(objective.facts),
        structure=dict(objective.structure),
        policy=policy,
        packages=dict(objective.packages),
        notes=notes,
        seconds=time.perf_counter() - started,
        histograms=counted,
    )


def is_wide(objective: Objective) -> bool:
    """Whether the model computes in float64 itself, and is its own shadow."""
    return all(view.dtype in {"float64", "complex128"} for view in objective.point.values())


def _shadow(objective: Objective) -> tuple[GradientStats | None, tuple[str, ...]]:
    """Return the statistics of the gradient in float64, or a note that says why there are none."""
    if is_wide(objective):
        return None, ()
    try:
        evaluation = objective.value_and_grad(precision="float64")
    except PrecisionError as error:
        seen = _dtypes(objective)
        note = f"no float64 shadow, so drift below the noise of {seen} is not seen: {error}"
        return None, (note,)
    return gradient_stats(evaluation, objective.point, top=0), ()


def _dtypes(objective: Objective) -> str:
    """Return the dtypes of the parameters, for messages."""
    return ", ".join(dict.fromkeys(view.dtype for view in objective.point.values()))


def samples(
    objective: Objective, native: GradientStats, perturbation: Perturbation
) -> tuple[Sample, ...]:
    """Return the gradient at other points, reduced and held against the one at the point."""
    found: list[Sample] = []
    blame = objective.origins
    scale = 0.0 if objective.starts is not None else perturbation.scale
    with working(f"evaluating points of '{objective.name}'", perturbation.samples) as advance:
        for start in _starts(objective, perturbation):
            evaluation = objective.value_and_grad(start.values, components=False)
            stats = gradient_stats(evaluation, objective.point, top=0)
            # What arises at the point arises nearby, too; one row's story is that of the others.
            silent = native.finite and not any(sample.origins for sample in found)
            wrong = silent and not stats.finite
            found.append(
                Sample(
                    label=start.label,
                    seed=start.seed,
                    scale=scale,
                    value=stats.value,
                    norm=stats.norm,
                    cosine=_cosine(native, stats),
                    nonfinite=tuple(p.name for p in stats.parameters if not p.finite),
                    nans=stats.nans,
                    infs=stats.infs,
                    dead=tuple(p.name for p in stats.parameters if p.dead),
                    origins=blame(start.values) if wrong and blame is not None else (),
                )
            )
            advance()
    return tuple(found)


def _starts(objective: Objective, perturbation: Perturbation) -> Iterator[Start]:
    """Yield the points to evaluate: those that the user named, or Gaussian perturbations."""
    if objective.starts is not None:
        yield from objective.starts(perturbation.samples, perturbation.seed)
        return
    for i in range(perturbation.samples):
        seed = perturbation.seed + i
        yield Start(
            label=f"perturbed {perturbation.scale:.0e} #{i}",
            seed=seed,
            values=perturbed(objective, scale=perturbation.scale, seed=seed),
        )


def _level(components: Iterable[ComponentStats]) -> tuple[str, ...]:
    """Return the components that depend on parameters and whose gradient is exactly zero."""
    return tuple(c.name for c in components if c.pushes and not (c.norm or c.nonfinite))


def _still_level(
    objective: Objective, names: tuple[str, ...], perturbation: Perturbation
) -> tuple[str, ...]:
    """Return those of some components whose gradient is zero at a perturbed point, too."""
    if not names:
        return ()
    point = perturbed(objective, scale=perturbation.scale, seed=perturbation.seed)
    there = _level(component_stats(objective.value_and_grad(point).components))
    return tuple(name for name in names if name in there)


def _cosine(a: GradientStats, b: GradientStats) -> float:
    """Return the cosine of two whole gradients; ``nan`` where one is zero or not finite."""
    if a.nans + a.infs + b.nans + b.infs != 0:
        return math.nan
    pairs = [
        (p.sketch, q.sketch)
        for p, q in zip(a.parameters, b.parameters, strict=True)
        if p.sketch is not None and q.sketch is not None
    ]
    return total_cosine(pairs) if pairs else math.nan


def _check_shapes(objective: Objective, evaluation: Evaluation) -> None:
    """Check that a backend keeps its promise: one gradient for each parameter, of its shape."""
    if list(evaluation.grads) != list(objective.point):
        msg = (
            f"the {objective.backend} backend returned gradients of {list(evaluation.grads)} for "
            f"parameters {list(objective.point)}"
        )
        raise UsageError(msg)
    for name, view in evaluation.grads.items():
        if view is not None and view.shape != objective.point[name].shape:
            msg = f"gradient of {name!r} has shape {view.shape}, not {objective.point[name].shape}"
            raise UsageError(msg)
