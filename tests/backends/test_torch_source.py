from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, cast

import pytest
import torch
from torch import nn

from pytest_gradcheck.backends import _torch, objective
from pytest_gradcheck.backends._torch.shards import is_sharded
from pytest_gradcheck.backends._torch.source import read
from pytest_gradcheck.errors import UsageError, UsageTypeError


def two_layers() -> nn.Sequential:
    """Return a small network."""
    return nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))


def compiled(module: nn.Module) -> nn.Module:
    """Return a compiled module."""
    return cast("nn.Module", torch.compile(module, backend="eager"))


def refused(source: object, **options: Any) -> str:
    """Return the message with which a source is refused."""
    with pytest.raises(UsageError) as caught:
        read(source, **({"wrt": None, "name": None} | options))
    return str(caught.value)


def test_a_module_has_its_own_names_in_order() -> None:
    """Parameters must be called as `named_parameters` calls them, in its order."""
    model = two_layers()
    made = objective(model, lambda: model(torch.ones(1, 3)).sum())
    assert list(made.point) == [name for name, _ in model.named_parameters()]
    assert (made.name, made.backend, made.device) == ("Sequential", "torch", "cpu")
    assert made.packages == {"torch": torch.__version__}


def test_a_mapping_is_called_tensors() -> None:
    """A mapping must be called by a name of its own, or by the one given."""
    w = torch.ones(2, requires_grad=True)
    assert objective({"w": w}, w.sum).name == "tensors"
    assert objective({"w": w}, w.sum, name="mine").name == "mine"


def test_facts_count_what_there_is() -> None:
    """The facts must say how many parameters are measured, frozen and tied, and of which type."""
    model = two_layers()
    model[2].bias = model[0].bias
    model[2].weight.requires_grad = False
    model[1].eval()
    x = torch.ones(1, 3)
    made = objective(model, lambda: model[0](x).sum())
    assert dict(made.facts) == {
        "parameters": 2,
        "elements": 8,
        "frozen": 1,
        "dtypes": "float32",
        "tied": "2.bias = 0.bias",
        "training": "mixed",
        "data": "x float32 (1, 3)",
    }


def test_a_mapping_has_no_training_mode() -> None:
    """The facts of a mapping must not speak of a mode, nor call a parameter data."""
    w = torch.ones(2, requires_grad=True)
    facts = objective({"w": w}, lambda: w.sum()).facts  # noqa: PLW0108 - a closure over w
    assert dict(facts) == {"parameters": 1, "elements": 2, "frozen": 0, "dtypes": "float32"}


def test_one_tensor_under_two_names_is_one_parameter() -> None:
    """A tensor given twice must be measured once and be reported as tied."""
    w = torch.ones(2, requires_grad=True)
    made = objective({"a": w, "b": w}, lambda: torch.sum(w * w))
    assert list(made.point) == ["a"]
    assert made.facts["tied"] == "b = a"


def test_a_compiled_module_looks_like_the_module() -> None:
    """Neither names nor the label may show that a module or a part of it is compiled."""
    model = two_layers()
    model.add_module("2", compiled(model[2]))
    source = read(compiled(model), wrt=None, name=None)
    assert list(source.wrt) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert source.label == "Sequential"
    assert "tied" not in source.facts


def test_a_module_and_its_compiled_twin_share_names() -> None:
    """A part held once compiled and once as it is must not be reported as tied to itself."""
    part = nn.Linear(2, 2)
    model = nn.ModuleDict({"a": part, "b": compiled(part)})
    source = read(model, wrt=None, name=None)
    assert source.facts["tied"] == "b.weight = a.weight; b.bias = a.bias"
    wrapped = nn.Module()
    wrapped.add_module("_orig_mod", part)
    wrapped.weight = part.weight
    assert "tied" not in read(wrapped, wrt=None, name=None).facts


@pytest.mark.parametrize(
    ("wrt", "names"),
    [
        (None, ["0.weight", "0.bias", "2.weight"]),
        (("*.weight",), ["0.weight", "2.weight"]),
        (("2.*", "0.bias"), ["0.bias", "2.weight"]),
        (("2.bias",), ["0.bias"]),
    ],
)
def test_patterns_select_parameters(wrt: tuple[str, ...] | None, names: list[str]) -> None:
    """Patterns must select by every name of a parameter and keep the model's order."""
    model = nn.Sequential(nn.Linear(3, 1), nn.ReLU(), nn.Linear(1, 1))
    model[2].bias = model[0].bias
    assert list(read(model, wrt=wrt, name=None).wrt) == names


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    """A mistyped pattern must be refused with the nearest name."""
    model = two_layers()
    with pytest.raises(UsageError, match=r"'0\.weights'.*did you mean '0\.weight'"):
        objective(model, lambda: model(torch.ones(3)).sum(), wrt="0.weights")


def test_a_pattern_of_frozen_parameters_is_refused() -> None:
    """A pattern that only frozen parameters match must say that they are frozen."""
    model = two_layers()
    model[0].requires_grad_(requires_grad=False)
    message = refused(model, wrt=("0.*",))
    assert "only frozen parameters of 'Sequential'" in message
    assert "'0.*' matches 0.weight, 0.bias" in message
    assert list(read(model, wrt=("*",), name=None).wrt) == ["2.weight", "2.bias"]


def test_a_module_without_parameters_is_refused() -> None:
    """A model with nothing to train must be refused."""
    with pytest.raises(UsageError, match=r"'ReLU' \(torch\) has no trainable parameters"):
        objective(nn.ReLU(), lambda: torch.zeros(()))


def test_a_frozen_model_is_refused_with_its_count() -> None:
    """A model that is frozen altogether must be refused, saying so and how many there are."""
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(3)))
    message = refused(model.requires_grad_(requires_grad=False))
    assert "no trainable parameters: all 6 of them are frozen" in message
    assert message.endswith("0.weight, 0.bias, 1.weight, 1.bias, 2.weight, ...")


@pytest.mark.parametrize("kind", [nn.LazyLinear, lambda n: nn.LazyBatchNorm1d(affine=False)])
def test_a_lazy_module_is_refused(kind: Any) -> None:
    """A module whose shapes are not known yet must be asked for one forward pass."""
    model = nn.Sequential(nn.Linear(2, 2), kind(3))
    assert "has no shape yet (a lazy module); run one forward pass" in refused(model)


def test_a_model_on_the_meta_device_is_refused() -> None:
    """A model without values must be refused."""
    message = refused(nn.Linear(2, 2, device="meta"))
    assert message.startswith("parameter 'weight' of 'Linear' is on the meta device")


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_whole_numbers_are_refused(dtype: torch.dtype) -> None:
    """A tensor of whole numbers or truth values must be refused with its type."""
    message = refused({"w": torch.ones(2, requires_grad=True), "n": torch.ones(2, dtype=dtype)})
    assert message.startswith(f"parameter 'n' of 'tensors' has dtype {dtype}; gradients need")


def test_whole_numbers_in_a_module_are_frozen() -> None:
    """A module may hold parameters of whole numbers, which count as frozen."""
    model = nn.Linear(2, 2)
    model.steps = nn.Parameter(torch.tensor(3), requires_grad=False)
    assert read(model, wrt=None, name=None).facts["frozen"] == 1


def test_a_computed_tensor_is_refused() -> None:
    """A tensor with a history must be refused: its own gradient never reaches the leaf."""
    message = refused({"w": torch.ones(2, requires_grad=True) * 0.1})
    assert "is computed from other tensors (MulBackward0)" in message


def test_a_tensor_from_inference_mode_is_refused() -> None:
    """A tensor that autograd can never use must be refused."""
    with torch.inference_mode():
        w = torch.ones(2)
        w.requires_grad_()
    assert "was created under torch.inference_mode()" in refused({"w": w})


def test_a_sparse_parameter_is_refused() -> None:
    """A parameter without dense memory must be refused, with what to do instead."""
    w = torch.eye(3).to_sparse().requires_grad_()
    assert "has layout torch.sparse_coo; keep its values in a dense parameter" in refused({"w": w})


def test_a_mapping_of_other_things_is_refused() -> None:
    """An entry that is no tensor, or a key that is no text, must be named."""
    w = torch.ones(2, requires_grad=True)
    assert "parameter 'b' is a float, the others are tensors" in refused({"w": w, "b": 1.0})
    assert "named by non-empty text, not 3" in refused({3: w})
    assert "named by non-empty text, not ''" in refused({"": w})


@pytest.mark.parametrize("source", [torch.ones(2), [torch.ones(2)]])
def test_anything_else_is_refused(source: object) -> None:
    """What is neither a module nor a mapping must be refused by its type."""
    message = refused(source)
    assert message.startswith(f"cannot take gradients of a {type(source).__name__};")


@pytest.mark.parametrize("option", ["value_and_grad", "mode"])
def test_options_of_other_backends_are_refused(option: str) -> None:
    """An option that torch has no use for must be refused by name."""
    options: dict[str, Any] = dict.fromkeys(
        ("loss", "value_and_grad", "wrt", "name", "mode", "data")
    )
    with pytest.raises(UsageTypeError, match=f"^{option} has no use with torch"):
        _torch.objective(nn.Linear(1, 1), **(options | {option: 1, "seed": 0}))


def test_the_device_is_the_accelerator_if_any_parameter_is_there() -> None:
    """A model spread over devices must be reported as on its accelerator."""
    mixed = (torch.zeros(1), torch.zeros(1, device="meta"))
    assert (_torch._device(mixed), _torch._device(mixed[:1])) == ("meta", "cpu")


def test_shards_of_an_old_torch_are_refused() -> None:
    """A DTensor of torch 2.4, which is no public one yet, must not be taken for a whole tensor."""
    kind = type("DTensor", (torch.Tensor,), {"__module__": "torch.distributed._tensor.api"})
    message = refused({"w": torch.ones(3).as_subclass(kind).requires_grad_()})
    assert "a DTensor of torch" in message
    assert "torch 2.5 and later" in message


def test_a_package_of_shards_without_any_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """In torch 2.4 ``torch.distributed.tensor`` holds tensor parallelism alone."""
    monkeypatch.setitem(sys.modules, "torch.distributed.tensor", ModuleType("tensor"))
    assert list(read({"w": torch.ones(3, requires_grad=True)}, wrt=None, name=None).wrt) == ["w"]
    assert not is_sharded(torch.ones(3))
