"""Scenarios of the plain-array backend: named numpy arrays and a function."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_gradcheck.backends import objective
from pytest_gradcheck.testing import Expected, Scenario

Arrays = Mapping[str, NDArray[Any]]


def half_square() -> Scenario:
    """Return half the squared norm, as one number."""
    w = np.linspace(-1.0, 2.0, 6).reshape(2, 3)

    def function(arrays: Arrays) -> tuple[float, Arrays]:
        return 0.5 * float(np.sum(arrays["w"] ** 2)), {"w": arrays["w"]}

    return scenario("half square", {"w": w}, function, lambda point: Expected(*function(point)))


def narrow() -> Scenario:
    """Return a linear function of float32 values, one parameter without elements."""
    w, empty = np.array([1.0, -2.0], np.float32), np.zeros((0, 2), np.float32)
    slope = np.array([3.0, 0.5], np.float32)

    def function(arrays: Arrays) -> tuple[float, Arrays]:
        grads = {"w": slope.astype(arrays["w"].dtype), "empty": arrays["empty"]}
        return float(slope @ arrays["w"]), grads

    return scenario(
        "float32", {"w": w, "empty": empty}, function, lambda point: Expected(*function(point))
    )


def components() -> Scenario:
    """Return two components, of which one misses a parameter and none reaches the last."""
    a, b, c = np.array([1.0, 2.0]), np.array(0.5), np.array([4.0])

    def parts(arrays: Arrays) -> dict[str, tuple[float, dict[str, NDArray[Any] | None]]]:
        fit = float(arrays["b"] * np.sum(arrays["a"]))
        return {
            "fit": (
                fit,
                {"a": np.full(2, arrays["b"]), "b": np.sum(arrays["a"]), "c": None},
            ),
            "size": (float(np.sum(arrays["a"] ** 2)), {"a": 2 * arrays["a"], "b": None, "c": None}),
        }

    def function(arrays: Arrays) -> tuple[object, object]:
        found = parts(arrays)
        return {k: v for k, (v, _) in found.items()}, {k: g for k, (_, g) in found.items()}

    def expected(point: Arrays) -> Expected:
        found = parts(point)
        fit, _ = (grads for _, grads in found.values())
        return Expected(
            sum(value for value, _ in found.values()),
            {"a": point["b"] + 2 * point["a"], "b": fit["b"], "c": None},
            {name: Expected(value, grads) for name, (value, grads) in found.items()},
        )

    return scenario("components", {"a": a, "b": b, "c": c}, function, expected)


def complex_numbers() -> Scenario:
    """Return the squared distance to a complex constant."""
    z, centre = np.array([1 + 2j, -0.5j]), np.array([0.5 - 1j, 2 + 0j])

    def function(arrays: Arrays) -> tuple[float, Arrays]:
        apart = arrays["z"] - centre
        return float(np.sum(np.abs(apart) ** 2)), {"z": 2 * apart}

    def expected(point: Arrays) -> Expected:
        value, grads = function({"z": point["z"][..., 0] + 1j * point["z"][..., 1]})
        return Expected(value, {"z": np.stack([grads["z"].real, grads["z"].imag], axis=-1)})

    return scenario("complex", {"z": z}, function, expected)


def stochastic() -> Scenario:
    """Return a linear function whose slope is drawn anew from both global streams."""
    w = np.array([1.0, 2.0, 3.0])

    def function(arrays: Arrays) -> tuple[float, Arrays]:
        slope = np.random.standard_normal(3) + random.gauss()  # noqa: NPY002 - the user's own
        return float(slope @ arrays["w"]), {"w": slope}

    def expected(point: Arrays) -> Expected:
        slope = np.random.RandomState(0).standard_normal(3) + random.Random(0).gauss()
        return Expected(float(slope @ point["w"]), {"w": slope})

    return scenario("stochastic", {"w": w}, function, expected, stochastic=True)


def scenario(
    name: str,
    arrays: Arrays,
    function: Callable[[Arrays], tuple[Any, Any]],
    expected: Callable[[Arrays], Expected],
    *,
    stochastic: bool = False,
) -> Scenario:
    """Return a scenario over the user's arrays, with one that fails after writing to its inputs."""

    def fail(inputs: Arrays) -> object:
        function(inputs)
        for array in inputs.values():
            np.multiply(array, 2, out=array)
        msg = "the user's own"
        raise ArithmeticError(msg)

    return Scenario(
        name=name,
        build=lambda seed: objective(arrays, value_and_grad=function, seed=seed),
        expected=expected,
        state=lambda: [(id(array), array.tobytes()) for array in arrays.values()],
        failing=lambda: objective(arrays, value_and_grad=fail),
        stochastic=stochastic,
    )


SCENARIOS = (half_square(), narrow(), components(), complex_numbers(), stochastic())
