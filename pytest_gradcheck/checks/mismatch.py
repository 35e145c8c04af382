"""Say where the gradient is not the sum of its components: a finding of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.records import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import Measurement, Mismatch

__all__ = ["mismatch_findings"]

_UNSTABLE = "the log-density is numerically unstable here"


def mismatch_findings(measurement: Measurement) -> Iterator[Finding]:
    """Yield one finding for each parameter, and for the value, that does not add up."""
    for mismatch in measurement.mismatches:
        for text in _said(mismatch):
            yield Finding(subject=mismatch.subject, text=f"{text}: {_UNSTABLE}")


def _said(mismatch: Mismatch) -> Iterator[str]:
    """Yield in what the two differ."""
    if mismatch.only_whole:
        yield (
            f"the sampler's function and the sum of the terms differ: {mismatch.only_whole} not "
            "finite in the sampler's alone"
        )
    if mismatch.only_sum:
        yield (
            f"the sampler's function and the sum of the terms differ: {mismatch.only_sum} not "
            "finite in the sum alone"
        )
    if mismatch.distance:
        yield (
            "the sampler's function and the sum of the terms differ: relative distance "
            f"{mismatch.distance:.3g}, more than rounding explains"
        )
