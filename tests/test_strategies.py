from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from pytest_gradcheck import assert_gradients, points
from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[np.float64]]

W = {"w": np.array([[3.0, 4.0], [0.0, 1.0]]), "b": np.zeros(3)}


def square(point: Arrays) -> tuple[float, dict[str, Any]]:
    """Return half the squared length, and its gradient."""
    return 0.5 * sum(float((v**2).sum()) for v in point.values()), dict(point)


@settings(max_examples=50, deadline=None)
@given(points(W, value_and_grad=square, scale=1e-2))
def test_points_lie_within_the_scale(point: Arrays) -> None:
    """No element may move by more than the scale times its parameter's RMS, or the floor's."""
    for name, values in point.items():
        rms = max(float(np.sqrt(np.mean(W[name] ** 2))), 1e-2)
        assert values.shape == W[name].shape
        assert np.abs(values - W[name]).max() <= 1e-2 * rms * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(points(W, value_and_grad=square))
def test_a_point_goes_into_at(point: Arrays) -> None:
    """Every point drawn must be one that at= accepts."""
    verdict = assert_gradients(W, value_and_grad=square, at=point, perturb=False, reaches=False)
    assert verdict.passed


def test_the_simplest_point_is_the_current_one() -> None:
    """Shrinking must lead to the point where nothing moves."""
    assert find(points(W, value_and_grad=square), lambda _: True) == {}


def test_a_failure_shrinks_towards_the_current_point() -> None:
    """The smallest failing point must move one parameter, hardly further than it takes."""
    strategy = points(W, value_and_grad=square, scale=1.0)
    quiet = settings(max_examples=2000, derandomize=True, database=None)
    found = find(strategy, lambda p: "w" in p and p["w"][1, 0] > 0.5, settings=quiet)
    assert list(found) == ["w"]
    assert 0.5 < found["w"][1, 0] < 0.75


def test_a_region_of_one_element_shrinks_to_that_element() -> None:
    """Where whole parameters cannot reach, the step of the one element that matters is found."""
    strategy = points(W, value_and_grad=square, scale=1.0)
    quiet = settings(max_examples=3000, derandomize=True, database=None)

    def alone(point: Arrays) -> bool:
        moved = {name: np.flatnonzero(v != W[name]).tolist() for name, v in point.items()}
        return moved == {"w": [2]}

    found = find(strategy, alone, settings=quiet)
    assert found["w"][1, 0] == pytest.approx(found["w"].sum() - 8.0)


def test_only_the_parameters_asked_for_move() -> None:
    """With wrt, all others must stay out of every point."""
    strategy = points(W, value_and_grad=square, wrt="b")
    assert find(strategy, bool).keys() == {"b"}


@pytest.mark.parametrize(
    ("scale", "said"), [(0, "scale must be a finite number > 0"), ("x", "scale must be a number")]
)
def test_a_bad_scale_is_refused(scale: Any, said: str) -> None:
    """A scale that moves nothing, or is no number, must be refused at once."""
    with pytest.raises(UsageError, match=said):
        points(W, value_and_grad=square, scale=scale)


@pytest.mark.torch
def test_a_torch_model_needs_no_loss() -> None:
    """Points of a model are known without evaluating anything."""
    import torch

    layer = torch.nn.Linear(2, 1)

    @settings(
        max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.one_of(points(layer), points({"w": torch.ones(2, requires_grad=True)})))
    def draw(point: Arrays) -> None:
        assert set(point) <= {"weight", "bias", "w"}

    draw()


def test_without_hypothesis_the_message_says_what_to_install() -> None:
    """A missing extra must be named with the command that installs it, without a traceback."""
    script = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "try:\n    from pytest_gradcheck import points\n"
        "except ImportError as error:\n    print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "pip install 'pytest-gradcheck[hypothesis]'" in said.stdout


def hidden(point: Arrays) -> tuple[float, dict[str, Any]]:
    """Return a value with a gradient that is NaN in a region of two elements' space."""
    value, grads = square(point)
    b = point["b"]
    bad = b[1] > 1.3
    return value, {**grads, "b": np.where(bad, np.nan, b)}


def failure(test: Any) -> str:
    """Return what a failing property says."""
    with pytest.raises(AssertionError) as caught:
        test()
    return str(caught.value)


QUIET = settings(
    max_examples=400,
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def test_a_hidden_region_is_found_and_printed_for_at() -> None:
    """The smallest move of the one element that matters must be printed ready to paste."""

    @QUIET
    @given(points(W, value_and_grad=hidden, scale=1e3))
    def test(point: Arrays) -> None:
        assert_gradients(W, value_and_grad=hidden, at=point, perturb=False, reaches=False)

    said = failure(test)
    (line,) = [line for line in said.splitlines() if line.startswith("  point: ")]
    at = eval(line.removeprefix("  point: at="))  # noqa: S307 - pasting is what it is for
    assert list(at) == ["b[1]"]
    assert 1.3 < at["b[1]"] < 1.5
    with pytest.raises(AssertionError):
        assert_gradients(W, value_and_grad=hidden, at=at, perturb=False, reaches=False)


def test_a_far_region_is_reached_by_a_large_scale() -> None:
    """Magnitudes of hundreds must be tried beside those of hundredths."""
    strategy = points(W, value_and_grad=square, scale=1e6)
    near = find(strategy, lambda p: "b" in p and 0 < abs(p["b"][0]) < 0.1, settings=QUIET)
    far = find(strategy, lambda p: "b" in p and p["b"][2] < -745, settings=QUIET)
    assert list(near) == ["b"]
    assert -760 < far["b"][2] < -745


@pytest.mark.torch
def test_a_hidden_region_of_a_torch_model_is_found() -> None:
    """The bad region of one weight must be found, and nothing else be moved."""
    import torch

    layer = torch.nn.Linear(3, 1)
    with torch.no_grad():
        layer.weight.fill_(1.0)

    def loss() -> torch.Tensor:
        return torch.sqrt(2.0 - layer.weight[0, 2]) + layer.weight.sum() + layer.bias.sum()

    @QUIET
    @given(points(layer, loss, scale=10.0))
    def test(point: Arrays) -> None:
        assert_gradients(layer, loss, at=point, perturb=False)

    said = failure(test)
    assert 'point: at={"weight[0, 2]": 2.0' in said
    assert "sqrt(" in said


@pytest.mark.pymc
@pytest.mark.parametrize("kind", ["underflow", "region", "correlation"])
def test_a_hidden_region_of_a_pymc_model_is_found(kind: str) -> None:
    """The one variable whose values break a model must be found, moved no further than it takes."""
    import pymc as pm

    with pm.Model() as model:
        pm.Normal("calm", 0, 1, shape=4)
        if kind == "underflow":
            tau = pm.HalfNormal("tau", 1)
            pm.Normal("y", 0, tau, observed=[1.0, 2.0])
            name, low, high, scale = "tau_log__", -380.0, -340.0, 1e3
        elif kind == "region":
            b = pm.Normal("b", 0, 1, shape=(2, 3))
            pm.Potential("pull", pm.math.sqrt(1.3 - b[1, 2]))
            name, low, high, scale = "b[1, 2]", 1.3, 1.5, 10.0
        else:
            r = pm.Normal("r", 0, 1)
            pm.Potential("pull", pm.math.log(1 - r**2))
            name, low, high, scale = "r", 1.0, 1.1, 10.0

    @QUIET
    @given(points(model, scale=scale))
    def test(point: Arrays) -> None:
        assert_gradients(model, at=point, perturb=False, allow_zero="*")

    said = failure(test)
    (line,) = [line for line in said.splitlines() if line.startswith("  point: ")]
    ((found, value),) = eval(line.removeprefix("  point: at=")).items()  # noqa: S307 - as above
    assert found == name
    assert low <= (-abs(value) if low < 0 else abs(value)) <= high
