"""The laws that every backend obeys, as functions to run in the backend's own tests.

A backend is one module; what proves it is one table of scenarios, each a small objective whose
value and gradient are known in closed form::

    # tests/backends/test_mine_conformance.py
    @pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
    @pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
    def test_the_backend_obeys_the_law(scenario, law):
        law(scenario)

Example:
    >>> import numpy as np
    >>> from pytest_gradcheck.backends import objective
    >>> from pytest_gradcheck.testing import Expected, Scenario, conform
    >>> w = np.arange(3.0)
    >>> def half_square(point):
    ...     return 0.5 * np.sum(point["w"] ** 2), {"w": point["w"]}
    >>> scenario = Scenario(
    ...     name="half square",
    ...     build=lambda seed: objective({"w": w}, value_and_grad=half_square, seed=seed),
    ...     expected=lambda point: Expected(*half_square(point)),
    ...     state=lambda: w.tobytes(),
    ... )
    >>> conform(scenario)

Requirements:
    A law takes a scenario, calls its objective and nothing else, and raises `AssertionError` with
    the scenario's name, what the law wants and what was seen. No framework is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_gradcheck import laws
from pytest_gradcheck.records import Objective

__all__ = ["LAWS", "Expected", "Law", "Scenario", "conform"]

Point: TypeAlias = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Expected:
    """Hold what an objective must return at one point.

    Attributes:
        value: of the loss, the log-density, or one component.
        grads: a real array in each parameter's (real) shape, ``None`` where disconnected.
        components: the same for each named term, empty for a single scalar.
    """

    value: float
    grads: Mapping[str, NDArray[Any] | None]
    components: Mapping[str, Expected] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Hold one small objective and what is known of it.

    Attributes:
        name: of the scenario, in test ids and messages.
        build: makes a fresh objective with a seed, each time of the same user's objects.
        expected: the closed form at any point, for seed 0, in float64.
        state: a picture of the user's objects that compares equal only if they are the same bit
            for bit: bytes of parameters and buffers, identities, modes, random states.
        failing: makes an objective of the same user's objects whose function raises half way
            through; ``None`` if user code cannot run.
        rtol: of values and gradients, relative to the norm of what is expected.
        stochastic: whether another seed gives another value.
    """

    name: str
    build: Callable[[int], Objective]
    expected: Callable[[Point], Expected]
    state: Callable[[], object] = lambda: None
    failing: Callable[[], Objective] | None = None
    rtol: float = 1e-6
    stochastic: bool = False


Law: TypeAlias = Callable[[Scenario], None]

LAWS: tuple[Law, ...] = laws.EVERY


def conform(scenario: Scenario) -> None:
    """Apply every law to a scenario.

    Raises:
        AssertionError: the first law that is broken says how.
    """
    for law in LAWS:
        law(scenario)
