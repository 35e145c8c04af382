"""Points: numpy arrays as the statistics see them, and an objective moved to other values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gradcheck import moves
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.moves import direction, perturbation_scales, perturbed
from pytest_gradcheck.point import NumpyView, at_point, to_numpy, unknown_name
from tests.objectives import SparseView, bowl, half_square, of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView, Objective


def complex_bowl() -> Objective:
    """Return an objective of two complex numbers."""
    return of(
        lambda p: (float(np.sum(np.abs(p["z"]) ** 2)), {"z": 2 * p["z"]}), {"z": [1 + 2j, 3j]}
    )


@given(size=st.integers(0, 40), chunk=st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_chunks_join_to_the_array(size: int, chunk: int) -> None:
    """Chunks must rise, keep to their size and cover every element once."""
    view = NumpyView(np.arange(float(size)))
    pieces = list(view.chunks(chunk))
    assert [start for start, _ in pieces] == list(range(0, size, chunk))
    assert [v for _, values in pieces for v in values.tolist()] == list(range(size))
    assert all(values.size <= chunk for _, values in pieces)


def test_a_contiguous_array_is_shown_without_a_copy() -> None:
    """Reading a large array must not double its memory."""
    array = np.ones(10)
    assert all(np.shares_memory(values, array) for _, values in NumpyView(array).chunks(3))


def test_to_numpy_returns_an_independent_array() -> None:
    """What is returned must be float64, in shape, and no window into the model."""
    array = np.ones((2, 3), np.float32)
    copy = to_numpy(NumpyView(array))
    copy[:] = 5.0
    assert (str(copy.dtype), copy.shape, float(array.max())) == ("float64", (2, 3), 1.0)


def test_to_numpy_fills_the_gaps_with_zeros() -> None:
    """What a view does not show must be zero."""
    view = SparseView(shape=(2, 3), runs=((4, (7.0,)),))
    assert to_numpy(view).tolist() == [[0, 0, 0], [0, 7, 0]]


def test_no_point_is_the_objective_itself() -> None:
    """Without ``at=`` nothing may be wrapped."""
    objective = bowl(w=[1.0])
    assert at_point(objective, None) is objective


def test_the_objective_moves_and_keeps_what_is_left_out() -> None:
    """Value, gradient and point must be those of the new values, the others staying."""
    moved = at_point(bowl(a=[1.0, 2.0], b=3.0), {"a": [3.0, 4.0]})
    evaluation = moved.value_and_grad()
    grads = {k: to_numpy(v).tolist() for k, v in evaluation.grads.items() if v is not None}
    assert (evaluation.value, moved.value()) == (17.0, 17.0)
    assert grads == {"a": [3.0, 4.0], "b": 3.0}
    assert {k: to_numpy(v).tolist() for k, v in moved.point.items()} == grads


def test_a_point_given_later_wins() -> None:
    """A moved objective must still be movable, parameter by parameter."""
    moved = at_point(at_point(bowl(a=1.0, b=1.0), {"a": 2.0, "b": 2.0}), {"a": 0.0})
    assert moved.value() == 2.0
    assert moved.value({"b": np.array(4.0)}) == 8.0


@pytest.mark.parametrize(
    "value", [[[1.0, 1.0], [0.0, 2.0]], [1 + 1j, 2j]], ids=["pairs", "complex"]
)
def test_a_complex_parameter_takes_complex_values_or_pairs(value: object) -> None:
    """Both ways of writing complex values must name the same point."""
    assert at_point(complex_bowl(), {"z": value}).value() == 6.0


def test_values_are_cast_and_copied() -> None:
    """Whole numbers must do, and a later change of the user's array must not move the point."""
    mine = np.array([1, 2])
    moved = at_point(bowl(a=[0.0, 0.0]), {"a": mine})
    mine[:] = 100
    assert moved.value() == 2.5


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_a_tensor_is_taken_as_it_is(dtype: str) -> None:
    """A tensor that requires a gradient, of any type, must name a point."""
    import torch

    tensor = torch.tensor([1.0, 2.0], dtype=getattr(torch, dtype), requires_grad=True)
    assert at_point(bowl(a=[0.0, 0.0]), {"a": tensor}).value() == 2.5


@pytest.mark.parametrize("name", ["tau", "proportion"])
def test_a_name_on_the_constrained_space_is_told_from_its_transform(name: str) -> None:
    """Who writes the variable of a PyMC model must learn that its transform is the parameter."""
    inner = f"{name}_log__"
    told = f"at= names no parameter '{name}'; there is '{inner}', which is '{name}' on the uncons"
    with pytest.raises(UsageError, match=told):
        at_point(bowl(**{inner: [1.0], "mu": [1.0]}), {name: [1.0]})


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"weigth": [1.0]}, "at= names no parameter 'weigth'; did you mean 'weight'?"),
        ({"q": [1.0]}, "at= names no parameter 'q'; known: weight, scale"),
        ({"weight": [1.0, 2.0]}, r"at\['weight'\] has shape \(2,\), the parameter has \(1,\)"),
        ({"weight": 1.0}, r"at\['weight'\] has shape \(\), the parameter has \(1,\)"),
    ],
)
def test_a_point_that_does_not_fit_is_refused(at: dict[str, object], message: str) -> None:
    """Unknown names and wrong shapes must be named, with what is right."""
    with pytest.raises(UsageError, match=message):
        at_point(bowl(weight=[1.0], scale=[1.0]), at)


@pytest.mark.parametrize("value", ["x", ["a"], None, [[1.0], [1.0, 2.0]], [None]], ids=repr)
def test_a_point_that_holds_no_numbers_is_refused(value: object) -> None:
    """Text, nothing and ragged rows must be refused by name, not by an error of numpy's."""
    with pytest.raises(UsageTypeError, match=r"at\['w'\] must hold numbers in the shape \(1,\)"):
        at_point(bowl(w=[1.0]), {"w": value})


def test_a_point_must_be_a_mapping() -> None:
    """A bare array must be refused: it does not say which parameter it is."""
    with pytest.raises(UsageTypeError, match=r"at= takes a mapping of .*, not ndarray"):
        at_point(bowl(w=[1.0]), np.ones(1))


def test_an_unknown_name_is_answered_with_the_nearest_or_all() -> None:
    """A typing error must be met by the one meant, anything else by what there is."""
    known = {"encoder.weight": 0, "encoder.bias": 0}
    near = unknown_name("parameter", "encoder.wieght", known, where="wrt=")
    far = unknown_name("parameter", "zz", known, where="wrt=")
    assert near.endswith("did you mean 'encoder.weight'?")
    assert far.endswith("known: encoder.weight, encoder.bias")


def test_a_perturbation_is_relative_to_the_rms_of_each_parameter() -> None:
    """Parameters of any size must move by the same share of their own size."""
    objective = bowl(small=np.full(10_000, 1e-2), large=np.full(10_000, 1e6))
    point = perturbed(objective, scale=1e-3, seed=0)
    for name, home in (("small", 1e-2), ("large", 1e6)):
        assert float(np.std(point[name] - home)) == pytest.approx(1e-3 * home, rel=0.05)


def test_a_perturbation_reads_each_parameter_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies on an accelerator must come over no more than once for each point."""
    reads: list[int] = []

    def counted(view: ArrayView) -> NDArray[np.float64]:
        reads.append(view.size)
        return to_numpy(view)

    home = bowl(a=np.ones(3), b=np.ones(2))
    steps = direction(home, seed=5)
    monkeypatch.setattr(moves, "to_numpy", counted)
    moved = perturbed(home, scale=1e-3, seed=5)
    assert reads == [3, 2]
    assert all(np.array_equal(moved[name], 1.0 + 1e-3 * steps[name]) for name in ("a", "b"))


def test_zeros_move_too() -> None:
    """A parameter that is zero must be perturbed at the objective's smallest scale."""
    assert perturbation_scales(bowl(zero=np.zeros(4))) == {"zero": 1e-2}
    assert np.all(perturbed(bowl(zero=np.zeros(4)), scale=1.0, seed=0)["zero"] != 0.0)


def test_a_seed_names_one_point() -> None:
    """The same seed must give the same bits, another one another point."""
    objective = bowl(a=np.ones(3), b=np.ones(2))
    one, same, other = (direction(objective, seed=s) for s in (3, 3, 4))
    assert all(np.array_equal(one[k], same[k]) for k in one)
    assert not any(np.array_equal(one[k], other[k]) for k in one)


def test_the_random_stream_is_numpys_in_the_order_of_the_parameters() -> None:
    """A seed must name the same point for ever."""
    rng = np.random.default_rng(7)
    wanted = {"b": 2.0 * rng.standard_normal(3), "a": rng.standard_normal((2, 2))}
    found = direction(bowl(b=np.full(3, 2.0), a=np.ones((2, 2))), seed=7)
    assert list(found) == ["b", "a"]
    assert all(np.allclose(found[k], wanted[k], rtol=1e-15) for k in wanted)


@pytest.mark.parametrize(
    ("values", "rms"),
    [
        ([3.0, 4.0, 0.0, 0.0], 2.5),
        ([math.nan, 2.0, math.inf], 2.0),
        ([math.nan], 1e-2),
        ([], 1e-2),
        ([1e200, 1e200], 1e200),
        ([1e-200], 1e-2),
    ],
)
def test_the_scale_is_the_rms_of_what_is_finite(values: list[float], rms: float) -> None:
    """Values that are not finite must not decide how far the others move, nor may squares."""
    assert perturbation_scales(bowl(w=values))["w"] == pytest.approx(rms)


def test_a_complex_parameter_moves_in_both_parts() -> None:
    """Real and imaginary parts must be perturbed independently."""
    step = direction(complex_bowl(), seed=0)["z"]
    assert step.shape == (2, 2)
    assert len(set(step.reshape(-1).tolist())) == 4


def test_a_view_of_a_complex_scalar_has_one_axis() -> None:
    """A 0-d complex array must show as its two parts."""
    view = NumpyView(np.array(1 + 2j))
    assert (view.shape, view.size, to_numpy(view).tolist()) == ((2,), 2, [1.0, 2.0])


def test_half_square_is_what_these_tests_take_it_for() -> None:
    """The objective used here must be half the squared norm."""
    assert half_square({"w": np.array([3.0, 4.0])})[0] == 12.5


@pytest.mark.parametrize(("at", "shown"), [("prior", "'prior'"), (3, "int")])
def test_a_point_by_name_needs_a_backend_that_knows_it(at: object, shown: str) -> None:
    """Where there is no prior, asking for its draws must say so."""
    message = f"values, not {shown}: .* have PyMC models, and this one is arrays"
    with pytest.raises(UsageTypeError, match=message):
        at_point(bowl(w=[1.0]), at)


def test_a_single_element_may_be_moved() -> None:
    """A key with an index must move that element alone, and add to what was moved before."""
    target = bowl(x=[[1.0, 2.0], [3.0, 4.0]])
    moved = at_point(target, {"x[0, 1]": 7.0, "x[1,0]": 8})
    assert to_numpy(moved.point["x"]).tolist() == [[1.0, 7.0], [8.0, 4.0]]
    assert moved.at == 'at={"x[0, 1]": 7.0, "x[1, 0]": 8.0}'


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({"x[2, 0]": 1.0}, r"at= names 'x\[2, 0\]', the parameter has shape \(2, 2\)"),
        ({"x[0]": 1.0}, "the parameter has shape"),
        ({"x[0, 0]": "much"}, "must hold one number, not 'much'"),
        ({"y[0]": 1.0}, "names no parameter"),
    ],
)
def test_an_element_that_does_not_exist_is_refused(at: dict[str, object], said: str) -> None:
    """An index out of range, of the wrong length, or of an unknown parameter must be named."""
    with pytest.raises(UsageError, match=said):
        at_point(bowl(x=[[1.0, 2.0], [3.0, 4.0]]), at)
