"""Operations on whole arrays are those of PyTensor on every element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pytensor.scalar import basic, math
from pytensor.tensor.elemwise import Elemwise

from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._pymc import cache, elementwise
from pytest_gradcheck.backends._pymc import mode as modes
from pytest_gradcheck.point import to_numpy
from tests.backends import pymc_gallery as gallery
from tests.backends import pymc_models as models

if TYPE_CHECKING:
    from collections.abc import Callable

    import pymc as pm
    from numpy.typing import NDArray

    Array = NDArray[Any]

ULP = 2  # of exp and log, which numpy may compute otherwise for an array than for one number
NEAR = st.sampled_from([-37.0, -0.7, 0.0, -0.0, 18.0, 33.3, 800.0, -800.0, np.inf, -np.inf, np.nan])
NUMBERS = NEAR | st.floats(-50, 50)


@st.composite
def laid(draw: st.DrawFn, count: int) -> list[Array]:
    """Return arrays of some shapes that fit each other, laid in memory in any order."""
    shapes = draw(npst.mutually_broadcastable_shapes(num_shapes=count, min_dims=1, max_dims=3))
    found = []
    for shape in shapes.input_shapes:
        order = draw(st.permutations(range(len(shape))))
        flipped = tuple(shape[axis] for axis in order)
        values = draw(npst.arrays(np.float64, flipped, elements=NUMBERS))
        array = np.repeat(values, 2, axis=0)[::2] if draw(st.booleans()) else values
        array = array.astype(draw(st.sampled_from([np.float64, np.float32])), order="K")
        found.append(array[..., ::-1].transpose(np.argsort(order)))
    return found


def one_by_one(scalar: Any, arrays: list[Array]) -> Array:
    """Return what PyTensor computes with its code for one element."""
    with np.errstate(all="ignore"):
        return np.asarray(np.frompyfunc(scalar.impl, len(arrays), 1)(*arrays))


def at_once(function: Callable[..., Array], arrays: list[Array]) -> Array:
    """Return what is computed for whole arrays."""
    with np.errstate(all="ignore"):
        return function(*arrays)


def order_of(array: Array) -> list[int]:
    """Return the strides along the axes that have any, in elements."""
    pairs = zip(array.strides, array.shape, strict=True)
    return [stride // array.itemsize for stride, length in pairs if length > 1 and array.size]


@pytest.mark.parametrize(
    ("function", "scalar", "count"),
    [
        (elementwise.second, basic.second, 2),
        (elementwise.clip, basic.clip, 3),
        (elementwise.copied, basic.identity, 1),
        (elementwise.copied, basic.convert_to_float64, 1),
    ],
)
@given(data=st.data())
def test_what_is_moved_or_chosen_is_the_same_to_the_last_bit(
    function: Callable[..., Array], scalar: Any, count: int, data: st.DataObject
) -> None:
    """Values, signs of zeros and the order in memory must be those of the code for one element."""
    arrays = data.draw(laid(count))
    found, wanted = at_once(function, arrays), one_by_one(scalar, arrays)
    assert order_of(found) == order_of(wanted)
    wanted = wanted.astype(found.dtype)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))
    assert not any(np.shares_memory(found, array) for array in arrays)


@pytest.mark.parametrize(
    ("function", "scalar"),
    [(elementwise.softplus, math.softplus), (elementwise.log1mexp, math.log1mexp)],
)
@given(arrays=laid(1))
def test_what_is_computed_follows_the_same_formulas(
    function: Callable[..., Array], scalar: Any, arrays: list[Array]
) -> None:
    """Every element must come from the formula that PyTensor has for its range."""
    found, wanted = at_once(function, arrays), one_by_one(scalar, arrays)
    assert order_of(found) == order_of(wanted)
    wanted = wanted.astype(np.float64)
    assert (np.isfinite(found) == np.isfinite(wanted)).all()
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(found[~finite], wanted[~finite])
    if finite.any():
        np.testing.assert_array_max_ulp(found[finite], wanted[finite], ULP)


def elemwise_of(outputs: Any, *inputs: Any) -> list[Elemwise]:
    """Return the operations on elements in a function that is compiled in the plain mode."""
    with modes.scope("fast"):
        function = pytensor.function(
            list(inputs), outputs, mode=modes.plain(), on_unused_input="ignore"
        )
    nodes = function.maker.fgraph.apply_nodes
    return [node.op for node in nodes if isinstance(node.op, Elemwise)]


X, N = pt.dvector("x"), pt.lvector("n")


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (pt.second(X, pt.constant(1.0)), "second"),
        (pt.clip(X, np.float32(0.0), 1.0), "clip"),
        (pt.clip(N, 0, 2), "clip"),
        (pt.softplus(X), "softplus"),
        (pt.log1mexp(X), "log1mexp"),
        (pt.cast(N, "float64"), "copied"),
        (pt.cast(pt.lt(X, 0), "int8"), "copied"),
        (pt.cast(X, "float32"), "copied"),
    ],
)
def test_an_array_is_computed_at_once(output: Any, named: str) -> None:
    """What PyTensor has no function of numpy for must get one of ours."""
    functions = [op.nfunc for op in elemwise_of(output, X, N)]
    assert functions.count(getattr(elementwise, named)) == 1


@pytest.mark.parametrize(
    "output",
    [
        pt.cast(X, "int64"),  # Python says that NaN is no whole number, numpy says nothing
        pt.cast(N, "int8"),
        pt.clip(N, 0.5, 1.5),
        pt.softplus(N),
        pt.softplus(X[0]),  # one number is quicker in Python
    ],
)
def test_what_numpy_does_otherwise_is_left_alone(output: Any) -> None:
    """Where arrays would follow other rules than single numbers, PyTensor's code must stay."""
    ours = [op for op in elemwise_of(output, X, N) if "elementwise" in str(op.nfunc_spec)]
    assert ours == []


@pytest.mark.parametrize(
    "build", [models.gaussian_process, models.hierarchy, gallery.mixture, gallery.ordinal]
)
def test_a_model_has_the_numbers_that_it_has_element_by_element(
    build: Callable[[], pm.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients and terms must be the same bits, whichever way they are evaluated."""
    found = numbers(build())
    monkeypatch.setattr(elementwise, "_WHOLE", {})
    assert found == numbers(build())


def numbers(model: pm.Model) -> list[bytes]:
    """Return the gradient of a model and those of its terms as they lie in memory."""
    cache.EQUAL.clear()
    evaluation = objective(model).value_and_grad()
    found = []
    every: list[Any] = [evaluation, *evaluation.components.values()]
    for one in every:
        found.append(np.float64(one.value).tobytes())
        found += [to_numpy(view).tobytes() for view in one.grads.values() if view is not None]
    return found
