"""Components become norms, shares and exact cosines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.records import ArrayView, ComponentEvaluation, ComponentStats
from pytest_gradcheck.stats import kernels
from pytest_gradcheck.stats.components import component_stats
from tests.objectives import SparseView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike


def term(grads: Mapping[str, ArrayLike | None], value: float = 1.0) -> ComponentEvaluation:
    """Return a component."""
    views = {k: None if g is None else NumpyView(np.asarray(g)) for k, g in grads.items()}
    return ComponentEvaluation(value=value, grads=views)


def stats(**terms: ComponentEvaluation) -> dict[str, ComponentStats]:
    """Return the statistics of components by name."""
    return {c.name: c for c in component_stats(terms)}


def test_norms_and_shares_are_over_all_parameters() -> None:
    """A component's norm must run over every parameter, its share over every component."""
    found = stats(a=term({"u": [3.0], "v": [4.0]}, 7.0), b=term({"u": [0.0], "v": [15.0]}))
    assert (found["a"].norm, found["a"].share, found["a"].value) == (5.0, 0.25, 7.0)
    assert (found["b"].norm, found["b"].share) == (15.0, 0.75)


def test_each_push_is_on_one_parameter() -> None:
    """A component must say how hard it pushes each parameter, and its share of all the pushing."""
    found = stats(
        a=term({"u": [3.0, 4.0], "v": [1.0], "w": None}),
        b=term({"u": [15.0, 0.0], "v": None, "w": [0.0]}),
    )
    assert (found["a"]["u"].norm, found["a"]["u"].share) == (5.0, 0.25)
    assert (found["b"]["u"].norm, found["b"]["u"].share) == (15.0, 0.75)
    assert (found["a"]["v"].norm, found["a"]["v"].share) == (1.0, 1.0)
    assert (found["b"]["w"].norm, found["b"]["w"].share) == (0.0, 0.0)
    assert [push.parameter for push in found["a"].pushes] == ["u", "v"]


def test_a_push_that_does_not_exist_names_those_that_do() -> None:
    """Asking for a parameter that a component does not depend on must say so."""
    found = stats(a=term({"u": [1.0], "v": None}), b=term({}))
    with pytest.raises(KeyError, match=r"component 'a' does not depend on a parameter 'v'.* on: u"):
        _ = found["a"]["v"]
    with pytest.raises(KeyError, match="on: none"):
        _ = found["b"]["u"]


def test_no_components_have_no_statistics() -> None:
    """A single scalar must have none."""
    assert component_stats({}) == ()


@pytest.mark.parametrize("size", [1, 5, 16 * 1024, 50_000])
def test_cosines_are_exact(size: int) -> None:
    """The cosine must be that of the whole gradients, not an estimate, across any windows."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(size), rng.standard_normal(size)
    wanted = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    found = stats(a=term({"w": a}), b=term({"w": b}))
    assert found["a"].cosines == pytest.approx((1.0, wanted), abs=1e-12)
    assert found["b"].cosines == pytest.approx((wanted, 1.0), abs=1e-12)


def test_cosines_join_the_parameters() -> None:
    """A component without a gradient in one parameter must count as zero there."""
    found = stats(a=term({"u": [1.0], "v": [1.0]}), b=term({"u": [1.0], "v": None}))
    assert found["a"].cosines[1] == pytest.approx(math.sqrt(0.5))


def test_a_component_without_a_gradient_has_no_direction() -> None:
    """Its norm, share and cosines must be 0, its own included, and not NaN."""
    found = stats(a=term({"u": [1.0]}), b=term({"u": None}), c=term({"u": [0.0]}))
    assert (found["b"].norm, found["b"].share, found["b"].cosines) == (0.0, 0.0, (0.0, 0.0, 0.0))
    assert found["c"].cosines == (0.0, 0.0, 0.0)


def test_components_without_any_gradient_have_no_shares() -> None:
    """Where all norms are zero no share may divide by them."""
    found = stats(a=term({"u": [0.0]}), b=term({"u": None}))
    assert [c.share for c in found.values()] == [0.0, 0.0]


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_extreme_components_neither_overflow_nor_vanish(size: float) -> None:
    """Norm and cosine of huge and tiny gradients must be right."""
    found = stats(a=term({"u": [size, 0.0]}), b=term({"u": [size, size]}))
    assert found["b"].norm == pytest.approx(math.sqrt(2.0) * size)
    assert found["a"].cosines[1] == pytest.approx(math.sqrt(0.5))


def test_a_component_that_is_not_finite_says_where() -> None:
    """NaN and Inf must be located by parameter, and left out of norm and cosine."""
    found = stats(
        a=term({"u": [math.nan, 3.0], "v": [4.0, math.inf], "w": [0.0]}),
        b=term({"u": [0.0, 1.0], "v": [0.0, 0.0], "w": [0.0]}),
    )
    assert (found["a"].finite, found["a"].nonfinite, found["a"].norm) == (False, ("u", "v"), 5.0)
    assert found["a"].cosines[1] == pytest.approx(0.6)
    assert found["b"].finite


def test_the_smallest_number_has_a_norm() -> None:
    """A gradient of a single subnormal element must not count as none."""
    found = stats(a=term({"u": [5e-324, 0.0]}), b=term({"u": [0.0, 1.0]}))
    assert (found["a"].norm, found["a"].cosines) == (5e-324, (1.0, 0.0))


@pytest.mark.parametrize("compiled", [True, False])
def test_a_nan_that_signals_is_like_any_other(
    compiled: bool,  # noqa: FBT001 - a table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bits of NaN that warn when they are converted must say nothing but where they are."""
    monkeypatch.setattr(kernels, "compiled", kernels.compiled if compiled else None)
    half = np.array([0x7D01, 0x3C00], dtype=np.uint16).view(np.float16)
    single = np.array([0x3F800000, 0x7F800001], dtype=np.uint32).view(np.float32)
    found = stats(a=term({"u": half}), b=term({"u": single}), c=term({"u": [1.0, 1.0]}))
    assert [c.norm for c in found.values()] == [1.0, 1.0, pytest.approx(math.sqrt(2))]
    assert [c.nonfinite for c in found.values()] == [("u",), ("u",), ()]


def test_a_value_that_is_not_finite_makes_the_component_so() -> None:
    """A NaN in the value alone must show, with no parameter to blame."""
    found = stats(a=term({"u": [1.0]}, math.nan))
    assert (found["a"].finite, found["a"].nonfinite) == (False, ())


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_sparse_gradients_have_the_cosines_of_dense_ones(data: st.DataObject) -> None:
    """Gaps must count as zeros in whatever window they lie."""
    size = data.draw(st.sampled_from([10, 16 * 1024, 40_000]))
    views: list[SparseView] = []
    for _ in range(2):
        starts = sorted(data.draw(st.sets(st.integers(0, size // 5 - 1), max_size=4)))
        runs = tuple((5 * s, (1.0, -2.0, 0.0, float(s + 1))) for s in starts)
        views.append(SparseView(shape=(size,), runs=runs))
    sparse = [ComponentEvaluation(value=0.0, grads={"w": view}) for view in views]
    dense = [term({"w": view.dense()}, 0.0) for view in views]
    for one, other in zip(
        stats(a=sparse[0], b=sparse[1]).values(),
        stats(a=dense[0], b=dense[1]).values(),
        strict=True,
    ):
        assert one.norm == pytest.approx(other.norm)
        assert one.cosines == pytest.approx(other.cosines, abs=1e-12)


def test_a_run_may_cross_the_windows() -> None:
    """A chunk longer than what is left of a window must go on in the next one."""
    run = tuple(float(i) for i in range(1, 20_001))
    view = SparseView(shape=(40_000,), runs=((10_000, run),))
    full: ArrayView = NumpyView(view.dense())
    found = component_stats(
        {
            "a": ComponentEvaluation(value=0.0, grads={"w": view}),
            "b": ComponentEvaluation(value=0.0, grads={"w": full}),
        }
    )
    assert found[0].cosines == pytest.approx((1.0, 1.0))


def test_an_empty_parameter_adds_nothing() -> None:
    """A parameter without elements must leave norms and cosines alone."""
    found = stats(a=term({"e": np.zeros((0, 2)), "u": [1.0]}), b=term({"e": None, "u": [2.0]}))
    assert found["a"].cosines == (1.0, 1.0)
