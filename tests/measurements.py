"""Measurements to test with: one by hand, and Hypothesis strategies for any that can be stored."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from pytest_gradcheck.records import (
    CheckResult,
    ComponentStats,
    Element,
    Finding,
    GradientStats,
    Measurement,
    ParameterStats,
    PointStats,
    Sample,
    Sketch,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST = 1e150


def sketch(*values: float) -> Sketch:
    """Return the sketch of an array so small that it is its own sketch."""
    return Sketch(norm=math.hypot(*values), values=values)


def parameter(name: str, *values: float, dtype: str = "float32") -> ParameterStats:
    """Return the statistics of a one-dimensional gradient of at most 32 elements."""
    largest = sorted(range(len(values)), key=lambda i: -abs(values[i]))
    return ParameterStats(
        name=name,
        shape=(len(values),),
        dtype=dtype,
        norm=math.hypot(*values),
        max_abs=max(map(abs, values)),
        mean=sum(values) / len(values),
        zeros=values.count(0.0),
        top=tuple(Element(index=(i,), value=values[i]) for i in largest),
        sketch=sketch(*values),
    )


def tier(*parameters: ParameterStats, value: float = 1.23456789) -> GradientStats:
    """Return a gradient with two components."""
    return GradientStats(
        value=value,
        parameters=parameters,
        components=(
            ComponentStats(name="recon", value=1.0, norm=0.3, share=0.75, cosines=(1.0, -0.1)),
            ComponentStats(name="kl", value=0.23456789, norm=0.1, share=0.25, cosines=(-0.1, 1.0)),
        ),
    )


def measurement(*, shadow: bool = False, **changes: Any) -> Measurement:
    """Return a measurement of two parameters, with fields replaced as asked."""
    native = tier(parameter("encoder.weight", 0.1, -0.2, 0.0), parameter("encoder.bias", 1 / 3))
    twin = tier(
        parameter("encoder.weight", 0.1 + 1e-9, -0.2, 0.0, dtype="float64"),
        parameter("encoder.bias", 1 / 3 + 1e-9, dtype="float64"),
        value=1.2345678,
    )
    whole = Measurement(
        objective="vae",
        backend="torch",
        device="cpu",
        sense="loss",
        seed=7,
        native=native,
        shadow=twin if shadow else None,
        point=PointStats(
            sketches=(sketch(1.0, 2.0, 3.0), sketch(0.5)), dtypes=("float32", "float32")
        ),
        samples=(Sample(label="near #0", seed=7, scale=1e-3, value=1.3, norm=0.41, cosine=0.9),),
        allowances={"encoder.weight": 3e-5, "encoder.bias": 3e-5},
        facts={"data x": "float32[8, 6]", "frozen": 0},
        structure={"reduction": "mean"},
        packages={"torch": "2.13.0"},
        seconds=0.25,
    )
    return replace(whole, **changes)


def verdict(of: Measurement | None = None, **changes: Any) -> Verdict:
    """Return a verdict with a passed check and a failed one, with fields replaced as asked."""
    drift = CheckResult(
        check="drift",
        outcome="failed",
        reason="drift",
        findings=(Finding(subject="encoder.weight", text="norm 0.2 -> 0.22", observed=0.1),),
        hints=("run again with --grad-baseline-update",),
        diagnosis=("every gradient scaled by 1.1",),
    )
    whole = Verdict(
        name="",
        measurement=of or measurement(),
        baseline=measurement(),
        results=(CheckResult(check="finite", outcome="passed"), drift),
        limits={"max_norm": "10.0"},
    )
    return replace(whole, **changes)


def numbers(largest: float = LARGEST) -> st.SearchStrategy[float]:
    """Generate finite floats, signed zeros and subnormal ones included."""
    return st.floats(-largest, largest)


def names() -> st.SearchStrategy[str]:
    """Generate names, as odd as they come."""
    return st.one_of(st.sampled_from(["w", "encoder.0.weight", "tau_log__", "μ"]), st.text())


def scalars() -> st.SearchStrategy[str | int | float | bool | None]:
    """Generate what facts may hold."""
    return st.one_of(st.text(), st.integers(), numbers(), st.booleans(), st.none())


@st.composite
def sketches(draw: st.DrawFn, count: int) -> Sketch:
    """Generate sketches of a number of values."""
    values = draw(st.lists(numbers(), min_size=count, max_size=count))
    return Sketch(norm=draw(numbers()), values=tuple(values))


@st.composite
def twins(draw: st.DrawFn, other: Sketch) -> Sketch:
    """Generate sketches equal to another one, near to it, or far from it."""
    count = len(other.values)
    scale = draw(st.sampled_from([0.0, 1e-16, 1e-9, 1e-6, 1e-3, 0.1, 10.0]))
    noise = draw(st.lists(st.floats(-1, 1), min_size=count, max_size=count))
    largest = max(map(abs, other.values), default=0.0)
    values = [v + scale * largest * n for v, n in zip(other.values, noise, strict=True)]
    return draw(
        st.sampled_from([other, Sketch(norm=other.norm, values=tuple(values))]) | sketches(count)
    )


@st.composite
def parameters(draw: st.DrawFn, name: str, found: Sketch | None) -> ParameterStats:
    """Generate the statistics of a gradient with a given sketch."""
    return ParameterStats(
        name=name,
        shape=(2, 3),
        dtype=draw(st.sampled_from(["float32", "float64", "bfloat16"])),
        disconnected=found is None,
        norm=found.norm if found else 0.0,
        max_abs=draw(numbers()),
        mean=draw(numbers()),
        zeros=draw(st.integers(0, 6)),
        sketch=found,
    )


@st.composite
def components(draw: st.DrawFn, called: Sequence[str]) -> tuple[ComponentStats, ...]:
    """Generate the components of these names."""
    return tuple(
        ComponentStats(
            name=name,
            value=draw(numbers()),
            norm=draw(numbers()),
            share=draw(st.floats(0, 1)),
            cosines=tuple(draw(st.floats(-1, 1)) for _ in called),
        )
        for name in called
    )


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Generate finite perturbed points, also those that have no cosine."""
    return Sample(
        label=draw(st.text()),
        seed=draw(st.integers()),
        scale=draw(numbers()),
        value=draw(numbers()),
        norm=draw(numbers()),
        cosine=draw(st.floats(-1, 1) | st.just(math.nan)),
        dead=tuple(draw(st.lists(names(), max_size=2))),
    )


@st.composite
def storable(draw: st.DrawFn) -> Measurement:
    """Generate measurements that a baseline can keep, in one tier or in two."""
    called = draw(st.lists(names(), min_size=1, max_size=3, unique=True))
    terms = draw(st.lists(names(), max_size=2, unique=True))
    two = draw(st.booleans())
    native, shadow = [], []
    for name in called:
        exact = draw(st.none() | st.integers(0, 4).flatmap(sketches))
        twin = draw(twins(exact)) if exact else None
        native.append(draw(parameters(name, draw(st.sampled_from([exact, twin])))))
        shadow.append(draw(parameters(name, exact)))
    point = draw(st.lists(st.integers(0, 4).flatmap(sketches), min_size=3, max_size=3))
    return Measurement(
        objective=draw(st.text()),
        backend="torch",
        device="cpu",
        sense="loss",
        seed=draw(st.integers()),
        native=GradientStats(
            value=draw(numbers()), parameters=tuple(native), components=draw(components(terms))
        ),
        shadow=GradientStats(
            value=draw(numbers()), parameters=tuple(shadow), components=draw(components(terms))
        )
        if two
        else None,
        point=PointStats(
            sketches=tuple(point[: len(called)]),
            dtypes=("float32",) * len(called),
            values=draw(st.none() | st.lists(numbers(), max_size=4).map(tuple)),
        ),
        samples=tuple(draw(st.lists(samples(), max_size=2))),
        allowances=draw(st.dictionaries(st.sampled_from([*called, "total"]), numbers())),
        facts=draw(st.dictionaries(names(), scalars(), max_size=2)),
        structure=draw(st.dictionaries(names(), scalars(), max_size=2)),
    )
