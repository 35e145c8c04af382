from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from pytest_gradcheck.backends._torch.views import SparseView, TensorView, view_of
from pytest_gradcheck.point import to_numpy

if TYPE_CHECKING:
    from pytest_gradcheck.records import ArrayView


def covered(view: ArrayView, size: int) -> list[tuple[int, list[float]]]:
    """Return the chunks of a view as lists."""
    return [(start, values.tolist()) for start, values in view.chunks(size)]


def counting(*shape: int) -> torch.Tensor:
    """Return 0, 1, 2, ... in C order."""
    return torch.arange(float(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize("size", [1, 5, 7, 24, 1000])
@pytest.mark.parametrize(
    "tensor",
    [
        counting(2, 3, 4),
        counting(4, 3, 2).permute(2, 1, 0),
        counting(2, 3, 2, 2).to(memory_format=torch.channels_last),
        counting(48)[::2],
        counting(2, 1, 3, 1).expand(2, 2, 3, 2),
        counting(2, 30)[:, 3:15],
    ],
    ids=["contiguous", "permuted", "channels_last", "strided", "expanded", "window"],
)
def test_chunks_follow_the_logical_order(tensor: torch.Tensor, size: int) -> None:
    """Chunks must come in C order, none larger than asked for, whatever the memory layout."""
    chunks = list(TensorView(tensor).chunks(size))
    assert np.concatenate([c for _, c in chunks]).tolist() == tensor.flatten().tolist()
    assert [s for s, _ in chunks] == np.cumsum([0, *(c.size for _, c in chunks)])[:-1].tolist()
    assert max(c.size for _, c in chunks) <= size


def test_a_contiguous_tensor_is_shown_in_place() -> None:
    """Chunks of a contiguous CPU tensor must share its memory and forbid writing."""
    tensor = counting(10)
    for start, values in TensorView(tensor).chunks(4):
        assert values.ctypes.data == tensor.data_ptr() + 4 * start
        assert not values.flags.writeable


def test_a_parameter_shows_its_present_values() -> None:
    """The view of a parameter must follow it, also into other memory."""
    parameter = torch.nn.Parameter(counting(2))
    view = TensorView(parameter)
    parameter.data = torch.tensor([5.0, 6.0], dtype=torch.float64)
    assert (view.dtype, covered(view, 8)) == ("float64", [(0, [5.0, 6.0])])


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("conjugate", [False, True])
def test_complex_shows_as_pairs(size: int, conjugate: bool) -> None:  # noqa: FBT001 - two cases
    """A complex tensor must show as real pairs, a pending conjugation carried out."""
    tensor = torch.complex(counting(2, 3), counting(2, 3) + 10)
    sign = -1 if conjugate else 1
    view = TensorView(tensor.conj() if conjugate else tensor)
    flat = [x for k in range(6) for x in (k, sign * (k + 10))]
    assert (view.shape, view.size, view.dtype) == ((2, 3, 2), 12, "complex64")
    assert [v for _, values in view.chunks(size) for v in values.tolist()] == flat
    assert all(values.size <= size for _, values in view.chunks(size))


def test_a_pending_negation_is_carried_out() -> None:
    """The imaginary part of a conjugate must show its sign."""
    tensor = torch.complex(counting(3), counting(3)).conj().imag
    assert tensor.is_neg()
    assert to_numpy(TensorView(tensor)).tolist() == [0, -1, -2]


@pytest.mark.parametrize(
    ("dtype", "shown"),
    [
        (torch.float64, np.float64),
        (torch.float32, np.float32),
        (torch.float16, np.float16),
        (torch.bfloat16, np.float32),
    ],
)
def test_types_numpy_knows_stay_as_they_are(dtype: torch.dtype, shown: type) -> None:
    """Only bfloat16, which numpy does not know, may be widened for showing."""
    view = TensorView(counting(3).to(dtype))
    assert [values.dtype for _, values in view.chunks(8)] == [shown]
    assert f"torch.{view.dtype}" == str(dtype)


def test_nothing_has_no_chunks() -> None:
    """A tensor without elements must show no chunk, whichever axis is empty."""
    for tensor in (torch.zeros(0), torch.zeros(3, 0), torch.zeros(0, 4).T):
        assert covered(TensorView(tensor), 4) == []


def test_sparse_rows_are_joined_and_gaps_left_out() -> None:
    """Only the rows that are held must show: doubled ones added, neighbours joined."""
    rows, values = torch.tensor([[7, 2, 1, 2]]), counting(4, 3)
    view = view_of(torch.sparse_coo_tensor(rows, values, (9, 3), check_invariants=True))
    assert (view.shape, view.size, view.dtype) == ((9, 3), 27, "float32")
    assert covered(view, 100) == [(3, [6, 7, 8, 12, 14, 16]), (21, [0, 1, 2])]
    assert covered(view, 4) == [(3, [6, 7, 8, 12]), (7, [14, 16]), (21, [0, 1, 2])]


def test_sparse_gradients_of_nothing_show_nothing() -> None:
    """A sparse gradient that holds no element must show no chunk."""
    assert covered(view_of(torch.zeros(4, 3).to_sparse(1)), 8) == []


@pytest.mark.parametrize("size", [1, 3, 64, 5000])
@pytest.mark.parametrize(
    "layout",
    [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state:UserWarning")
def test_every_sparse_layout_shows_the_same(layout: torch.layout, size: int) -> None:
    """A matrix must show the same elements in every sparse layout, far ones in separate chunks."""
    dense = torch.zeros(40, 100)
    dense[0, 1], dense[0, 3], dense[20, 7], dense[39, 98] = 1.0, 2.0, 3.0, 4.0
    blocks = (2, 2) if layout in {torch.sparse_bsr, torch.sparse_bsc} else None
    view = view_of(dense.to_sparse(layout=layout, blocksize=blocks))
    assert np.array_equal(to_numpy(view), dense.numpy())
    chunks = covered(view, size)
    assert all(0 < len(values) <= size for _, values in chunks)
    assert sum(len(values) for _, values in chunks) < 400
    assert [start for start, _ in chunks] == sorted(start for start, _ in chunks)


def test_complex_sparse_shows_as_pairs() -> None:
    """A sparse complex gradient must show as real pairs at the right places."""
    values = torch.tensor([1 + 2j, 3 - 1j]).conj()
    view = view_of(
        torch.sparse_coo_tensor(torch.tensor([[0, 3]]), values, (5,), check_invariants=True)
    )
    assert (view.shape, covered(view, 8)) == ((5, 2), [(0, [1, -2]), (6, [3, 1])])


def test_sparse_bfloat16_is_widened() -> None:
    """A sparse bfloat16 gradient must show as float32 and keep its name."""
    view = view_of(torch.tensor([0.0, 1.5], dtype=torch.bfloat16).to_sparse())
    assert isinstance(view, SparseView)
    assert (view.dtype, [str(v.dtype) for _, v in view.chunks(4)]) == ("bfloat16", ["float32"])


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_other_layouts_are_made_dense() -> None:
    """A layout that is neither strided nor sparse must still show its values."""
    assert to_numpy(view_of(counting(2, 2).to_mkldnn())).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_elements_lie(dtype: torch.dtype) -> None:
    """Elements in one row in memory must be told by address, number and size, of a part as well."""
    whole = counting(4, 6).to(dtype)
    part = whole[1:3].requires_grad_()
    array = whole.numpy()[1:3]
    assert TensorView(part).memory == (array.ctypes.data, 12, array.itemsize)
    assert TensorView(torch.nn.Parameter(whole)).memory == (whole.data_ptr(), 24, array.itemsize)


@pytest.mark.parametrize(
    "tensor",
    [
        counting(4, 6).T,
        counting(24).half(),
        counting(24).bfloat16(),
        torch.complex(counting(24), counting(24)),
        torch.complex(counting(24), counting(24)).conj().imag,
        torch.empty(24, device="meta"),
        counting(24).as_subclass(type("Wrapped", (torch.Tensor,), {})),
        counting(0),
    ],
    ids=["transposed", "float16", "bfloat16", "complex", "negated", "meta", "subclass", "empty"],
)
def test_elements_that_do_not_lie_so(tensor: torch.Tensor) -> None:
    """An address must be told of nothing else than plain tensors in one row on the CPU."""
    assert TensorView(tensor).memory is None
