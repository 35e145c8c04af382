"""Gradients that are measured in one process and judged in another one.

A test may start processes of its own, the ranks of a process group. They measure, and return
measurements; the test hands one of them to ``gradcheck``, which keeps baselines as ever.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from pytest_gradcheck import api
from pytest_gradcheck.checks.drift import recordable
from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.limits import parse
from pytest_gradcheck.recording import record, recorded
from pytest_gradcheck.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Unpack

    from pytest_gradcheck.records import Objective

__all__ = ["of_rank_0", "record_gradients", "recorder", "subject"]

_Found = TypeVar("_Found")


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


def recorder(made_by: Objective | Measurement) -> Callable[[Measurement], Measurement]:
    """Return what makes a baseline of a measurement: measures its noise, where that can be."""
    if isinstance(made_by, Measurement):
        return _as_recordable
    return partial(recorded, made_by)


def of_rank_0(made_by: Objective | Measurement, found: _Found) -> _Found:
    """Return what rank 0 found in a baseline file, where several ranks measure together.

    What to evaluate depends on it, and rank 0 alone may have the file.
    """
    ranks = None if isinstance(made_by, Measurement) else made_by.collective
    return found if ranks is None else cast("_Found", ranks.share(found))


def _as_recordable(measurement: Measurement) -> Measurement:
    """Return a measurement with allowances: its own, or those of its dtypes."""
    return measurement if measurement.allowances else recordable(measurement)
