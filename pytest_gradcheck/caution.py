"""Say what deserves a look though every check passed: warnings, which never fail a test.

Requirements:
    A healthy model gets none. Each warning has a threshold that noise, plenty of data, or a start
    at the centre of a prior does not reach.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.records import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import ComponentStats, Measurement

__all__ = ["cautions"]

STEEPER: Final = 2.0
"""How many times steeper than everywhere around it a singular point is, at least."""

SMALL: Final = 1e-2
"""The largest perturbation at which a gradient that collapses tells of a singularity."""

SAME: Final = 1e-9
"""Relative difference up to which two values, or two directions, are the same."""

DOMINANT: Final = 0.99
"""The share of the sum of all components' norms from which one drowns the others."""

_PAIR = 2


def cautions(measurement: Measurement) -> tuple[Finding, ...]:
    """Return the warnings for one measurement; none where nothing is odd.

    Args:
        measurement: whose values are looked at; nothing is evaluated.
    """
    if not measurement.finite:
        return ()  # what is not finite is a failure, and makes the rest unreliable
    return (
        *_singular(measurement),
        *_twice(measurement.native.components),
        *_dominant(measurement),
        *_flat(measurement),
        *_random(measurement),
    )


def _singular(measurement: Measurement) -> Iterator[Finding]:
    """Warn where the gradient is far steeper at the point than at every point around it."""
    samples, norm = measurement.samples, measurement.norm
    if len(samples) < _PAIR or not all(s.finite and s.scale <= SMALL for s in samples):
        return
    steepest = max(sample.norm for sample in samples)
    if norm > STEEPER * steepest > 0:
        name = max(measurement.native.parameters, key=lambda p: p.norm).name
        text = (
            f"the point sits on a singularity: norm {norm:.3g} there, at most {steepest:.3g} after "
            f"a perturbation of {samples[0].scale:g}; start somewhere else"
        )
        yield Finding(subject=name, text=text, observed=norm / steepest, limit=STEEPER)


def _twice(components: tuple[ComponentStats, ...]) -> Iterator[Finding]:
    """Warn of two terms with one value and one direction."""
    for i, one in enumerate(components):
        for j in range(i + 1, len(components)):
            other = components[j]
            aligned = len(one.cosines) > j and one.cosines[j] >= 1 - SAME
            if aligned and math.isclose(one.value, other.value, rel_tol=SAME):
                text = (
                    f"has the value and the direction of {other.name}: is one likelihood counted "
                    "twice?"
                )
                yield Finding(subject=one.name, text=text, observed=one.cosines[j], limit=1 - SAME)


def _dominant(measurement: Measurement) -> Iterator[Finding]:
    """Warn of a component that drowns all others; the only likelihood of a model may."""
    components = measurement.native.components
    if len(components) < _PAIR:
        return
    largest = max(components, key=lambda c: c.share)
    fitted = {c.name for c in components if c.norm > 0 and _fits_data(measurement, c.name)}
    if DOMINANT < largest.share < 1 and fitted != {largest.name}:
        text = f"has {100 * largest.share:.2f} % of the gradient norm of all components"
        yield Finding(subject=largest.name, text=text, observed=largest.share, limit=DOMINANT)


def _fits_data(measurement: Measurement, name: str) -> bool:
    """Return whether a component is a likelihood or a potential, as far as the model tells."""
    parts = str(measurement.structure.get(name, "Potential")).split("; ")
    return "observed" in parts or "Potential" in parts


def _flat(measurement: Measurement) -> Iterator[Finding]:
    """Warn of a term that depends on parameters and has no slope anywhere."""
    for name in measurement.flat:
        text = (
            "depends on parameters, yet its gradient is exactly zero, at a perturbed point as "
            "well: round(), argmax() or a comparison on the way?"
        )
        yield Finding(subject=name, text=text)


def _random(measurement: Measurement) -> Iterator[Finding]:
    """Warn of a log-density that is drawn anew in each evaluation."""
    if measurement.facts.get("stochastic") is True:
        text = f"is random: it was evaluated with seed {measurement.seed}, and differs with others"
        yield Finding(subject=measurement.sense, text=text)
