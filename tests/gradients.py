"""Right gradients written by hand, and ways of making one of them wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tests.objectives import Arrays, Function, of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import Objective

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """Hold a function with a right gradient and the point where it is tested."""

    name: str
    function: Function
    point: dict[str, Array]

    def objective(self, dtype: str = "float64", function: Function | None = None) -> Objective:
        """Return the objective in a precision."""
        arrays = {k: v.astype(dtype) for k, v in self.point.items()}
        return of(function or self.function, arrays, name=self.name)


def noise(*shape: int, seed: int = 0) -> Array:
    """Return random numbers."""
    return np.random.default_rng(seed).standard_normal(shape)


def data(point: Arrays, *shape: int, seed: int) -> Array:
    """Return fixed random data in the precision of a point."""
    return noise(*shape, seed=seed).astype(next(iter(point.values())).dtype)


def logistic(p: Arrays) -> tuple[float, Arrays]:
    """Return a logistic regression of 20 rows."""
    x, y = data(p, 20, 4, seed=1), np.sign(data(p, 20, seed=2))
    margin = y * (x @ p["w"] + p["b"])
    slope = -y / (1 + np.exp(margin)) / 20
    return float(np.mean(np.log1p(np.exp(-margin)))), {"w": x.T @ slope, "b": slope.sum()}


def network(p: Arrays, *, relu: bool = False) -> tuple[float, Arrays]:
    """Return two layers with a squared error."""
    x, y = data(p, 8, 5, seed=3), data(p, 8, 2, seed=4)
    before = x @ p["w1"] + p["b1"]
    hidden = np.maximum(before, 0) if relu else np.tanh(before)
    error = hidden @ p["w2"] + p["b2"] - y
    back = error / 8 @ p["w2"].T * ((before > 0) if relu else 1 - hidden**2)
    grads = {
        "w1": x.T @ back,
        "b1": back.sum(0),
        "w2": hidden.T @ error / 8,
        "b2": error.sum(0) / 8,
    }
    return float(0.5 * np.sum(error**2) / 8), grads


def relu_network(p: Arrays) -> tuple[float, Arrays]:
    """Return the same two layers with kinks."""
    return network(p, relu=True)


def layer_norm(p: Arrays) -> tuple[float, Arrays]:
    """Return a normalised row, scaled and shifted, against a target."""
    x, target = p["x"], data(p, 6, seed=5)
    n = x.size
    spread = np.sqrt(np.var(x) + x.dtype.type(1e-5))
    unit = (x - x.mean()) / spread
    error = unit * p["gain"] + p["shift"] - target
    back = error * p["gain"]
    inner = (back - back.mean() - unit * np.sum(back * unit) / n) / spread
    return float(0.5 * np.sum(error**2)), {"x": inner, "gain": error * unit, "shift": error}


def normal(p: Arrays) -> tuple[float, Arrays]:
    """Return the log-density of data under a normal distribution."""
    x = data(p, 30, seed=6)
    unit = (x - p["mu"]) / np.exp(p["log_sigma"])
    value = float(-0.5 * np.sum(unit**2) - 30 * p["log_sigma"])
    return value, {
        "mu": np.sum(unit) / np.exp(p["log_sigma"]),
        "log_sigma": np.asarray(np.sum(unit**2) - 30),
    }


def distances(p: Arrays) -> tuple[float, Arrays]:
    """Return the sum of the lengths of rows."""
    length = np.sqrt(np.sum(p["w"] ** 2, axis=1, keepdims=True))
    return float(np.sum(length)), {"w": p["w"] / length}


def determinant(p: Arrays) -> tuple[float, Arrays]:
    """Return the log-determinant of a matrix with noise on its diagonal."""
    half = data(p, 6, 3, seed=7)
    noise_, scale = np.exp(p["log_noise"]), np.exp(p["log_scale"])
    matrix = scale * (half @ half.T) + noise_ * np.eye(6, dtype=half.dtype)
    inverse = np.linalg.inv(matrix)
    value = float(2 * np.sum(np.log(np.diag(np.linalg.cholesky(matrix)))))
    return value, {
        "log_noise": noise_ * np.trace(inverse),
        "log_scale": scale * np.sum(inverse * (half @ half.T)),
    }


def kinks(p: Arrays) -> tuple[float, Arrays]:
    """Return absolute values and a maximum, at a point where they have no derivative."""
    a, m = p["a"], p["m"]
    grad_m = np.zeros_like(m)
    grad_m[np.argmax(m)] = 1
    value = np.sum(np.abs(a)) + np.max(m) + np.sum(np.maximum(p["r"], 0))
    return float(value), {"a": np.sign(a), "m": grad_m, "r": (p["r"] > 0).astype(a.dtype)}


def rescaled(function: Function, factor: float, offset: float = 0.0) -> Function:
    """Return a function times a factor plus a constant."""

    def scaled(p: Arrays) -> tuple[float, Arrays]:
        value, grads = function(p)
        return factor * value + offset, {k: g * g.dtype.type(factor) for k, g in grads.items()}

    return scaled


_LAYERS = {
    "w1": noise(5, 4, seed=10),
    "b1": 0.1 * noise(4, seed=11),
    "w2": noise(4, 2, seed=12),
    "b2": np.zeros(2),
}
_LOGISTIC = {"w": noise(4, seed=13), "b": np.array(0.3)}

RIGHT = (
    Case("logistic", logistic, _LOGISTIC),
    Case("tanh network", network, _LAYERS),
    Case("relu network", relu_network, _LAYERS),
    Case(
        "layer norm",
        layer_norm,
        {"x": noise(6, seed=14), "gain": 1 + 0.1 * noise(6, seed=15), "shift": np.zeros(6)},
    ),
    Case("normal", normal, {"mu": np.array(0.0), "log_sigma": np.array(0.2)}),
    Case("distances", distances, {"w": noise(5, 3, seed=16)}),
    Case("determinant", determinant, {"log_noise": np.array(-3.0), "log_scale": np.array(0.5)}),
    Case("tiny", rescaled(logistic, 1e-6), _LOGISTIC),
    Case("huge", rescaled(logistic, 1e6), _LOGISTIC),
    Case("offset", rescaled(logistic, 1.0, 1e4), _LOGISTIC),
)

KINKED = (
    Case(
        "kinks",
        kinks,
        {
            "a": np.array([1.0, 0.0, -2.0, 0.0]),
            "m": np.array([1.0, 3.0, 3.0]),
            "r": np.array([0.0, 0.0, 1.0]),
        },
    ),
    Case(
        "relu network at zero", relu_network, {**_LAYERS, "w1": np.zeros((5, 4)), "b1": np.zeros(4)}
    ),
)


def spoiled(function: Function, name: str, change: Callable[[Array], Array]) -> Function:
    """Return a function whose gradient is wrong in one parameter."""

    def wrong(p: Arrays) -> tuple[float, Arrays]:
        value, grads = function(p)
        return value, {**grads, name: change(np.asarray(grads[name]))}

    return wrong
