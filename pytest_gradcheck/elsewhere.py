"""Gradients that are measured in one process and judged in another one.

A test may start processes of its own, the ranks of a process group. They measure, and return
measurements; the test hands one of them to ``gradcheck``, which keeps baselines as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck import api
from pytest_gradcheck.checks.drift import recordable
from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.limits import parse
from pytest_gradcheck.recording import record
from pytest_gradcheck.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Unpack

    from pytest_gradcheck.records import Objective

__all__ = ["as_recordable", "record_gradients", "subject"]


def record_gradients(
    model: object, loss: Callable[[], object] | None = None, **options: Unpack[api.Options]
) -> Measurement:
    """Measure all that a baseline needs, its noise included: some 20 evaluations.

    Args:
        model: as for `pytest_gradcheck.check_gradients`.
        loss: as there.
        **options: as there; limits say which evaluations are needed.

    Returns:
        The measurement, for ``gradcheck`` or as ``baseline=``.
    """
    given, written = api.split(options)
    return record(api.source(model, loss, **given), parse(("the call", written)))


def subject(
    model: object, loss: Callable[[], object] | None, given: Mapping[str, Any]
) -> Objective | Measurement:
    """Return the objective that a call describes, or the measurement that it was given.

    Raises:
        UsageTypeError: a measurement comes with what would have made it.
    """
    if not isinstance(model, Measurement):
        return api.source(model, loss, **given)
    extra = [*(["loss"] if loss is not None else []), *given]
    if extra:
        msg = f"a Measurement is judged as it is: leave out {', '.join(extra)}"
        raise UsageTypeError(msg)
    return model


def as_recordable(measurement: Measurement) -> Measurement:
    """Return a measurement with allowances: its own, or those of its dtypes."""
    return measurement if measurement.allowances else recordable(measurement)
