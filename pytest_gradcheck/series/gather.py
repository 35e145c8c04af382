"""Make a series of what was written down: total norms, clipped or not, update-to-weight ratios."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.records import Metric, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_gradcheck.series.rows import LoggedRow, Notebook, StepRow

__all__ = ["gather"]

_CORE = (
    *("loss", "norm", "applied_norm", "clipped", "clip_threshold"),
    *("update_ratio", "loss_scale", "skipped", "backwards"),
)
_CLIP_EPS = 1e-6  # that torch.nn.utils.clip_grad_norm_ adds to the norm

Column = tuple[list[int], list[float]]


def gather(book: Notebook) -> Series:
    """Return the series of everything in a notebook, core metrics first."""
    sources = list(dict.fromkeys(row.source for row in book.rows))
    several = len(sources) > 1
    table: dict[tuple[str, str, str], Column] = {}
    for row in book.rows:
        for key, value in _derived(row):
            group = "parameter" if key.startswith("norm.") else "core"
            _enter(table, (row.source if several else "", group, key), row.step, value)
    for logged in book.logged:
        for key, value in (*logged.values.items(), *_reach(logged)):
            _enter(table, ("", logged.group, key), logged.step, value)
    _prefer_logged_loss(table)
    _drop_plain_backwards(table)
    metrics = [
        Metric(source=source, group=group, key=key, steps=tuple(steps), values=tuple(values))
        for (source, group, key), (steps, values) in table.items()
    ]
    metrics.sort(key=_order)
    steps = max((row.step + 1 for row in book.rows), default=0)
    return Series(
        objective=book.objective or "the model",
        backend=book.backend,
        device=book.device,
        steps=steps,
        metrics=tuple(metrics),
        epochs=tuple(book.epochs),
        facts=dict(book.facts),
        packages=dict(book.packages),
        notes=tuple(book.notes),
        seconds=book.seconds,
    )


def _enter(
    table: dict[tuple[str, str, str], Column], at: tuple[str, str, str], step: int, value: float
) -> None:
    """Enter a value; the last one that a step has counts."""
    steps, values = table.setdefault(at, ([], []))
    if steps and steps[-1] == step:
        values[-1] = value
    else:
        steps.append(step)
        values.append(value)


def _derived(row: StepRow) -> Iterator[tuple[str, float]]:
    """Yield the metrics of one step."""
    raw = row.values
    norms = {key: value for key, value in raw.items() if key.startswith("norm.")}
    skipped = bool(raw.get("skipped"))
    for key in ("loss", "loss_scale", "skipped", "backwards"):
        if key in raw:
            yield key, raw[key]
    yield from ((key, value) for key, value in raw.items() if key.partition(".")[0] == "lr")
    if skipped:  # its gradients overflowed and were not used
        return
    if norms:
        norm = _hypot(norms.values())
        yield "norm", norm
        yield from _clipping(raw, norm)
    if raw.get("weight"):
        yield "update_ratio", raw["update"] / raw["weight"]
    yield from norms.items()


def _reach(logged: LoggedRow) -> Iterator[tuple[str, float]]:
    """Yield the largest absolute value of each input."""
    for key, low in logged.values.items():
        name, _, statistic = key.rpartition(".")
        if logged.group == "scale" and statistic == "min":
            yield f"{name}.max_abs", max(abs(low), abs(logged.values[f"{name}.max"]))


def _clipping(raw: Mapping[str, float], norm: float) -> Iterator[tuple[str, float]]:
    """Yield whether gradients were clipped, to what, and what was left of the norm."""
    clips = {key.split(".")[1] for key in raw if key.startswith("clip.")}
    if not clips:
        return
    clipped, applied, threshold = False, norm, math.nan
    for number in sorted(clips, key=int):
        total = raw.get(f"clip.{number}.total", math.nan)
        threshold = raw.get(f"clip.{number}.norm", math.nan)
        if math.isnan(threshold):
            threshold = raw[f"clip.{number}.value"]
            clipped |= raw[f"clip.{number}.largest"] > threshold
        elif total > threshold:
            clipped = True
            applied *= threshold / (total + _CLIP_EPS) if math.isfinite(total) else 0.0
    yield "clipped", float(clipped)
    yield "clip_threshold", threshold
    yield "applied_norm", raw.get("applied", applied)


def _hypot(values: Iterable[float]) -> float:
    """Return the norm of norms; NaN wins over Inf, as in every sum."""
    numbers = list(values)
    return math.nan if any(map(math.isnan, numbers)) else math.hypot(*numbers)


def _prefer_logged_loss(table: dict[tuple[str, str, str], Column]) -> None:
    """Let the loss that the user logged stand for the one that was seen."""
    logged = table.pop(("", "logged", "loss"), None)
    if logged is not None:
        table["", "core", "loss"] = logged


def _drop_plain_backwards(table: dict[tuple[str, str, str], Column]) -> None:
    """Leave out how often gradients were accumulated where they were not."""
    for at in [at for at in table if at[2] == "backwards"]:
        if set(table[at][1]) == {1.0}:
            del table[at]


def _order(metric: Metric) -> tuple[int, int, str]:
    """Return where a metric stands: core ones first and in their own order, parameters last."""
    groups = {"core": 0, "component": 1, "logged": 2, "scale": 4, "parameter": 5}
    place = _CORE.index(metric.key) if metric.key in _CORE else len(_CORE)
    return groups.get(metric.group, 3), place, metric.source
