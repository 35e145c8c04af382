"""What comparing estimators found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Estimate, Measurement, Replicates, Table

if TYPE_CHECKING:
    from pytest_gradcheck.records import Scalar

__all__ = ["Comparison", "Pair"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Hold one estimator against the first.

    Attributes:
        name, reference: of the two.
        chance: probability, by chance, of means that seem to differ as much as these do: paired t
            tests of the numbers of all sketches, corrected for their number (Bonferroni).
        level: below which the means are called different.
        distance: between the mean gradients, relative to the norm of the reference's mean.
        smallest: distance, in the same unit, that is seen in nine of ten runs whatever its
            direction.
        variance_ratio: this variance over that of the reference, with its 95 % interval (jackknife
            of the logarithm, the same seeds left out of both).
    """

    name: str
    reference: str
    chance: float
    level: float
    distance: float
    smallest: float
    variance_ratio: Estimate

    @property
    def same_mean(self) -> bool:
        """Whether the two means cannot be told apart."""
        return self.chance >= self.level


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Hold several estimators of one gradient; the first is what the others are held against.

    Attributes:
        measurement: of the first under its own seed.
        estimators: the replicates of each by name.
        pairs: all but the first, against the first.
    """

    measurement: Measurement
    estimators: Mapping[str, Replicates]
    pairs: tuple[Pair, ...]

    @property
    def same_mean(self) -> bool:
        """Whether no mean can be told from that of the first."""
        return all(pair.same_mean for pair in self.pairs)

    def __getitem__(self, name: str) -> Pair:
        """Return one estimator against the first."""
        for pair in self.pairs:
            if pair.name == name:
                return pair
        known = ", ".join(repr(pair.name) for pair in self.pairs)
        msg = f"{name!r} is not compared with the first estimator; known: {known}"
        raise UsageError(msg)

    @property
    def table(self) -> Table:
        """Everything in one table."""
        pairs = {pair.name: pair for pair in self.pairs}
        found = next(iter(self.estimators.values()))
        level = self.pairs[0].level
        return Table(
            title=(
                f"{len(self.estimators)} estimators, {found.count} replicates from seed "
                f"{found.seed}; means differ below {level:g}"
            ),
            head=(
                *("estimator", "norm of mean", "mean norm", "cv", "SNR squared", "variance", "ESS"),
                *("variance ratio", "95 % interval", "same mean", "chance", "distance", "smallest"),
            ),
            rows=tuple(_row(name, r, pairs.get(name)) for name, r in self.estimators.items()),
        )

    def __str__(self) -> str:
        """Show the table."""
        from pytest_gradcheck.reporters.plain import plain_lines

        return "\n".join(plain_lines(self.table))


def _row(name: str, found: Replicates, pair: Pair | None) -> tuple[Scalar, ...]:
    """Return the row of one estimator."""
    own = (
        name,
        found.mean_norm,
        found.norm.value,
        found.cv.value,
        found.snr_squared.value,
        found.variance.value,
        found.ess,
    )
    if pair is None:
        return (*own, *(None,) * 6)
    ratio = pair.variance_ratio
    interval = None
    if ratio.low is not None and ratio.high is not None:
        interval = f"{ratio.low:.3g} .. {ratio.high:.3g}"
    return (
        *own,
        ratio.value,
        interval,
        pair.same_mean,
        pair.chance,
        pair.distance,
        pair.smallest,
    )
