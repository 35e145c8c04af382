from __future__ import annotations

import dataclasses
import doctest
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_gradcheck import testing
from pytest_gradcheck.backends import objective
from pytest_gradcheck.errors import PrecisionError
from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.records import ArrayView, ComponentEvaluation, Evaluation, Objective
from pytest_gradcheck.testing import LAWS, Expected, Law, Scenario, conform

NAMES = [law.__name__ for law in LAWS]

Arrays = Mapping[str, NDArray[Any]]
Lie = Callable[[Objective], Objective]


def parts(arrays: Arrays) -> dict[str, Expected]:
    """Return two components; the second is disconnected from the first parameter."""
    a, b, c = arrays["a"], arrays["b"], arrays["c"]
    fit = {"a": np.full(a.shape, b[0]), "b": np.array([a.sum(), 0.0]), "c": 0.0 * c}
    return {
        "fit": Expected(float(a.sum() * b[0]), fit),
        "size": Expected(float(b @ b), {"a": None, "b": 2 * b, "c": None}),
    }


def expected(point: Arrays) -> Expected:
    """Return the closed form of the sum of both."""
    found = parts(point)
    fit = found["fit"].grads
    slope = np.array([point["a"].sum(), 0.0]) + 2 * point["b"]
    grads = {"a": fit["a"], "b": slope, "c": fit["c"]}
    return Expected(sum(part.value for part in found.values()), grads, found)


def honest(lie: Lie = lambda made: made, **changes: Any) -> Scenario:
    """Return a scenario that obeys every law, unless a lie is told about its objective."""
    arrays = {
        "a": np.arange(6.0).reshape(2, 3) - 1.0,
        "b": np.array([0.5, -2.0]),
        "c": np.array([3.0]),
    }

    def function(inputs: Arrays) -> tuple[object, object]:
        found = parts(inputs)
        return (
            {name: part.value for name, part in found.items()},
            {name: part.grads for name, part in found.items()},
        )

    def fail(inputs: Arrays) -> tuple[object, object]:
        msg = "the user's own"
        raise ArithmeticError(msg)

    scenario = Scenario(
        name="honest",
        build=lambda seed: lie(objective(arrays, value_and_grad=function, seed=seed)),
        expected=expected,
        state=lambda: [array.tobytes() for array in arrays.values()] + [repr(random.getstate())],
        failing=lambda: lie(objective(arrays, value_and_grad=fail)),
    )
    return dataclasses.replace(scenario, **changes)


def after(change: Callable[..., Evaluation]) -> Lie:
    """Return a lie that changes what comes back: ``change(evaluation, point, options)``."""

    def lie(made: Objective) -> Objective:
        def value_and_grad(point: Arrays | None = None, **options: Any) -> Evaluation:
            return change(made.value_and_grad(point, **options), point, options)

        return dataclasses.replace(made, value_and_grad=value_and_grad)

    return lie


def before(disturb: Callable[[], object]) -> Lie:
    """Return a lie that does something else first."""

    def lie(made: Objective) -> Objective:
        def value_and_grad(point: Arrays | None = None, **options: Any) -> Evaluation:
            disturb()
            return made.value_and_grad(point, **options)

        return dataclasses.replace(made, value_and_grad=value_and_grad)

    return lie


def with_grad(evaluation: Evaluation, name: str, view: ArrayView | None) -> Evaluation:
    """Return an evaluation with another gradient for one parameter."""
    return dataclasses.replace(evaluation, grads={**evaluation.grads, name: view})


def scaled(evaluation: Evaluation, name: str, factor: float) -> Evaluation:
    """Return an evaluation with one gradient scaled."""
    view = evaluation.grads[name]
    assert isinstance(view, NumpyView)
    return with_grad(evaluation, name, NumpyView(factor * view.array))


def noisy(evaluation: Evaluation, point: object, options: object) -> Evaluation:
    """Add what a counter says, in the last bits."""
    return dataclasses.replace(evaluation, value=evaluation.value * (1 + 1e-15 * next(COUNTER)))


COUNTER = itertools.count(1)


@dataclasses.dataclass
class Reversed:
    """Show an array from its end: the right values in the wrong order of chunks."""

    array: NDArray[np.float64]
    dtype = "float64"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.array.shape

    @property
    def size(self) -> int:
        """Size of the array."""
        return self.array.size

    def chunks(self, size: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield the chunks, last first."""
        yield from reversed(list(NumpyView(self.array).chunks(size)))


class Greedy(Reversed):
    """Show everything in one chunk, however small a chunk was asked for."""

    def chunks(self, size: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield one chunk."""
        yield 0, self.array.ravel()


class Square(Reversed):
    """Show chunks that are not flat."""

    def chunks(self, size: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield pairs of dimensions."""
        for start, values in NumpyView(self.array).chunks(size):
            yield start, values.reshape(1, -1)


class Overlong(Reversed):
    """Show more elements than there are."""

    def chunks(self, size: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield one chunk too many."""
        yield from NumpyView(self.array).chunks(size)
        yield self.size, np.ones(1)


class Fickle(Reversed):
    """Show other values in large chunks than in small ones."""

    def chunks(self, size: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield values that depend on the size."""
        for start, values in NumpyView(self.array).chunks(size):
            yield start, values * (1 + (size > 1))


def shown_by(kind: type[Reversed]) -> Lie:
    """Return a lie that shows the first gradient in another way."""

    def change(evaluation: Evaluation, point: object, options: object) -> Evaluation:
        view = evaluation.grads["a"]
        assert isinstance(view, NumpyView)
        return with_grad(evaluation, "a", kind(view.array))

    return after(change)


def rounding(made: Objective) -> Objective:
    """Evaluate at a point rounded to half precision, except where it stands."""

    def value_and_grad(point: Arrays | None = None, **options: Any) -> Evaluation:
        moved = {k: np.asarray(v, np.float16) + 1e-3 for k, v in (point or {}).items()}
        return made.value_and_grad(moved, **options)

    return dataclasses.replace(made, value_and_grad=value_and_grad)


def forgetful(made: Objective) -> Objective:
    """Give a value that depends on how often it was asked for."""
    calls = itertools.count()

    def value(point: Arrays | None = None, **options: Any) -> float:
        return made.value(point, **options) + 1e-14 * next(calls)

    return dataclasses.replace(made, value=value)


def shifted(made: Objective) -> Objective:
    """Give a value that is a constant off."""
    return dataclasses.replace(made, value=lambda p=None, **o: made.value(p, **o) + 1.0)


def curved(made: Objective) -> Objective:
    """Give a value whose slope is not the gradient, though it is right where anyone looks."""

    def value(point: Arrays | None = None, **options: Any) -> float:
        wave = 1e-4 * np.sin(1e4 * point["b"][0]) if point else 0.0
        return made.value(point, **options) + float(wave)

    return dataclasses.replace(made, value=value)


def fit(change: Callable[[ComponentEvaluation], ComponentEvaluation]) -> Lie:
    """Return a lie about the first component."""

    def told(evaluation: Evaluation, point: object, options: Mapping[str, Any]) -> Evaluation:
        if not evaluation.components:
            return evaluation
        changed = {**evaluation.components, "fit": change(evaluation.components["fit"])}
        return dataclasses.replace(evaluation, components=changed)

    return after(told)


def unasked(evaluation: Evaluation, point: object, options: Mapping[str, Any]) -> Evaluation:
    """Return component gradients that nobody asked for."""
    if options.get("components", True):
        return evaluation
    extra = {"fit": ComponentEvaluation(value=1.0, grads=dict(evaluation.grads))}
    return dataclasses.replace(evaluation, components=extra)


def hasty(evaluation: Evaluation, point: object, options: Mapping[str, Any]) -> Evaluation:
    """Return another gradient where components are not asked for."""
    return evaluation if options.get("components", True) else scaled(evaluation, "a", 2.0)


def in_float64(change: Callable[[Evaluation], Evaluation]) -> Lie:
    """Return a lie about the evaluation in float64 alone."""
    return after(
        lambda evaluation, point, options: (
            change(evaluation) if options.get("precision") == "float64" else evaluation
        )
    )


def narrow(evaluation: Evaluation) -> Evaluation:
    """Return a gradient in float32."""
    view = evaluation.grads["a"]
    assert isinstance(view, NumpyView)
    return with_grad(evaluation, "a", NumpyView(view.array.astype(np.float32)))


def mute(evaluation: Evaluation) -> Evaluation:
    """Refuse without a reason."""
    raise PrecisionError


def seeded(evaluation: Evaluation, point: object, options: object) -> Evaluation:
    """Add what the global stream says, without seeding it."""
    state = random.getstate()
    evaluation = dataclasses.replace(evaluation, value=evaluation.value + random.random())
    random.setstate(state)
    return evaluation


def keeps_the_array(made: Objective) -> Objective:
    """Write to the user's own array when evaluated elsewhere."""
    view = made.point["a"]
    assert isinstance(view, NumpyView)
    mine = view.array

    def value_and_grad(point: Arrays | None = None, **options: Any) -> Evaluation:
        if point:
            mine[...] = point["a"]
        return made.value_and_grad(point, **options)

    return dataclasses.replace(made, value_and_grad=value_and_grad)


def swallows(made: Objective) -> Objective:
    """Return something where the user's function raised."""

    def value_and_grad(point: Arrays | None = None, **options: Any) -> Evaluation:
        try:
            return made.value_and_grad(point, **options)
        except ArithmeticError:
            return Evaluation(value=0.0, grads=dict.fromkeys(made.point))

    return dataclasses.replace(made, value_and_grad=value_and_grad)


def leaks(made: Objective) -> Objective:
    """Move a stream when the user's function raised."""

    def value_and_grad(point: Arrays | None = None, **options: Any) -> Evaluation:
        try:
            return made.value_and_grad(point, **options)
        except ArithmeticError:
            np.random.random()  # noqa: NPY002 - the stream that has to stand
            raise

    return dataclasses.replace(made, value_and_grad=value_and_grad)


def breaks(made: Objective) -> Objective:
    """Write to the user's array when the user's function raised."""

    def value_and_grad(point: Arrays | None = None, **options: Any) -> Evaluation:
        try:
            return made.value_and_grad(point, **options)
        except ArithmeticError:
            view = made.point["a"]
            assert isinstance(view, NumpyView)
            np.add(view.array, 1, out=view.array)
            raise

    return dataclasses.replace(made, value_and_grad=value_and_grad)


LIES: list[tuple[str, str, Lie]] = [
    (
        "shapes_are_those_of_the_parameters",
        "gradient names ['c', 'b', 'a'], not ['a', 'b', 'c']",
        after(
            lambda e, p, o: dataclasses.replace(e, grads=dict(reversed(e.grads.items()))),
        ),
    ),
    (
        "shapes_are_those_of_the_parameters",
        "gradient of 'a' does not have the shape (2, 3)",
        after(lambda e, p, o: with_grad(e, "a", NumpyView(np.ones(6)))),
    ),
    ("chunks_cover_everything_in_order", "at 4", shown_by(Reversed)),
    ("chunks_cover_everything_in_order", "in chunks of 1 has float64(6,) at 0", shown_by(Greedy)),
    ("chunks_cover_everything_in_order", "has float64(1, 1) at 0", shown_by(Square)),
    ("chunks_cover_everything_in_order", "has 7 elements, not 6", shown_by(Overlong)),
    ("chunks_cover_everything_in_order", "other values than in one chunk", shown_by(Fickle)),
    ("same_point_gives_the_same_bits", "the same point gives other bits", after(noisy)),
    ("same_point_gives_the_same_bits", "the same point gives another value", forgetful),
    ("the_point_is_where_the_objective_stands", "passing the current values", rounding),
    ("values_are_right", "value() is", shifted),
    (
        "values_are_right",
        "the value of value_and_grad() is",
        after(lambda e, p, o: dataclasses.replace(e, value=-e.value)),
    ),
    (
        "gradients_are_right",
        "gradient of 'a' is [0.501 0.501 0.501 0.501], not [0.5 0.5 0.5 0.5]",
        after(lambda e, p, o: scaled(e, "a", 1.002)),
    ),
    (
        "gradients_are_right",
        "gradient of 'b' is",
        after(lambda e, p, o: with_grad(e, "b", NumpyView(np.ones(3)))),
    ),
    (
        "none_means_disconnected",
        "the loss is disconnected from ['c'], not from []",
        after(lambda e, p, o: with_grad(e, "c", None)),
    ),
    (
        "none_means_disconnected",
        "component 'fit' is disconnected from ['c'], not from []",
        fit(lambda part: dataclasses.replace(part, grads={**part.grads, "c": None})),
    ),
    (
        "components_are_right",
        "components are [], not ['fit', 'size']",
        after(lambda e, p, o: dataclasses.replace(e, components={})),
    ),
    (
        "components_are_right",
        "component 'fit' is 1.0",
        fit(lambda part: dataclasses.replace(part, value=1.0)),
    ),
    (
        "components_are_right",
        "gradient of 'a' is [0. 0. 0. 0.]",
        fit(lambda part: dataclasses.replace(part, grads={**part.grads, "a": None})),
    ),
    ("components_are_right", "components=False still differentiates ['fit']", after(unasked)),
    ("components_are_right", "components=False changes the gradient", after(hasty)),
    ("directional_derivatives_agree", "analytic directional derivative is", curved),
    ("float64_is_float64_or_an_error", "does not say why", in_float64(mute)),
    (
        "float64_is_float64_or_an_error",
        "the float64 gradient of 'a' is narrower",
        in_float64(narrow),
    ),
    (
        "float64_is_float64_or_an_error",
        "gradient of 'b' is",
        in_float64(lambda e: scaled(e, "b", 1 + 1e-7)),
    ),
    (
        "float64_is_float64_or_an_error",
        "the float64 value is",
        in_float64(lambda e: dataclasses.replace(e, value=e.value * (1 + 1e-7))),
    ),
    ("seeds_rule_every_draw", "the same seed gives other bits", after(seeded)),
    (
        "seeds_rule_every_draw",
        "another seed gives other bits",
        lambda made: after(
            lambda e, p, o: dataclasses.replace(e, value=e.value + made.seed),
        )(made),
    ),
    ("random_streams_are_put_back", "a global random stream has moved", before(random.random)),
    ("objects_are_left_alone", "value_and_grad elsewhere in native changed", keeps_the_array),
    ("objects_survive_an_error", "the error of the user's function is lost", swallows),
    ("objects_survive_an_error", "an error moved a random stream", leaks),
    ("objects_survive_an_error", "an error changed the user's objects", breaks),
]


@pytest.fixture(autouse=True)
def _own_streams() -> Iterator[None]:
    """Put the global streams back, which the liars move."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - as the liars do
    yield
    random.setstate(python)
    np.random.set_state(legacy)  # noqa: NPY002 - as above


@pytest.mark.parametrize("law", LAWS, ids=NAMES)
def test_an_honest_backend_obeys(law: Law) -> None:
    """A backend without a fault must break no law."""
    law(honest())


@pytest.mark.parametrize(("name", "message", "lie"), LIES, ids=[f"{n}-{m}" for n, m, _ in LIES])
def test_a_lying_backend_is_caught(name: str, message: str, lie: Lie) -> None:
    """Each lie must be caught by the law that it breaks, which says what it saw."""
    law = LAWS[NAMES.index(name)]
    with pytest.raises(AssertionError) as caught:
        law(honest(lie))
    assert str(caught.value).startswith("scenario 'honest': ")
    assert message in str(caught.value)


def test_every_law_has_its_liar() -> None:
    """No law may go without a lie that it catches."""
    assert {name for name, _, _ in LIES} == set(NAMES)


def test_a_deaf_seed_is_caught() -> None:
    """A stochastic scenario whose draws do not follow the seed must be caught."""
    with pytest.raises(AssertionError, match="another seed gives the same bits"):
        conform(honest(stochastic=True))


def test_a_backend_without_float64_obeys() -> None:
    """A backend that refuses float64 with a reason must break no law."""

    def refuses(made: Objective) -> Objective:
        def refused(call: Callable[..., Any]) -> Callable[..., Any]:
            def evaluate(point: Arrays | None = None, **options: Any) -> Any:
                if options.pop("precision", "native") == "float64":
                    msg = "only float32 kernels"
                    raise PrecisionError(msg)
                return call(point, **options)

            return evaluate

        return dataclasses.replace(
            made, value=refused(made.value), value_and_grad=refused(made.value_and_grad)
        )

    conform(honest(refuses))


def test_a_scenario_without_failing_code_obeys() -> None:
    """A backend that runs no user code must not be asked to survive its errors."""
    conform(honest(failing=None))


def test_a_wholly_disconnected_loss_has_no_slope() -> None:
    """A loss that no parameter reaches must have a derivative of zero in every direction."""
    scenario = Scenario(
        name="constant",
        build=lambda seed: objective(
            {"w": np.ones(2)}, value_and_grad=lambda _: (3.0, {"w": None}), seed=seed
        ),
        expected=lambda _: Expected(3.0, {"w": None}),
    )
    conform(scenario)


def test_the_example_of_the_docstring_runs() -> None:
    """The example that shows how to write a scenario must run as it stands."""
    assert doctest.testmod(testing) == doctest.TestResults(failed=0, attempted=7)
