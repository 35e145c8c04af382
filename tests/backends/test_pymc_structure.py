from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytest

from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._pymc.structure import distribution
from tests.backends import pymc_models as models

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

# The same under every version of PyMC: a baseline recorded with one must hold with the other.
EXPECTED = {
    models.eight_schools: {
        "mu": "Normal",
        "tau": "HalfCauchy; transform LogTransform; parameter tau_log__",
        "theta": "Normal; dims (school)",
        "y": "Normal; observed; shape 8; dtype float64; values 0a8eb226da11",
    },
    models.hierarchy: {
        "mean": "Normal",
        "scale": "HalfNormal; transform LogTransform; parameter scale_log__",
        "raw": "Normal",
        "nu": "Gamma; transform LogTransform; parameter nu_log__",
        "y": "StudentT; observed; shape 12; dtype float64; values 750ce312339e",
    },
    models.transforms: {
        "weight": "Dirichlet; transform SimplexTransform; parameter weight_simplex__",
        "cut": "Normal; transform Ordered; parameter cut_ordered__",
        "rate": "Uniform; transform Interval; parameter rate_interval__",
        "y": "Normal; observed; shape scalar; dtype float64; values 2f0d6f3d65a7",
    },
    models.gaussian_process: {
        "length": "Gamma; transform LogTransform; parameter length_log__",
        "height": "HalfNormal; transform LogTransform; parameter height_log__",
        "y": "MvNormal; observed; shape 6; dtype float64; values 2b0b8d75c34b",
    },
    models.potential: {
        "a": "Normal",
        "b": "Normal",
        "pull": "Potential",
    },
    models.custom: {
        "mu": "Normal",
        "d": "CustomDist_d",
        "c": "CustomDist_c; observed; shape 2; dtype float64; values 872d303ed051",
    },
    models.imputed: {
        "mu": "Normal",
        "y_unobserved": "Normal",
        "y_observed": "Normal; observed; shape 2; dtype float64; values b9c80b5adeca",
    },
    models.data: {
        "slope": "Normal",
        "y": "Normal; observed; shape 3; dtype float64; values 8a31a40ecac0",
        "x": "Data; shape 3; dtype float64; values 8e628779e6a7",
        "y_values": "Data; shape 3; dtype float64; values 8a31a40ecac0",
    },
    models.loop: {
        "a": "Normal",
        "path": "Potential",
    },
    models.drawn: {
        "path": "EulerMaruyama",
    },
}


def observed(values: ArrayLike) -> str:
    """Return how the structure shows observed values."""
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("x"), 1, observed=values)
    return str(objective(model).structure["y"])


@pytest.mark.parametrize("make", EXPECTED)
def test_the_structure_is_the_same_text_under_every_version(make: Callable[[], pm.Model]) -> None:
    """An upgrade of PyMC must not look like a change of the model."""
    assert objective(make()).structure == EXPECTED[make]


def test_a_chain_of_transforms_is_named_link_by_link() -> None:
    """Every transform of a chain must be part of the structure."""
    transforms = pm.distributions.transforms
    chain = transforms.Chain([transforms.log, transforms.ordered])
    with pm.Model() as model:
        pm.HalfNormal("x", shape=2, default_transform=chain, initval=np.array([1.0, 2.0]))
    assert objective(model).structure == {
        "x": "HalfNormal; transform LogTransform+Ordered; parameter x_chain__"
    }


def test_named_dimensions_do_not_hide_thedistribution() -> None:
    """The distributions of `pymc.dims` must go by the name of the one that they wrap."""
    wrapped = pm.Normal.dist()
    outer = type("XRV", (), {"core_op": wrapped.owner.op})()
    rv = SimpleNamespace(owner=SimpleNamespace(op=outer, inputs=[]))
    assert distribution(rv) == "Normal"


def test_data_computed_from_data_are_hashed() -> None:
    """Observations that PyTensor computes must be told apart like any others."""
    with pm.Model() as model:
        values = pm.Data("values", np.array([1.0, 2.0]))
        pm.Normal("y", pm.Normal("x"), 1, observed=values * 2)
    assert objective(model).structure["y"] == observed([2.0, 4.0])


@pytest.mark.parametrize("values", [[1, 2, 0], np.array([1, 2, 0], dtype=">f8"), [1.0, 2.0, -0.0]])
def test_equal_data_have_one_text(values: ArrayLike) -> None:
    """Type, byte order and the sign of a zero must not make other data."""
    assert observed(values) == observed([1.0, 2.0, 0.0])


def test_noise_in_the_last_bits_is_not_other_data() -> None:
    """Data computed on another processor must be the same data."""
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(size=100), 0.0)
    noisy = values * (1 + 1e-15 * rng.normal(size=101)) + 1e-16 * rng.normal(size=101)
    assert observed(values) == observed(noisy)


@pytest.mark.parametrize(
    "values", [[1.0, 2.0, 1e-5], [1.0, 2.00001, 0.0], [2.0, 1.0, 0.0], [[1.0, 2.0, 0.0]]]
)
def test_other_data_have_another_text(values: ArrayLike) -> None:
    """Another value, order or shape must make other data."""
    assert observed(values) != observed([1.0, 2.0, 0.0])
