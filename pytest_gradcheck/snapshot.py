"""The bridge to syrupy, for those who like ``assert gradient == grad_snapshot``.

The gradient is stored by syrupy, beside its other snapshots and under its own flags; comparing is
ours, with allowances. What it cannot do, because syrupy decides when to write: record only after
the whole test passed, keep variants by device, refuse to delete what this run cannot know is
unused, move the point of comparison when the starting point moved, or take limits. For these use
the ``gradcheck`` fixture; its files are not touched.

Requirements:
    Only serialisation and comparison are overridden. Storage methods have changed their names and
    arguments between major versions of syrupy, and overrides of them went dead without an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_gradcheck.checks.drift import compare, recordable
from pytest_gradcheck.errors import MissingExtraError, UsageError, UsageTypeError
from pytest_gradcheck.explain import finding_lines
from pytest_gradcheck.records import Measurement
from pytest_gradcheck.serialize import baseline_text, parse_baseline

try:
    from syrupy.assertion import SnapshotAssertion
    from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
except ImportError as error:
    message = f"grad_snapshot needs syrupy ({error}); run: pip install 'pytest-gradcheck[syrupy]'"
    raise MissingExtraError(message) from None

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GradientSnapshotExtension", "gradient_snapshot"]

_KEY = "gradient"


class GradientSnapshotExtension(SingleFileSnapshotExtension):
    """Store the statistics of a gradient through syrupy, and compare them within allowances.

    What is compared is a `Measurement`, or what ``gradcheck.measure`` returns. Allowances are those
    of the stored snapshot. See the module for what syrupy cannot do.

    Example:
        ``assert gradcheck.measure(model, loss) == grad_snapshot``
    """

    file_extension = "gradient"
    _write_mode = WriteMode.TEXT

    def serialize(self, data: object, **_options: Any) -> str:  # noqa: ANN401 - syrupy's own
        """Return the measurement as the text of a baseline.

        Raises:
            UsageError: something else was compared, or a gradient that is not finite.
        """
        measurement = getattr(data, "measurement", data)
        if not isinstance(measurement, Measurement):
            msg = (
                f"grad_snapshot compares measurements, not {type(data).__name__}; "
                "write: assert gradcheck.measure(model, loss) == grad_snapshot"
            )
            raise UsageTypeError(msg)
        if not measurement.finite:
            msg = f"the gradient of '{measurement.objective}' is not finite: it is never stored"
            raise UsageError(msg)
        stored = recordable(measurement)
        return baseline_text(dict(measurement.packages), {_KEY: stored})

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:  # noqa: ANN401
        """Whether the gradient equals its snapshot within the snapshot's allowances."""
        if not snapshot_data:
            return False
        return compare(_read(serialized_data), _read(snapshot_data)).outcome == "passed"

    def diff_lines(self, serialized_data: Any, snapshot_data: Any) -> Iterator[str]:  # noqa: ANN401
        """Yield what drifted, by how much and against which allowance."""
        if snapshot_data:
            now = _read(serialized_data)
            result = compare(now, _read(snapshot_data))
            yield from finding_lines(result, [p.name for p in now.native.parameters])
            yield from (f"  cause: {sentence}" for sentence in result.diagnosis)


def gradient_snapshot(snapshot: object) -> SnapshotAssertion:
    """Return syrupy's ``snapshot`` with our extension.

    Raises:
        UsageError: the ``snapshot`` fixture belongs to another plugin.
    """
    if not isinstance(snapshot, SnapshotAssertion):
        msg = (
            f"the fixture 'snapshot' is a {type(snapshot).__name__} of another plugin; "
            "grad_snapshot needs syrupy's: switch the other one off with -p no:NAME"
        )
        raise UsageError(msg)
    return snapshot.use_extension(GradientSnapshotExtension)


def _read(text: str) -> Measurement:
    """Return the measurement of a snapshot's text."""
    entry = parse_baseline(text)[1][_KEY]
    if isinstance(entry, Measurement):
        return entry
    msg = "the snapshot keeps a training run, not a gradient; run again with --snapshot-update"
    raise UsageError(msg)
