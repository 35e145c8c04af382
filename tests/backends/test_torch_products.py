"""Multiplying components on a device: in torch operations alone, with the CPU for any device."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.profiler import ProfilerActivity, profile

from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._torch import views
from pytest_gradcheck.backends._torch.device import TorchPlace, crossing, powers, products, tables
from pytest_gradcheck.backends._torch.views import TensorView, view_of
from pytest_gradcheck.errors import GradientDeviceWarning
from pytest_gradcheck.measure import measure
from pytest_gradcheck.records import ComponentEvaluation, Products
from pytest_gradcheck.stats import afar, compared
from pytest_gradcheck.stats.components import component_stats
from pytest_gradcheck.stats.products import products as products_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_gradcheck.records import ComponentStats

MEBI = 2**20
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = dict(zip(DTYPES, (torch.int16, torch.int16, torch.int32, torch.int64), strict=True))
PLACE = TorchPlace(torch.device("cpu"))

pytestmark = pytest.mark.usefixtures("_untried")


@pytest.fixture
def _untried_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the CPU for a device of which nothing is known yet."""
    monkeypatch.setattr(views, "_HERE", frozenset())


@st.composite
def elements(draw: st.DrawFn, size: int) -> torch.Tensor:
    """Return a flat tensor: usual numbers, any bits, very large and small numbers, or zeros."""
    dtype = draw(st.sampled_from(DTYPES))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["usual", "spread", "bits", "finite bits", "zero"]))
    if kind in {"bits", "finite bits"}:
        bounds = torch.iinfo(INTEGERS[dtype])
        bits = torch.randint(
            bounds.min, bounds.max, (size,), generator=random, dtype=INTEGERS[dtype]
        )
        values = bits.view(dtype)
        return values.nan_to_num() if kind == "finite bits" else values
    values = torch.randn(size, generator=random, dtype=torch.float64)
    if kind == "spread":
        values *= torch.randint(-1000, 1000, (size,), generator=random).double().exp2()
    return torch.zeros(size, dtype=dtype) if kind == "zero" else values.to(dtype)


@st.composite
def groups(draw: st.DrawFn) -> list[torch.Tensor]:
    """Return tensors of one shape, of any types and layouts."""
    size = draw(st.sampled_from([1, 7, 8, 9, 30, 64, 66, 130]))
    count = draw(st.integers(1, 4))
    shape = draw(st.sampled_from([(size,), (2, size), (size, 3), (2, size, 2), ()]))

    turned = list(range(len(shape)))[::-1]

    def laid(flat: torch.Tensor) -> torch.Tensor:
        return flat.view(shape[::-1]).permute(turned) if draw(st.booleans()) else flat.view(shape)

    return [laid(draw(elements(math.prod(shape)))) for _ in range(count)]


def there_and_here(groups: Sequence[Sequence[torch.Tensor]]) -> tuple[list[Products], ...]:
    """Return products as found on a device and on the CPU."""
    shown = [[TensorView(tensor) for tensor in group] for group in groups]
    return PLACE.products(shown), [products_here(group) for group in shown]


def assert_close(there: Products, here: Products, *, rel: float = 1e-14) -> None:
    """Check that products differ by rounding alone."""
    assert there.finite == here.finite
    assert there.norms == pytest.approx(here.norms, rel=rel, abs=0)
    assert dict(there.cosines) == pytest.approx(dict(here.cosines), rel=0, abs=1e-14)


@given(some=st.lists(groups(), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_device_finds_what_the_cpu_does(some: list[list[torch.Tensor]]) -> None:
    """Norms, cosines and what is finite must agree for any numbers, types and layouts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "ROOM", 256)  # so that few elements cross many borders
        patch.setattr(tables, "_LANES", 8)
        there, here = there_and_here(some)
    for one, other in zip(there, here, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("size", [10, 5000, 700_000])
@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e-310, 1.7e308])
def test_extreme_numbers_neither_overflow_nor_vanish(scale: float, size: int) -> None:
    """Numbers whose squares float64 does not have must give what they give on the CPU."""
    random = torch.Generator().manual_seed(0)
    rows = 2 * torch.rand(3, size, generator=random, dtype=torch.float64) - 1
    rows[2] += 0.5 * rows[0]
    huge = scale * (rows / 2)
    huge[0, 3], huge[1, 4], huge[2, 3] = math.inf, math.nan, -math.inf
    plain = rows.clone()
    plain[0, 3] = plain[1, 4] = plain[2, 3] = 0.0
    ((scaled, wanted),), ((_, expected),) = (
        zip(*there_and_here([list(part)]), strict=True) for part in (huge, plain)
    )
    assert (scaled.finite, wanted.finite) == ((False, False, False),) * 2
    assert_close(scaled, wanted, rel=2e-14)
    assert min(scaled.norms) > 0
    if scale != 1e-310:  # whose last bits are gone
        assert dict(scaled.cosines) == pytest.approx(dict(expected.cosines), abs=1e-14)


def test_the_smallest_number_has_a_norm() -> None:
    """A single subnormal element must not vanish beside zeros."""
    tiny = torch.zeros(9000, dtype=torch.float64)
    tiny[8999] = 5e-324
    ((there,), _) = there_and_here([[tiny, -tiny]])
    assert there.norms == (5e-324, 5e-324)
    assert there.cosines == {(0, 1): -1.0}


def test_zeros_have_no_direction() -> None:
    """An array of zeros must have the norm 0 and no cosine, beside the smallest numbers as well."""
    one = torch.full((9000,), 1e-320, dtype=torch.float64)
    ((there,), _) = there_and_here([[torch.zeros_like(one), one, -torch.zeros_like(one)]])
    assert (there.norms[0], there.norms[2], there.cosines) == (0.0, 0.0, {})
    assert there.finite == (True, True, True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_tensors_are_taken_piece_by_piece(dtype: torch.dtype) -> None:
    """What does not fit into a table must give the same, contiguous or not."""
    random = torch.Generator().manual_seed(0)
    values = [torch.randn(1300, 1400, generator=random).to(dtype) for _ in range(3)]
    turned = [value.reshape(1400, 1300).T for value in values]
    mixed = [values[0], turned[1]]
    there, here = there_and_here([values, turned, mixed])
    for one, other in zip(there, here, strict=True):
        # The CPU adds up to sixteen sums alone, so that more is rounded there.
        assert_close(one, other, rel=1e-13)


def test_many_components_fit_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a table has no room for a row of each, rows must become shorter."""
    monkeypatch.setattr(tables, "ROOM", 64)
    many = list(torch.randn(50, 40, generator=torch.Generator().manual_seed(1)))
    there, here = there_and_here([many])
    for one, other in zip(there, here, strict=True):
        assert_close(one, other)
    assert len(there[0].cosines) == 50 * 49 // 2


def test_the_same_tensors_give_the_same_bits() -> None:
    """A repeated reduction must be equal, not only close."""
    group = [torch.randn(900_000, dtype=torch.float64) for _ in range(3)]
    first, _ = there_and_here([group])
    again, _ = there_and_here([group])
    assert first == again


@contextmanager
def deterministic() -> Iterator[None]:
    """Allow deterministic algorithms only, and no memory with what was there before."""
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)  # noqa: FBT003 - as above


@pytest.mark.parametrize(
    "set_by_user",
    [
        lambda: torch.device("meta"),  # a default for tensors that are made
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        torch.inference_mode,
        torch.enable_grad,
        deterministic,
    ],
)
def test_what_the_user_has_set_changes_nothing(set_by_user: Callable[[], Any]) -> None:
    """Defaults and modes of the user's process must not reach into a reduction."""
    group = [
        torch.randn(9000),
        torch.randn(9000, dtype=torch.float64, requires_grad=True),
        nn.Parameter(torch.randn(9000).bfloat16()),
    ]
    before, _ = there_and_here([group])
    with set_by_user():
        after, _ = there_and_here([group])
    assert before == after


@pytest.mark.parametrize("sizes", [(1, 3 * MEBI), (3, 2 * MEBI), (64, 40_000)])
def test_little_is_held_beside_the_components(sizes: tuple[int, int]) -> None:
    """The memory needed must not grow with tensors or their number, contiguous or not."""
    count, size = sizes
    flat = torch.ones(size, dtype=torch.float64)
    for tensor in (flat, flat.view(2, -1).T):
        group = [TensorView(tensor)] * count
        assert tensor_peak(partial(PLACE.products, [group])) < 34 * MEBI


def tensor_peak(action: Callable[[], object]) -> int:
    """Return the largest number of bytes in tensors that an action has allocated at one time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        action()
    events = profiler.profiler.kineto_results.events()
    alive = peak = 0
    for _, change in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        alive += change
        peak = max(peak, alive)
    return peak


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_waits_for_a_device_before_the_copy(dtype: torch.dtype) -> None:
    """No step may ask what is in a tensor, nor bring one there: tensors without values must do."""
    nowhere = torch.device("meta")
    shapes = [(3000, 1200), (5, 1), (9000, 1)]
    laid = {
        n: [torch.empty(shape, device=nowhere, dtype=dtype).T for _ in range(3)]
        for n, shape in enumerate(shapes)
    }
    with torch.no_grad():
        found = [
            products.multiplied(batch.table(), wide=batch.wide) for batch in tables.batches(laid)
        ]
    assert [dots.shape[1] for dots, *_ in found] == [1, 1, 1, 1, 1, 1, 4]
    assert {tensor.device for part in found for tensor in part} == {nowhere}


def test_exponents_and_powers_are_exact() -> None:
    """A peak must be brought to between a half and 1, however large or small it is."""
    peaks = [5e-324, 2.5e-308, 2.3e-308, 1e-271, 0.5, 0.75, 1.0, 1.7e308, 1.0 - 2**-53]
    tensor = torch.tensor(peaks, dtype=torch.float64)
    exponents = powers.exponents_of(tensor)
    assert exponents.tolist() == [math.frexp(peak)[1] for peak in peaks]
    one, other = powers.scales_of(exponents)
    assert (tensor * one * other).tolist() == [math.frexp(peak)[0] for peak in peaks]


# ------------------------------------------------------------------------------------ components


def stats_of(**grads: Sequence[torch.Tensor | None]) -> tuple[ComponentStats, ...]:
    """Return the statistics of components, each with its gradients in the same parameters."""
    return component_stats(
        {
            name: ComponentEvaluation(
                value=1.0,
                grads={str(i): None if g is None else view_of(g) for i, g in enumerate(own)},
            )
            for name, own in grads.items()
        }
    )


def both_ways(**grads: Sequence[torch.Tensor | None]) -> tuple[tuple[ComponentStats, ...], ...]:
    """Return statistics as reduced on a device and on the CPU."""
    here = stats_of(**grads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "_HERE", frozenset())
        patch.setattr(compared.TRUST, "known", {"cpu": True})
        return stats_of(**grads), here


def assert_alike(there: Sequence[ComponentStats], here: Sequence[ComponentStats]) -> None:
    """Check that statistics differ by rounding alone."""
    for one, other in zip(there, here, strict=True):
        lean = [replace(c, norm=0.0, share=0.0, cosines=(), pushes=()) for c in (one, other)]
        assert lean[0] == lean[1]
        pushes = {p.parameter: p.norm for p in other.pushes}
        assert {p.parameter: p.norm for p in one.pushes} == pytest.approx(pushes, rel=1e-14, abs=0)
        assert (one.norm, one.share) == pytest.approx((other.norm, other.share), rel=1e-14, abs=0)
        assert one.cosines == pytest.approx(other.cosines, rel=0, abs=1e-14)


def test_all_components_and_parameters_cross_at_once(crossings: list[int]) -> None:
    """Large and small tensors, missing ones, complex and empty ones must come over together."""
    odd = torch.randn(300, 40)
    odd[3, 4] = math.nan
    there, here = both_ways(
        a=[torch.randn(300, 40), torch.randn(7), None, torch.randn(5, dtype=torch.cfloat), None],
        b=[odd.T.contiguous().T, torch.randn(7).double(), torch.randn(0, 3), None, None],
        c=[
            torch.zeros(300, 40),
            None,
            torch.randn(0, 3),
            torch.randn(5, dtype=torch.cdouble),
            None,
        ],
    )
    assert len(crossings) == 1
    assert_alike(there, here)
    assert there[1].nonfinite == ("0",)
    assert [push.parameter for push in there[2].pushes] == ["0", "2", "3"]


def test_what_cannot_be_reduced_there_is_reduced_here(crossings: list[int]) -> None:
    """A sparse gradient must bring its parameter's others to the CPU, and no more of them."""
    sparse = torch.eye(30).to_sparse()
    there, here = both_ways(a=[torch.randn(30, 30), torch.randn(9)], b=[sparse, torch.randn(9)])
    assert_alike(there, here)
    assert len(crossings) == 1


@pytest.mark.usefixtures("_afar")
def test_components_without_gradients_cross_not_at_all(crossings: list[int]) -> None:
    """Where there is nothing to multiply, nothing may be waited for."""
    assert [c.norm for c in stats_of(a=[None], b=[torch.zeros(0)])] == [0.0, 0.0]
    assert component_stats({}) == ()
    assert crossings == []


class Two(nn.Module):
    """Return two terms that share most parameters."""

    def __init__(self, layers: int) -> None:
        """Build some layers and two heads."""
        super().__init__()
        self.body = nn.Sequential(*(nn.Linear(70, 70) for _ in range(layers)))
        self.heads = nn.ModuleDict({name: nn.Linear(70, 3) for name in ("one", "other")})

    def losses(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the terms."""
        hidden = self.body(x)
        return {name: head(hidden).square().mean() for name, head in self.heads.items()}


@pytest.mark.usefixtures("_afar")
@pytest.mark.parametrize("layers", [1, 6])
def test_a_measurement_crosses_five_times(
    layers: int, crossings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values, gradient, components, values beside the largest elements, point: once each."""
    torch.manual_seed(0)
    model, x = Two(layers), torch.randn(5, 70)
    measured = measure(objective(model, lambda: model.losses(x)))
    assert len(crossings) == 5
    monkeypatch.setattr(views, "_HERE", frozenset({"cpu"}))
    expected = measure(objective(model, lambda: model.losses(x)))
    assert len(crossings) == 5
    assert measured.native.parameters == expected.native.parameters
    assert measured.native.value == expected.native.value
    assert_alike(measured.native.components, expected.native.components)


@pytest.mark.usefixtures("_afar")
def test_values_of_any_types_cross_at_once(crossings: list[int]) -> None:
    """The terms of a loss must come over together, each exactly."""
    terms = {str(dtype): torch.tensor(1 / 3, dtype=dtype) for dtype in DTYPES}
    weight = nn.Parameter(torch.ones(3))
    source = objective(
        {"w": weight}, lambda: {n: weight.sum().to(t.dtype) * 0 + t for n, t in terms.items()}
    )
    found = source.value_and_grad(components=False).components
    assert {n: c.value for n, c in found.items()} == {n: float(t) for n, t in terms.items()}
    assert crossings == [5]


@pytest.mark.usefixtures("_afar")
@pytest.mark.parametrize("kind", ["conjugated", "subclass"])
def test_unusual_values_are_read_as_well(kind: str, crossings: list[int]) -> None:
    """What is lazily negated, or of a class of its own, must have its own value."""
    weight = nn.Parameter(torch.ones(3))

    def loss() -> dict[str, torch.Tensor]:
        total = weight.sum()
        if kind == "subclass":
            return {"it": total.as_subclass(type("Own", (torch.Tensor,), {}))}
        return {"it": torch.complex(torch.zeros(()), total).conj().imag}

    expected = {"conjugated": -3.0, "subclass": 3.0}[kind]
    assert objective({"w": weight}, loss).value_and_grad().components["it"].value == expected
    assert len(crossings) == (kind == "conjugated")


# ------------------------------------------------------------------------------------- the trial


@pytest.mark.usefixtures("_untried_cpu")
def test_a_device_that_multiplies_alike_is_used(crossings: list[int]) -> None:
    """A trial must come before the first components, once, and say nothing where all is well."""
    stats_of(a=[torch.ones(5000)], b=[torch.ones(5000)])
    assert len(crossings) == 2
    stats_of(a=[torch.ones(5000)], b=[torch.ones(5000)])
    assert len(crossings) == 3
    assert (compared.TRUST.known, afar.TRUST.known) == ({"cpu": True}, {})


def narrow(table: torch.Tensor, *, wide: bool) -> list[torch.Tensor]:
    """Multiply in float32."""
    dots, *others = MULTIPLIED(table, wide=wide)
    return [dots.float().double(), *others]


def flushed(table: torch.Tensor, *, wide: bool) -> list[torch.Tensor]:
    """Take numbers that are not normal in float32 for zeros."""
    return MULTIPLIED(table.masked_fill(table.abs() < 2.0**-126, 0.0), wide=wide)


def unscaled(table: torch.Tensor, *, wide: bool) -> list[torch.Tensor]:
    """Let squares overflow."""
    return MULTIPLIED(table, wide=False)


def turned(table: torch.Tensor, *, wide: bool) -> list[torch.Tensor]:
    """Confuse components."""
    dots, *others = MULTIPLIED(table, wide=wide)
    if len(dots) > 1:
        dots[1] *= -1.0
    return [dots, *others]


def careless(table: torch.Tensor, *, wide: bool) -> list[torch.Tensor]:
    """See no NaN."""
    dots, finite, exponents = MULTIPLIED(table, wide=wide)
    return [dots, torch.ones_like(finite), exponents]


MULTIPLIED = products.multiplied


@pytest.mark.usefixtures("_untried_cpu")
@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (narrow, "a norm of .*, not .*, of float16, bfloat16, float32, float64 numbers there"),
        (flushed, "a norm of .*, not .*, of .* numbers there"),
        (unscaled, "a norm of .*, not .*, of .* numbers there"),
        (turned, "a cosine of -?[0-9.e-]+, not -?[0-9.e-]+, of .* numbers there"),
        (careless, "NaN or Inf in other places of .* numbers there"),
        (None, "a trial failed there with TypeError: 'NoneType' object is not callable"),
    ],
)
def test_a_device_that_multiplies_otherwise_is_not_used(
    wrong: object, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong numbers in a trial must lead to the CPU, and be told once."""
    monkeypatch.setattr("pytest_gradcheck.backends._torch.device.multiplied", wrong)
    grads = {"a": [torch.randn(9000), torch.randn(50)], "b": [torch.randn(9000), torch.randn(50)]}
    with pytest.warns(
        GradientDeviceWarning,
        match=rf"^gradients of components on 'cpu' are copied to the CPU.*{what}",
    ):
        first = stats_of(**grads)
    assert stats_of(**grads) == first  # any further warning is an error
    monkeypatch.setattr(views, "_HERE", frozenset({"cpu"}))
    assert stats_of(**grads) == first


@pytest.mark.usefixtures("_afar")
def test_a_device_that_fails_later_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be multiplied on a device must be on the CPU, with a warning, once."""
    monkeypatch.setattr(crossing, "brought", out_of_memory)
    grads = {"a": [torch.ones(9000)], "b": [torch.ones(9000)]}
    with pytest.warns(GradientDeviceWarning, match="components on .*OutOfMemoryError: 2 GiB"):
        found = stats_of(**grads)
    assert [c.norm for c in found] == [9000**0.5] * 2
    assert stats_of(**grads) == found
    assert (compared.TRUST.known, afar.TRUST.known) == ({"cpu": False}, {"cpu": True})


def out_of_memory(_: object) -> None:
    """Raise what torch raises where a device has no room."""
    msg = "2 GiB"
    raise torch.OutOfMemoryError(msg)
