"""Plain arrays: how a function of the user's is called, and what is said of what it returns."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_gradcheck.backends import objective
from pytest_gradcheck.errors import PrecisionError, UsageError, UsageTypeError
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Directions, Plan
from pytest_gradcheck.point import to_numpy
from tests.objectives import Arrays, half_square

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_gradcheck.records import Evaluation, Objective

W = {"w": np.array([1.0, 2.0])}
F32 = 2.0**-23


def returning(result: object, arrays: Any = None, **options: Any) -> Evaluation:
    """Return the evaluation of a function that returns this whatever it is given."""
    made = objective(W if arrays is None else arrays, value_and_grad=lambda _: result, **options)
    return made.value_and_grad()


def refused(result: object, arrays: Any = None) -> str:
    """Return the message with which a result is refused."""
    with pytest.raises(UsageError) as caught:
        returning(result, arrays)
    return str(caught.value)


def test_value_and_gradients_are_taken_as_returned() -> None:
    """A number and a mapping must be the evaluation, in the order of the parameters."""
    found = returning((3, {"b": 1.0, "a": None}), {"a": [1.0], "b": 2.0})
    assert (found.value, list(found.grads), found.components) == (3.0, ["a", "b"], {})
    assert found.grads["a"] is None


def test_lists_and_numbers_are_arrays() -> None:
    """What numpy takes for an array must do as parameter and as gradient."""
    found = returning((1.0, {"w": [[1, 2]], "s": 3}), {"w": [[0.5, 1.5]], "s": 2.0})
    grads = {k: to_numpy(v).tolist() for k, v in found.grads.items() if v is not None}
    assert grads == {"w": [[1.0, 2.0]], "s": 3.0}


@pytest.mark.parametrize(
    "value", [1, 1.0, np.float32(1.0), np.array(1.0), np.array([1.0]), np.ones((1, 1))]
)
def test_any_single_number_is_a_value(value: object) -> None:
    """A scalar may be wrapped however a framework wraps it."""
    assert returning((value, {"w": [1.0, 1.0]})).value == 1.0


def test_the_function_gets_copies() -> None:
    """Whatever the function writes to must not be the user's array."""

    def spoil(p: Arrays) -> tuple[float, Arrays]:
        found = half_square({k: v.copy() for k, v in p.items()})
        for array in p.values():
            array[:] = 0.0
        return found

    made = objective(W, value_and_grad=spoil)
    assert made.value() == made.value() == 2.5
    assert W["w"].tolist() == [1.0, 2.0]


def test_the_function_may_reuse_its_own_arrays() -> None:
    """A gradient written to the same place on each call must not change what was measured."""
    buffer = np.zeros(2)

    def reusing(p: Arrays) -> tuple[float, Arrays]:
        buffer[:] = p["w"]
        return 0.5 * float(np.sum(p["w"] ** 2)), {"w": buffer}

    made = objective(W, value_and_grad=reusing)
    found = measure(made, Plan(directions=Directions()))
    assert [d.agrees for d in found.directional] == [True, True, True]
    first = made.value_and_grad().grads["w"]
    made.value_and_grad({"w": np.array([9.0, 9.0])})
    assert first is not None
    assert to_numpy(first).tolist() == [1.0, 2.0]


def test_all_arrays_reach_the_function_and_only_some_are_measured() -> None:
    """With ``wrt=`` the others must still be there, and their gradients be left aside."""
    arrays = {"a": [1.0], "b": [2.0], "c": [3.0]}
    made = objective(arrays, value_and_grad=half_square, wrt=("b", "c"))
    assert list(made.point) == list(made.value_and_grad().grads) == ["b", "c"]
    assert made.value() == 7.0


def test_a_point_moves_what_it_names() -> None:
    """Values that are given must reach the function, the others stay."""
    made = objective({"a": [1.0], "b": [2.0]}, value_and_grad=half_square)
    assert made.value({"b": np.array([4.0])}) == 8.5


def test_complex_values_come_as_pairs() -> None:
    """A point in pairs of reals must reach the function as complex numbers."""
    made = objective(
        {"z": np.array([1 + 1j])},
        value_and_grad=lambda p: (float(np.abs(p["z"][0]) ** 2), {"z": 2 * p["z"]}),
    )
    found = made.value_and_grad({"z": np.array([[3.0, 4.0]])})
    assert found.value == 25.0
    view = found.grads["z"]
    assert view is not None
    assert to_numpy(view).tolist() == [[6.0, 8.0]]


# Components.


def parts(**terms: tuple[Any, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return values and gradients of components."""
    return {k: v for k, (v, _) in terms.items()}, {k: g for k, (_, g) in terms.items()}


def test_components_add_up() -> None:
    """Value and gradient must be the sums, a term without a gradient adding nothing."""
    result = parts(fit=(2.0, {"w": [1.0, 1.0]}), size=(3.0, {"w": None}))
    found = returning(result)
    assert found.value == 5.0
    assert found.grads["w"] is not None
    assert to_numpy(found.grads["w"]).tolist() == [1.0, 1.0]
    assert list(found.components) == ["fit", "size"]
    assert found.components["size"].grads == {"w": None}


def test_components_without_any_gradient_leave_it_disconnected() -> None:
    """A sum of nothing must not be a gradient of zeros."""
    assert returning(parts(a=(1.0, {"w": None}), b=(1.0, {"w": None}))).grads["w"] is None


def test_components_are_left_out_on_demand() -> None:
    """Where only the sum is asked for, only the sum must come."""
    result = parts(a=(1.0, {"w": [1.0, 1.0]}))
    made = objective(W, value_and_grad=lambda _: result)
    assert made.value_and_grad(components=False).components == {}


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (({}, {}), "value_and_grad of 'arrays' returned no components; return at least one"),
        (
            ({"a": 1.0}, {"b": {"w": None}}),
            "'arrays' returned components ['a'], but gradients of ['b']",
        ),
        (
            ({"a": 1.0, "b": 1.0}, {"w": [1.0, 1.0]}),
            "'arrays' returned components ['a', 'b'], but gradients of ['w']",
        ),
        (({"a": 1.0}, None), "'arrays' returned components ['a'], but gradients None"),
        (
            ({"a": 1.0}, [np.ones(2)]),
            "'arrays' returned components ['a'], but gradients [array([1., 1.])]",
        ),
        (
            ({1: 1.0, "1": 1.0}, {1: {"w": None}, "1": {"w": None}}),
            "components of 'arrays' collide: [1, '1']; name them by strings",
        ),
        (
            ({"a": [1.0, 2.0]}, {"a": {"w": None}}),
            (
                "component 'a' of 'arrays' has shape (2,) and dtype float64; "
                "reduce it to one real number"
            ),
        ),
        (
            ({"a": 1.0}, {"a": 3}),
            "gradients of 'arrays' must be a mapping by name, not 3",
        ),
    ],
)
def test_components_that_do_not_fit_are_refused(result: object, message: str) -> None:
    """Empty, unmatched, colliding and misshapen components must each be named."""
    assert refused(result) == message


# What a function may get wrong.


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "'arrays' must return (value, gradients), not None"),
        (1.0, "'arrays' must return (value, gradients), not 1.0"),
        ((1.0,), "'arrays' must return (value, gradients), not (1.0,)"),
        ([1.0, {}], "'arrays' must return (value, gradients), not [1.0, {}]"),
        ((1.0, [1.0, 2.0]), "gradients of 'arrays' must be a mapping by name, not [1.0, 2.0]"),
        ((1.0, None), "gradients of 'arrays' must be a mapping by name, not None"),
        ((1.0, {}), "no gradient for 'w' of 'arrays'; return None if disconnected"),
        (
            (1.0, {"w": [1.0, 1.0], "v": None}),
            "the gradient names no parameter 'v'; known: w",
        ),
        (
            (1.0, {"w": [1.0]}),
            "gradient of 'w' has shape (1,) and dtype float64; the parameter has (2,) and float64",
        ),
        (
            (1.0, {"w": [1j, 1.0]}),
            (
                "gradient of 'w' has shape (2,) and dtype complex128; "
                "the parameter has (2,) and float64"
            ),
        ),
        (
            (1.0, {"w": ["a", "b"]}),
            "gradient of 'w' has shape (2,) and dtype <U1; the parameter has (2,) and float64",
        ),
        (
            ([1.0, 2.0], {"w": None}),
            "the value of 'arrays' has shape (2,) and dtype float64; reduce it to one real number",
        ),
        (
            (1j, {"w": None}),
            "the value of 'arrays' has shape () and dtype complex128; reduce it to one real number",
        ),
        (
            (None, {"w": None}),
            "the value of 'arrays' has shape () and dtype object; reduce it to one real number",
        ),
    ],
)
def test_a_result_that_does_not_fit_is_refused(result: object, message: str) -> None:
    """Every wrong result must be met by one sentence that says what is wrong with it."""
    assert refused(result) == message


def test_a_mistyped_gradient_names_the_nearest_parameter() -> None:
    """A name that nearly fits must be met by the one that is meant."""
    message = refused((1.0, {"wieght": [1.0]}), {"weight": [1.0]})
    assert message == "the gradient names no parameter 'wieght'; did you mean 'weight'?"


def test_a_long_result_is_cut_short() -> None:
    """A result of a thousand numbers must not fill the screen."""
    assert len(refused(list(range(1000)))) < 150


def test_an_error_of_the_users_own_comes_through_with_our_context() -> None:
    """The function's own error must be raised as it is, with where it happened."""

    def fail(_: Arrays) -> tuple[float, Arrays]:
        msg = "mine"
        raise ZeroDivisionError(msg)

    with pytest.raises(ZeroDivisionError, match=r"^mine") as caught:
        objective(W, value_and_grad=fail, name="it").value_and_grad()
    assert caught.value.__notes__ == ["while evaluating value_and_grad of 'it' (arrays)"]


# What may be passed.


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "parameter 'w' has dtype int64; gradients need floating-point values"),
        (3, "parameter 'w' has dtype int64; gradients need floating-point values"),
        ([1.0, "a"], "parameter 'w' has dtype <U32; gradients need floating-point values"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(value: object, message: str) -> None:
    """Whole numbers and text must be named with their type."""
    with pytest.raises(UsageTypeError) as caught:
        objective({"w": value}, value_and_grad=half_square)
    assert str(caught.value) == message


def test_a_ragged_parameter_is_refused() -> None:
    """Rows of unequal length must be refused by name, not by an error of numpy's alone."""
    with pytest.raises(UsageTypeError, match=r"^parameter 'w' is no array: "):
        objective({"w": [[1.0], [1.0, 2.0]]}, value_and_grad=half_square)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "'arrays': plain arrays need value_and_grad=, a function that takes the arrays"),
        ({"value_and_grad": 3}, "'arrays': plain arrays need value_and_grad=, a function"),
        ({"loss": lambda: 1.0}, "plain arrays have no use for loss=; pass value_and_grad="),
        ({"mode": "FAST"}, "plain arrays have no use for mode=; pass value_and_grad="),
        ({"data": [1.0]}, "plain arrays have no use for data=; pass value_and_grad="),
    ],
)
def test_options_of_other_backends_are_refused(options: dict[str, Any], message: str) -> None:
    """What plain arrays cannot use must not be ignored."""
    given = {} if "loss" in options or not options else {"value_and_grad": half_square}
    with pytest.raises(UsageTypeError) as caught:
        objective(W, **{**given, **options})
    assert str(caught.value).startswith(message)


# Precision and randomness.


def test_in_float64_the_function_gets_float64() -> None:
    """Every array must be widened, complex ones to complex128."""
    seen: list[str] = []

    def look(p: Arrays) -> tuple[float, Arrays]:
        seen.extend(str(v.dtype) for v in p.values())
        return 1.0, dict(p)

    arrays = {"w": np.ones(1, "float32"), "z": np.ones(1, "complex64"), "h": np.ones(1, "float16")}
    made = objective(arrays, value_and_grad=look)
    made.value_and_grad()
    made.value_and_grad(precision="float64")
    assert seen == ["float32", "complex64", "float16", "float64", "complex128", "float64"]


@pytest.mark.parametrize(
    ("value", "grad"),
    [(np.float32(1.0), np.ones(2)), (1.0, np.ones(2, "float32"))],
    ids=["value", "gradient"],
)
def test_a_function_of_float32_has_no_float64(value: object, grad: object) -> None:
    """What comes back narrower than it went in must not be taken for a float64 result."""
    made = objective(W, value_and_grad=lambda _: (value, {"w": grad}), name="narrow")
    with pytest.raises(PrecisionError) as caught:
        made.value_and_grad(precision="float64")
    assert str(caught.value) == (
        "value_and_grad of 'narrow' computes in less than float64, given float64"
    )


@pytest.mark.parametrize(
    ("dtype", "result", "eps"),
    [
        ("float64", (1.0, {"w": np.ones(2)}), 2.0**-52),
        ("float32", (1.0, {"w": np.ones(2)}), F32),
        ("float64", (1.0, {"w": np.ones(2, "float32")}), F32),
        ("float64", (np.float32(1.0), {"w": np.ones(2)}), F32),
        ("float16", (1.0, {"w": np.ones(2)}), 2.0**-10),
        ("float64", (1, {"w": [1, 1]}), 2.0**-52),
    ],
)
def test_the_coarsest_precision_is_told(dtype: str, result: object, eps: float) -> None:
    """Parameters, value and gradients must each count for how exact the result can be."""
    assert returning(result, {"w": np.ones(2, dtype)}).eps == eps


def drawing(_: Arrays) -> tuple[float, Arrays]:
    """Return random numbers of both global generators."""
    return random.random(), {"w": np.random.standard_normal(2)}  # noqa: NPY002 - the user's own


def drawn(made: Objective) -> tuple[float, list[float]]:
    """Return what a function drew."""
    found = made.value_and_grad()
    assert found.grads["w"] is not None
    return found.value, to_numpy(found.grads["w"]).tolist()


def test_each_call_begins_with_the_seed() -> None:
    """The same seed must draw the same numbers, another one others."""
    made = objective(W, value_and_grad=drawing, seed=3)
    assert drawn(made) == drawn(made) == drawn(objective(W, value_and_grad=drawing, seed=3))
    assert drawn(made) != drawn(objective(W, value_and_grad=drawing, seed=4))


def states() -> tuple[object, ...]:
    """Return the states of both global generators."""
    legacy: Iterable[Any] = np.random.get_state()  # noqa: NPY002 - the user's own
    return random.getstate(), *(np.asarray(part).tolist() for part in legacy)


@pytest.mark.parametrize("seed", [0, 2**32 + 5])
def test_the_users_random_states_come_back(seed: int) -> None:
    """Drawing must leave no trace, a seed of any size and an error included."""

    def fail(p: Arrays) -> tuple[float, Arrays]:
        drawing(p)
        raise ZeroDivisionError

    before = states()
    functions: tuple[Callable[..., Any], ...] = (drawing, fail)
    for function in functions:
        made = objective(W, value_and_grad=function, seed=seed)
        if function is fail:
            with pytest.raises(ZeroDivisionError):
                made.value()
        else:
            made.value()
        assert states() == before
