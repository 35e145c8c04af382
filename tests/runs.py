"""Training runs made of numbers: no framework, no loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_gradcheck.records import Metric, Series

__all__ = ["STEPS", "falling", "metric", "run", "with_values"]

STEPS = 20


def metric(
    key: str, *values: float, group: str = "core", start: int = 0, source: str = ""
) -> Metric:
    """Return a metric that was seen at every step from one on."""
    steps = tuple(range(start, start + len(values)))
    return Metric(key=key, group=group, steps=steps, values=values, source=source)


def falling(first: float = 4.0) -> tuple[float, ...]:
    """Return values that fall beyond doubt, and not on a line."""
    return tuple(first * 0.9**i + 0.01 * (i % 2) for i in range(STEPS))


def run(*extra: Metric, **changes: Any) -> Series:
    """Return a healthy run, with metrics added or exchanged for others of the same name."""
    core: dict[str, tuple[str, tuple[float, ...]]] = {
        "loss": ("core", falling()),
        "norm": ("core", falling(2.0)),
        "applied_norm": ("core", tuple(min(v, 1.9) for v in falling(2.0))),
        "clipped": ("core", (1.0, *(0.0,) * (STEPS - 1))),
        "clip_threshold": ("core", (1.9,) * STEPS),
        "lr": ("core", (1e-3,) * STEPS),
        "update_ratio": ("core", (2e-3,) * STEPS),
        "loss_scale": ("core", (1024.0,) * STEPS),
        "skipped": ("core", (0.0,) * STEPS),
        "component.fit": ("component", falling(3.0)),
        "component.prior": ("component", falling(1.0)),
        "input.min": ("scale", (-2.0,) * STEPS),
        "input.max": ("scale", (3.0,) * STEPS),
        "input.mean": ("scale", (0.1,) * STEPS),
        "input.std": ("scale", (1.0,) * STEPS),
        "input.max_abs": ("scale", (3.0,) * STEPS),
        "policy.entropy": ("policy", (1.5,) * STEPS),
        "norm.encoder.weight": ("parameter", falling(1.9)),
        "norm.encoder.bias": ("parameter", falling(0.5)),
    }
    metrics = {key: metric(key, *values, group=group) for key, (group, values) in core.items()}
    metrics |= {one.name: one for one in extra}
    series = Series(
        objective="Net",
        backend="torch",
        device="cpu",
        steps=STEPS,
        metrics=tuple(metrics.values()),
        epochs=(10,),
        facts={"optimizers": "Adam", "parameters": 2, "batch": 16},
        packages={"torch": "2.13.0"},
        seconds=1.5,
    )
    return replace(series, **changes)


def with_values(series: Series, name: str, *values: float) -> Series:
    """Return a run one metric of which went another way."""
    metrics = tuple(
        replace(one, values=values) if one.name == name else one for one in series.metrics
    )
    return replace(series, metrics=metrics)
