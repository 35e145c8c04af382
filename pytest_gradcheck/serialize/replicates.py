"""Keep replicates in an entry of a baseline file, and read them back.

Requirements:
    Nothing that is drawn anew or computed by a later version is kept: norms, sketches, values and
    weights of each replicate are; means and intervals stand beside them to be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import (
    Estimate,
    ParameterReplicates,
    Replicate,
    Replicates,
    Sketch,
    WeightStats,
)
from pytest_gradcheck.serialize.packing import packed, packed_coarse, unpacked, unpacked_coarse
from pytest_gradcheck.serialize.rounding import six, three
from pytest_gradcheck.serialize.shapes import ReplicateLine, ReplicatesBlock

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["refuse_unfit", "replicates_block", "replicates_of"]

_ESTIMATES: Final = ("norm", "cv", "variance", "snr_squared")
_BYTES: Final = 4  # of each number of a sketch
_NONE: Final = 2.0  # no cosine is that large


def refuse_unfit(replicates: Replicates) -> None:
    """Raise where replicates cannot become a baseline.

    Raises:
        UsageError: a replicate is not finite.
    """
    if replicates.lost:
        seeds = ", ".join(map(str, replicates.lost))
        msg = f"NaN or Inf in replicates: seed {seeds}"
        raise UsageError(msg)
    if any(w.nonfinite for w in replicates.weighed):
        msg = "NaN or Inf among the weights that the loss reports"
        raise UsageError(msg)


def replicates_block(replicates: Replicates) -> ReplicatesBlock:
    """Return what an entry keeps of replicates, none of them lost."""
    parameters = {p.name for p in replicates.parameters}
    ess, largest = replicates.ess, replicates.max_weight
    estimates = {name: getattr(replicates, name) for name in _ESTIMATES}
    return ReplicatesBlock(
        seed=replicates.seed,
        count=replicates.count,
        stream=replicates.stream,
        mean_norm=six(replicates.mean_norm),
        estimates={
            name: tuple(None if x is None else six(x) for x in (e.value, e.low, e.high))
            for name, e in estimates.items()
        },
        allowances={k: three(a) for k, a in replicates.allowances.items() if k not in parameters},
        ess=None if ess is None else six(ess),
        max_weight=None if largest is None else six(largest),
        exact=packed(
            number
            for one in replicates.each
            for number in (one.value, one.norm, _NONE if one.cosine is None else one.cosine)
        ),
        weights=_packed_weights(replicates),
        parameters={p.name: _line(p, replicates) for p in replicates.parameters},
    )


def replicates_of(block: ReplicatesBlock) -> Replicates:
    """Return the replicates that an entry keeps.

    Raises:
        UsageError: packed numbers are missing or left over.
    """
    numbers = _rows(unpacked(block.exact), block.count)
    weights = _weights(block)
    each = tuple(
        Replicate(
            seed=block.seed + r,
            value=value,
            norm=norm,
            cosine=None if cosine == _NONE else cosine,
            weights=weights[r],
        )
        for r, (value, norm, cosine) in enumerate(numbers)
    )
    estimates = {name: _estimate(block, name) for name in _ESTIMATES}
    own = {name: line.allowance for name, line in block.parameters.items()}
    return Replicates(
        seed=block.seed,
        count=block.count,
        each=each,
        parameters=tuple(_parameter(n, line, block.count) for n, line in block.parameters.items()),
        mean_norm=block.mean_norm,
        norm=estimates["norm"],
        cv=estimates["cv"],
        variance=estimates["variance"],
        snr_squared=estimates["snr_squared"],
        stream=block.stream,
        allowances={**own, **block.allowances},
    )


def _line(parameter: ParameterReplicates, replicates: Replicates) -> ReplicateLine:
    """Show one parameter."""
    values = tuple(number for row in parameter.sketches for number in row)
    return ReplicateLine(
        mean_norm=six(parameter.mean_norm),
        variance=six(parameter.variance),
        size=parameter.size,
        allowance=three(replicates.allowances.get(parameter.name, 0.0)),
        norms=packed(parameter.norms),
        sketches=packed_coarse(Sketch(norm=0.0, values=values), _BYTES),
    )


def _parameter(name: str, line: ReplicateLine, count: int) -> ParameterReplicates:
    """Return one parameter."""
    norms = unpacked(line.norms)
    if len(norms) != count:
        msg = f"{len(norms)} norms of {count} replicates"
        raise UsageError(msg)
    return ParameterReplicates(
        name=name,
        size=line.size,
        mean_norm=line.mean_norm,
        variance=line.variance,
        norms=norms,
        sketches=tuple(_rows(unpacked_coarse(line.sketches).values, count)),
    )


def _rows(numbers: Sequence[float], count: int) -> list[tuple[float, ...]]:
    """Return numbers in as many rows of equal length."""
    width, odd = divmod(len(numbers), count or 1)
    if odd or not width:
        msg = f"{len(numbers)} packed numbers are not those of {count} replicates"
        raise UsageError(msg)
    return [tuple(numbers[r * width : (r + 1) * width]) for r in range(count)]


def _estimate(block: ReplicatesBlock, name: str) -> Estimate:
    """Return one estimate."""
    found = block.estimates.get(name, ())
    if len(found) != 3:  # noqa: PLR2004 - value, low, high
        msg = f"the estimate {name!r} is missing"
        raise UsageError(msg)
    return Estimate(value=found[0], low=found[1], high=found[2])


def _packed_weights(replicates: Replicates) -> str | None:
    """Return the weights of every replicate, ``None`` unless each reported some."""
    weighed = replicates.weighed
    if not weighed or len(weighed) < len(replicates.each):
        return None
    return packed(
        float(x)
        for w in weighed
        for x in (w.instances, w.samples, w.ess, w.least, w.ess_absolute, w.largest, w.signed)
    )


def _weights(block: ReplicatesBlock) -> list[WeightStats | None]:
    """Return the weights of every replicate, without those of single instances."""
    if block.weights is None:
        return [None] * block.count
    return [
        WeightStats(
            instances=int(row[0]),
            samples=int(row[1]),
            ess=row[2],
            least=row[3],
            ess_absolute=row[4],
            largest=row[5],
            signed=bool(row[6]),
        )
        for row in _rows(unpacked(block.weights), block.count)
    ]
