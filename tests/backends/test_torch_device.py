"""Reducing on a device: in torch operations alone, so that the CPU can stand for any device."""

from __future__ import annotations

import math
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.profiler import ProfilerActivity, profile

from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._torch import device, views
from pytest_gradcheck.backends._torch.device import (
    TorchPlace,
    crossing,
    fold,
    found,
    place_of,
    rows,
    signs,
)
from pytest_gradcheck.backends._torch.views import TensorView, view_of
from pytest_gradcheck.errors import GradientDeviceWarning, UsageError
from pytest_gradcheck.measure import measure
from pytest_gradcheck.records import Evaluation
from pytest_gradcheck.stats import afar, gradient_stats, point_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_gradcheck.records import GradientStats

MEBI = 2**20
LANES = 4093
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = dict(zip(DTYPES, (torch.int16, torch.int16, torch.int32, torch.int64), strict=True))
SIZES = (1, 32, 33, 4092, 4093, 4094, 8186, 12_280, 16_372, 16_373, 20_000, 70_000)

pytestmark = pytest.mark.usefixtures("_untried")


@st.composite
def elements(draw: st.DrawFn) -> torch.Tensor:
    """Return a flat tensor: of usual numbers, of many equal ones, of any bits, or of tiny ones."""
    dtype, size = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(SIZES))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    kind = draw(
        st.sampled_from(["usual", "spread", "equal", "bits", "finite bits", "tiny", "zero"])
    )
    if kind in {"bits", "finite bits", "tiny"}:
        bounds = torch.iinfo(INTEGERS[dtype])
        bits = torch.randint(
            bounds.min, bounds.max, (size,), generator=random, dtype=INTEGERS[dtype]
        )
        if kind == "tiny":  # below the normal numbers
            bits &= (
                int(torch.tensor(torch.finfo(dtype).smallest_normal, dtype=dtype).view(bits.dtype))
                - 1
            )
        values = bits.view(dtype)
        return values.nan_to_num() if kind == "finite bits" else values
    if kind == "equal":
        return torch.randint(-2, 3, (size,), generator=random).to(dtype)
    values = torch.randn(size, generator=random, dtype=torch.float64)
    if kind == "spread":
        values *= torch.randint(-60, 1, (size,), generator=random).double().exp2()
    if draw(st.booleans()):
        values[torch.rand(size, generator=random) < 0.5] = 0.0
    return torch.zeros(size, dtype=dtype) if kind == "zero" else values.to(dtype)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Return a tensor of any layout."""
    flat = draw(elements())
    even = flat[: 2 * (flat.numel() // 2)].view(2, -1)
    layouts = [flat, flat[0], flat[:0], even, even.T, flat[::3], flat[:5000].expand(3, -1)]
    if flat.dtype in {torch.float32, torch.float64} and even.numel():
        layouts.append(torch.view_as_complex(even.reshape(-1, 2)))
    return draw(st.sampled_from(layouts))


def stats_of(grads: Sequence[torch.Tensor], top: int = 20) -> GradientStats:
    """Return the statistics of tensors where they lie."""
    views = {str(i): view_of(grad) for i, grad in enumerate(grads)}
    return gradient_stats(Evaluation(value=0.0, grads=views), views, top=top)


def both_ways(grads: Sequence[torch.Tensor], top: int = 20) -> tuple[GradientStats, GradientStats]:
    """Return statistics as reduced on a device and on the CPU."""
    here = stats_of(grads, top)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "_HERE", frozenset())
        patch.setattr(afar.TRUST, "known", {"cpu": True})
        patch.setattr(rows, "ROWS_AT_ONCE", 4)  # so that few elements cross many borders
        patch.setattr(fold, "_SETTLED", 2)
        return stats_of(grads, top), here


@given(grads=st.lists(tensors(), min_size=1, max_size=6), top=st.sampled_from([0, 1, 20, 100]))
@settings(deadline=None)
def test_a_device_gives_the_bits_of_the_cpu(grads: list[torch.Tensor], top: int) -> None:
    """Counts, norm, mean, largest elements and sketch must be equal, exactly, for any numbers."""
    there, here = both_ways(grads, top)
    assert there == here


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_of_many_pieces(dtype: torch.dtype) -> None:
    """What is read in several pieces must give the same bits, contiguous or not."""
    values = torch.randn(1200, 3000, generator=torch.Generator().manual_seed(0)).to(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "_HERE", frozenset())
        patch.setattr(afar.TRUST, "known", {"cpu": True})
        there = stats_of([values, values.T])
    assert there == stats_of([values, values.T])


def test_equal_elements_overflow_nothing() -> None:
    """Sums of many elements of one size and sign must be exact."""
    ones = torch.ones(20 * rows.ROWS_AT_ONCE * LANES // 2, dtype=torch.bfloat16)
    there, here = both_ways([ones, -ones])
    assert there == here
    assert there["1"].mean == -1.0
    assert there["1"].norm == math.sqrt(ones.numel())


@contextmanager
def deterministic() -> Iterator[None]:
    """Allow deterministic algorithms only, and no memory with what was there before."""
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)  # noqa: FBT003 - as above


@pytest.mark.usefixtures("_afar")
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
    grads = [torch.randn(9000), torch.randn(3 * 300, 4000)[:, ::3], torch.randn(50).bfloat16()]
    before = stats_of(grads)
    with set_by_user():
        assert stats_of(grads) == before


class Predictor(nn.Module):
    """A transformer of a million parameters that predicts the next token."""

    def __init__(self) -> None:
        """Build the model."""
        super().__init__()
        self.embedding = nn.Embedding(256, 144)
        layer = nn.TransformerEncoderLayer(144, 4, 576, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(144, 256)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the loss on texts, shape ``(batch, length + 1)``."""
        logits = self.head(self.encoder(self.embedding(tokens[:, :-1])))
        return nn.functional.cross_entropy(logits.mT, tokens[:, 1:])


@pytest.mark.usefixtures("_afar")
def test_a_gradient_crosses_at_once(crossings: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient, values beside its largest elements, and point must come over once each."""
    torch.manual_seed(0)
    model, tokens = Predictor(), torch.randint(0, 256, (4, 33))
    measured = measure(objective(model, lambda: model(tokens)))
    assert len(crossings) == 3
    monkeypatch.setattr(views, "_HERE", frozenset({"cpu"}))
    expected = measure(objective(model, lambda: model(tokens)))
    assert len(crossings) == 3
    assert (measured.native, measured.point) == (expected.native, expected.point)
    assert sum(p.size for p in measured.native.parameters) > 1_000_000


@pytest.mark.usefixtures("_afar")
def test_what_is_not_finite_takes_another_crossing(crossings: list[int]) -> None:
    """NaN and Inf must be counted at once, and told apart and located by a second crossing."""
    bad = torch.zeros(5, 4000)
    bad[1, :4] = math.nan
    bad[4, 3999] = -math.inf
    bad[3, 0] = math.inf
    found = stats_of([bad, torch.ones(9000)])
    assert len(crossings) == 2
    assert (found["0"].nans, found["0"].infs, found["0"].zeros) == (4, 2, 19_994)
    assert found["0"].nonfinite == ((1, 0), (1, 1), (1, 2), (1, 3), (3, 0))
    assert found["0"].sketch is None


@pytest.mark.usefixtures("_afar")
def test_many_small_tensors_cross_in_portions(
    crossings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small tensors must come over together, but only so many bytes at a time."""
    monkeypatch.setattr(device, "_AT_ONCE", 4000)
    grads = [torch.full((n,), float(n)) for n in (100, 400, 500, 600)]
    assert [p.norm for p in stats_of(grads).parameters] == [
        n * n**0.5 for n in (100, 400, 500, 600)
    ]
    assert crossings == [3, 1]


@pytest.mark.usefixtures("_afar")
def test_the_point_is_that_of_the_cpu(crossings: list[int]) -> None:
    """Sketches of the parameters' values must be those of the CPU, and come over once."""
    point = {str(n): view_of(torch.randn(n, dtype=torch.float64)) for n in (10, 4094, 90_000)}
    there = point_stats(point, keep=False)
    assert len(crossings) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "_HERE", frozenset({"cpu"}))
        assert there == point_stats(point, keep=False)


@pytest.mark.usefixtures("_afar")
def test_a_point_whose_norm_overflows_is_refused() -> None:
    """The parameter must be named, as it is on the CPU."""
    point = {"w": view_of(torch.full((5000,), 1e308, dtype=torch.float64))}
    with pytest.raises(UsageError, match="parameter 'w' are too large: their norm overflows"):
        point_stats(point, keep=False)


@pytest.mark.usefixtures("_afar")
def test_more_largest_elements_than_usual_are_found_on_the_cpu(crossings: list[int]) -> None:
    """The memory of a device must not depend on how many largest elements are shown."""
    found = stats_of([torch.arange(9000.0)], top=101)
    assert crossings == []
    assert len(found["0"].top) == 101


@pytest.mark.parametrize(
    ("tensor", "most"),
    [
        (torch.ones(8 * MEBI), 34 * MEBI),
        (torch.ones(8 * MEBI, dtype=torch.float64), 40 * MEBI),
        (torch.ones(1024, 8192, dtype=torch.float64).T, 54 * MEBI),
    ],
    ids=["float32", "float64", "transposed"],
)
def test_little_is_held_beside_a_large_tensor(tensor: torch.Tensor, most: int) -> None:
    """The memory needed must not grow with the tensor (on a CPU casts need a little more)."""
    place = TorchPlace(torch.device("cpu"))
    assert MEBI < tensor_peak(lambda: place.gather({0: TensorView(tensor)}, top=20)) < most


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


# ------------------------------------------------------------------------------------ the trial


@pytest.fixture
def _untried_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the CPU for a device of which nothing is known yet."""
    monkeypatch.setattr(views, "_HERE", frozenset())


@pytest.mark.usefixtures("_untried_cpu")
def test_a_device_that_computes_alike_is_used(crossings: list[int]) -> None:
    """A trial must come before the first gradient, once, and say nothing where all is well."""
    stats_of([torch.ones(5000)])
    tried = len(crossings)
    assert tried > 1
    stats_of([torch.ones(5000)])
    assert len(crossings) == tried + 1
    assert afar.TRUST.known == {"cpu": True}


def wrong_scale(peaks: torch.Tensor, dtype: torch.dtype) -> list[torch.Tensor]:
    """Return a power of two that is off by one unit in its last place, as ``exp2`` may be."""
    first, *others = SCALES(peaks, dtype)
    return [first.nextafter(torch.tensor(math.inf, dtype=torch.float64)), *others]


def wrong_order(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest elements, of equal ones the last, as ``topk`` may do."""
    index, values = LARGEST_OF(*arguments)
    return index + 1, values


def wrong_peaks(matrix: torch.Tensor, *, places: bool) -> tuple[torch.Tensor, ...]:
    """Return peaks that are wrong where no largest elements are looked for."""
    peaks, *others = SEEN(matrix, places=places)
    return (peaks if places else peaks - 1, *others)


def wrong_signs(z: torch.Tensor, by: int) -> torch.Tensor:
    """Shift the sign in from the left."""
    return z >> by


def flushed(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return patterns with zeros for what is below the normal numbers."""
    patterns, odd = SIZES_OF(values)
    normal = torch.tensor(torch.finfo(values.dtype).smallest_normal, dtype=values.dtype)
    return patterns.masked_fill(patterns < normal.view(patterns.dtype), 0), odd


SCALES, LARGEST_OF, SIZES_OF, SEEN = fold._scales, fold.largest_of, fold._sizes, fold._seen


@pytest.mark.usefixtures("_untried_cpu")
@pytest.mark.parametrize(
    ("module", "name", "wrong", "what"),
    [
        (fold, "_scales", wrong_scale, "another mean of bfloat16 numbers there: "),
        (found, "largest_of", wrong_order, "another top of float64 numbers there: "),
        (fold, "_seen", wrong_peaks, "another max_abs of float16 numbers there: "),
        (signs, "_shifted", wrong_signs, "another sketch of float16 numbers"),
        (fold, "_sizes", flushed, "another (max_abs|norm|zeros|mean) of float16 numbers"),
        (fold, "_sizes", None, "a trial failed there with TypeError: 'NoneType' object is not"),
    ],
)
def test_a_device_that_computes_otherwise_is_not_used(
    module: Any, name: str, wrong: object, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any wrong bit in a trial must lead to the CPU, and be told once."""
    monkeypatch.setattr(module, name, wrong)
    grads = [torch.randn(9000), torch.randn(50)]
    with pytest.warns(GradientDeviceWarning, match=rf"on 'cpu' are copied to the CPU.*{what}"):
        first = stats_of(grads)
    assert stats_of(grads) == first  # any further warning is an error
    monkeypatch.setattr(views, "_HERE", frozenset({"cpu"}))
    assert stats_of(grads) == first


@pytest.mark.usefixtures("_afar")
def test_a_device_that_fails_later_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be reduced on a device must be reduced on the CPU, with a warning, once."""
    monkeypatch.setattr(crossing, "brought", out_of_memory)
    with pytest.warns(GradientDeviceWarning, match="OutOfMemoryError: 2 GiB.*only slower"):
        found = stats_of([torch.ones(9000)])
    assert found["0"].norm == 9000**0.5
    assert stats_of([torch.ones(9000)]) == found


def out_of_memory(_: object) -> None:
    """Raise what torch raises where a device has no room."""
    msg = "2 GiB"
    raise torch.OutOfMemoryError(msg)


@pytest.mark.parametrize("kind", ["cpu", "meta"])
def test_what_lies_here_is_reduced_here(kind: str) -> None:
    """Tensors on the CPU must not go the way of those on a device."""
    assert TensorView(torch.ones(3, device=kind)).afar is None


def test_a_device_without_float64_is_left_out() -> None:
    """Where float64 cannot be had nothing is tried, and nothing is said (there is no mps here)."""
    tensor: Any = SimpleNamespace(device=torch.device("mps"))
    assert place_of(tensor) is None


@pytest.mark.parametrize("top", [0, 20])
def test_nothing_waits_for_a_device_before_the_copy(top: int) -> None:
    """No step may ask what is in a tensor, nor bring one there: tensors without values must do."""
    nowhere = torch.device("meta")
    grads = {
        0: torch.empty(1200, 3000, device=nowhere),  # in pieces
        1: torch.empty(3000, 1200, device=nowhere, dtype=torch.bfloat16).T,  # not contiguous
        2: torch.empty(9000, device=nowhere, dtype=torch.float64),
        3: torch.empty(9001, device=nowhere, dtype=torch.float64),  # together with the one before
        4: torch.empty(3 * LANES, device=nowhere, dtype=torch.float16),  # in other lanes
    }
    with torch.no_grad():
        parts = device._reduced(rows.groups(grads), nowhere, top)
    assert [len(sums) for sums, *_ in parts] == [1, 1, 2, 1]
    assert {tensor.device for part in parts for tensor in part} == {nowhere}


@pytest.mark.usefixtures("_afar")
@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.ones(2, dtype=torch.complex64).conj().imag,
        torch.ones(2, 2).to_sparse(),
        torch.ones(2, dtype=torch.float8_e4m3fn),
        torch.nn.Buffer(torch.ones(2)).as_subclass(type("Own", (torch.Tensor,), {})),
    ],
    ids=["conjugated", "negative", "sparse", "float8", "subclass"],
)
def test_tensors_that_are_left_out(tensor: torch.Tensor) -> None:
    """What is not a plain tensor of a type that is known must go the way over the CPU."""
    assert place_of(tensor) is None


def test_a_place_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices of one type and generation must be tried once."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert TorchPlace(torch.device("cuda", 1)).name == "cuda 9.0"
    assert TorchPlace(torch.device("xpu", 1)).name == "xpu"
