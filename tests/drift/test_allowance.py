"""The drift rule in numbers: how much noise explains, and where a parameter counts as zero."""

from __future__ import annotations

import math

import pytest
from hypothesis import given as hypothesis
from hypothesis import settings
from hypothesis import strategies as st

from pytest_gradcheck.drift.allowance import (
    NUMERICALLY_ZERO,
    VALUE,
    allowances,
    component_key,
    fixed_allowances,
    gap_allowed,
    point_allowed,
    scale,
    spread_allowed,
)
from pytest_gradcheck.records import GradientStats, TierNoise
from tests.measurements import parameter
from tests.objectives import given

F64, F32, F16 = 2.0**-52, 2.0**-23, 2.0**-10


def tier(*norms: float, value: float = 2.0) -> GradientStats:
    """Return a gradient of parameters with some norms, called a, b and so on."""
    named = [parameter(chr(97 + i), n, dtype="float64") for i, n in enumerate(norms)]
    return GradientStats(value=value, parameters=tuple(named))


def noise(eps: float, one: float = 0.0, wide: float = 0.0) -> TierNoise:
    """Return the same noise of everything."""
    keys = ("a", "b", VALUE)
    return TierNoise(eps=eps, one=dict.fromkeys(keys, one), wide=dict.fromkeys(keys, wide))


@pytest.mark.parametrize(
    ("measured", "wanted"),
    [
        (noise(F64), math.hypot(1e-7 * 3, 1e-9 * 5)),
        (noise(F64, 1e-6), math.hypot(32e-6, 1e-7 * 3, 1e-9 * 5)),
        (noise(F32), math.hypot(32 * F32 * 3, 32 * F32 * 5 / math.sqrt(2))),
        (noise(F32, 1e-3, 1e-2), math.hypot(32e-3, 32 * F32 * 3, 32 * F32 * 5 / math.sqrt(2))),
        (noise(F32, 1e-3, 2e-2), math.hypot(60e-3, 32 * F32 * 3, 32 * F32 * 5 / math.sqrt(2))),
        (noise(F16, 1e-2), math.hypot(8e-2, 32 * F16 * 3, 32 * F16 * 5 / math.sqrt(2))),
    ],
)
def test_the_allowed_distance_is_the_published_rule(measured: TierNoise, wanted: float) -> None:
    """Noise, the parameter's own size and the size of the whole must join in quadrature."""
    found = allowances(tier(3.0, 4.0), measured)
    assert found["a"] * 3.0 == pytest.approx(wanted, rel=1e-12)


def test_the_value_is_allowed_its_noise_and_its_own_rounding() -> None:
    """The allowed change of the loss must be absolute, and know no whole."""
    found = allowances(tier(3.0, 4.0, value=-2.0), noise(F64, 1e-6))
    assert found[VALUE] == pytest.approx(math.hypot(32e-6, 2e-7))


def test_components_are_allowed_theirs() -> None:
    """Value and norm of each component must be there, the norm with a share of all norms."""
    one = {"w": [3.0]}
    stats = given(one, terms={"x": (2.0, one), "y": (0.0, {"w": [4.0]})}).native
    found = allowances(stats, TierNoise(eps=F64, one={component_key("x", "norm"): 1.0}, wide={}))
    assert found["[x value]"] == pytest.approx(2e-7)
    assert found["[x norm]"] == pytest.approx(math.hypot(32.0, 3e-7, 7e-9))
    assert found["[y value]"] == 0.0
    assert found["[y norm]"] == pytest.approx(math.hypot(4e-7, 7e-9))


def test_a_numerically_zero_parameter_has_the_scale_of_the_whole() -> None:
    """A parameter far below the whole must be measured against a share of the whole."""
    found = allowances(tier(1.0, 1e-9), noise(F64))
    assert found["b"] * NUMERICALLY_ZERO == pytest.approx(1e-9)
    assert scale(1e-9, 1.0) == NUMERICALLY_ZERO
    assert scale(1.0, 1.0) == 1.0


def test_where_everything_is_zero_nothing_is_allowed() -> None:
    """A gradient of zero must not be divided by."""
    assert allowances(tier(0.0, 0.0), noise(F64))["a"] == 0.0


@hypothesis(
    norms=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=3),
    power=st.integers(-60, 60),
    eps=st.sampled_from([F64, F32, F16]),
)
@settings(max_examples=60, deadline=None)
def test_allowances_do_not_depend_on_units(norms: list[float], power: int, eps: float) -> None:
    """A gradient in other units must have the same relative allowances."""
    factor = 2.0**power
    one = allowances(tier(*norms), noise(eps))
    other = allowances(tier(*(factor * n for n in norms)), noise(eps))
    names = [chr(97 + i) for i in range(len(norms))]
    assert [one[n] for n in names] == pytest.approx([other[n] for n in names], rel=1e-12)


@hypothesis(st.floats(0, 1), st.floats(0, 1), st.sampled_from([F64, F32, F16]))
@settings(max_examples=60, deadline=None)
def test_more_noise_never_allows_less(a: float, b: float, eps: float) -> None:
    """Allowances must rise with the noise that was measured."""
    less, more = sorted((a, b))
    low, high = (allowances(tier(3.0), noise(eps, n)) for n in (less, more))
    assert low["a"] <= high["a"]
    assert low[VALUE] <= high[VALUE]


@pytest.mark.parametrize(
    ("dtype", "rtol"),
    [
        ("float64", 1e-7),
        ("complex128", 1e-7),
        ("float32", 3e-5),
        ("complex64", 3e-5),
        ("longdouble", 3e-5),
    ],
)
def test_without_noise_the_dtype_decides(dtype: str, rtol: float) -> None:
    """Fixed allowances must be those of the dtype, an unknown one being taken for float32."""
    stats = GradientStats(value=2.0, parameters=(parameter("a", 3.0, dtype=dtype),))
    found = fixed_allowances(stats)
    assert found["a"] == pytest.approx(rtol, rel=0.05)
    assert found[VALUE] == pytest.approx(2 * rtol)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex32"])
def test_half_precision_is_allowed_percents(dtype: str) -> None:
    """What rounds at the third digit must be allowed at least two percent."""
    stats = GradientStats(value=2.0, parameters=(parameter("a", 3.0, dtype=dtype),))
    assert 0.02 < fixed_allowances(stats)["a"] < 0.5


def test_without_noise_what_is_numerically_zero_is_free() -> None:
    """Rounding noise must be allowed as much as the share of the whole that it may be."""
    assert fixed_allowances(tier(1.0, 1e-9))["b"] == 1.0


def test_without_noise_components_go_by_the_coarsest_dtype() -> None:
    """Values and norms of components must be allowed what the parameters are."""
    one = {"w": [3.0]}
    stats = given(one, terms={"x": (2.0, one), "y": (0.5, {"w": [0.0]})}).native
    found = fixed_allowances(stats)
    assert found["[x value]"] == pytest.approx(2.5e-7)
    assert found["[x norm]"] == pytest.approx(3e-7)
    assert found["[y value]"] == pytest.approx(2.5e-7)
    assert found["[y norm]"] == pytest.approx(3e-12)


def test_no_parameters_have_no_allowances() -> None:
    """An empty gradient must not be an error."""
    assert fixed_allowances(GradientStats(value=1.0, parameters=())) == {VALUE: 0.0}


def test_the_other_bounds_are_the_published_ones() -> None:
    """Gap, point and spread must have the constants of the manual."""
    assert gap_allowed(2.0) == 8.0
    assert point_allowed("float64", 2.0) == 2e-7
    assert point_allowed("complex64", 2.0) == 6e-5
    assert spread_allowed(0.0) == 0.01
    assert spread_allowed(0.5) == 1.01
