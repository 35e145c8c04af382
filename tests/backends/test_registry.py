"""Finding the backend of what was passed, and what is said where there is none."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.backends import objective, select
from pytest_gradcheck.errors import MissingExtraError, UsageError, UsageTypeError
from tests.objectives import half_square

CAN = (
    "pass a torch.nn.Module with a loss, a pymc.Model, or a mapping of names to tensors "
    "(with a loss) or to arrays (with value_and_grad=)"
)


def refused(source: object, *args: Any, **options: Any) -> str:
    """Return the message with which a source is refused."""
    with pytest.raises(UsageError) as caught:
        objective(source, *args, **options)
    return str(caught.value)


@pytest.mark.parametrize("value", [np.ones(2), np.float64(1.0), 1.0, 1j, [1.0, 2.0], (1.0,)])
def test_arrays_numbers_and_sequences_are_plain_arrays(value: object) -> None:
    """Whatever numpy takes for floating-point values must find the backend of plain arrays."""
    found = objective({"w": value}, value_and_grad=half_square)
    assert (found.backend, found.name, list(found.point)) == ("arrays", "arrays", ["w"])


def test_an_array_of_a_subclass_is_a_plain_array() -> None:
    """Types of other packages that descend from numpy's must be recognised."""

    class Mine(np.ndarray[Any, Any]):
        """An array with a name of its own."""

    mine = np.ones(2).view(Mine)
    assert objective({"w": mine}, value_and_grad=half_square).backend == "arrays"


def test_torch_and_pymc_are_found_by_the_type_in_hand() -> None:
    """A module, a mapping of tensors and a module of the user's own must all be torch."""
    import torch

    class Mine(torch.nn.Linear):
        """A layer with a name of its own."""

    layer = Mine(2, 1)
    w = torch.ones(2, requires_grad=True)
    assert objective(layer, lambda: layer(torch.ones(2)).sum()).backend == "torch"
    assert objective({"w": w}, w.sum).backend == "torch"


def test_a_model_of_pymc_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type that descends from PyMC's must find its backend, which alone is loaded."""
    asked: list[str] = []

    def load(name: str) -> Any:
        asked.append(name)
        raise ImportError

    base = type("Model", (), {"__module__": "pymc.model.core"})
    mine = type("Mine", (base,), {"__module__": "tests"})()
    monkeypatch.setattr(importlib, "import_module", load)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-gradcheck\[pymc\]'"):
        objective(mine)
    assert asked == ["pytest_gradcheck.backends._pymc"]


def test_nothing_else_triggers_an_import() -> None:
    """Plain arrays must load no framework."""
    code = (
        "import sys, numpy as np\n"
        "from pytest_gradcheck.backends import objective\n"
        "objective({'w': np.ones(2)}, value_and_grad=lambda p: (1.0, p)).value_and_grad()\n"
        "print(sorted({'torch', 'pymc', 'pytensor', 'pytest'} & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        (None, "NoneType"),
        (3.0, "float"),
        ("model", "str"),
        ([1.0, 2.0], "list"),
        (np.ones(2), "numpy.ndarray"),
        (object(), "object"),
        ({"w": None}, "NoneType"),
        ({"w": True}, "bool"),
        ({"w": "a", "v": 1.0}, "float, str"),
        ({"w": {"v": 1.0}}, "dict"),
    ],
)
def test_what_no_backend_knows_is_refused(source: object, seen: str) -> None:
    """The types in hand must be named, and everything that would do."""
    assert refused(source) == f"cannot take gradients of {seen}; {CAN}"


def test_a_function_that_makes_a_model_is_to_be_called() -> None:
    """The parentheses that are missing must be asked for."""
    message = refused(lambda: None)
    assert (
        message == f"cannot take gradients of function; {CAN}; call a function that makes the model"
    )


def test_a_mapping_of_several_kinds_is_refused() -> None:
    """Tensors beside arrays have no common backend."""
    import torch

    message = refused({"w": np.ones(2), "t": torch.ones(2)})
    assert message.startswith("cannot take gradients of numpy.ndarray, torch.Tensor; pass a ")


def test_arrays_of_another_framework_get_advice() -> None:
    """What can be converted must be told to be."""
    foreign = type("Array", (), {"__module__": "jaxlib.xla_extension"})()
    message = refused({"w": foreign})
    assert message.startswith("cannot take gradients of jaxlib.Array; ")
    assert message.endswith("; for other frameworks convert to numpy and pass value_and_grad=")


def test_an_empty_mapping_is_refused() -> None:
    """No parameters must be told as that."""
    assert refused({}) == "an empty mapping has no parameters to differentiate with respect to"


@pytest.mark.parametrize("loss", [3.0, "loss", np.float64(2.0)])
def test_a_loss_that_is_already_computed_is_refused(loss: object) -> None:
    """A number in the place of a function must be met by how to wrap it."""
    message = refused(W, loss)
    assert message.startswith("the loss must be a function of no arguments that computes it, not ")
    assert message.endswith("; wrap it: lambda: criterion(model(x), y)")


W = {"w": np.ones(2)}


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    """Anything else must be refused before it reaches a generator."""
    message = refused(W, value_and_grad=half_square, seed=seed)
    assert message == f"seed must be a non-negative whole number, not {seed!r}"


@pytest.mark.parametrize("wrt", [(), [], 3, (1, 2), [None], {"w": 1}.values()])
def test_what_holds_no_patterns_is_refused(wrt: object) -> None:
    """Names must be given as strings, and at least one."""
    with pytest.raises(UsageTypeError, match=r"^wrt= takes patterns of parameter names such as"):
        objective(W, value_and_grad=half_square, wrt=wrt)  # type: ignore[arg-type] # what is refused


@pytest.mark.parametrize("wrt", ["w", ("w",), ["w*"], None, iter(["w"])])
def test_patterns_may_come_in_any_collection(wrt: Any) -> None:
    """One string must stand for itself."""
    assert list(objective(W, value_and_grad=half_square, wrt=wrt).point) == ["w"]


def test_selection_keeps_the_order_of_the_parameters() -> None:
    """Patterns must choose, not sort."""
    names = ["a.w", "a.b", "b.w"]
    assert select(names, None) == names
    assert select(names, ("b.*", "a.w")) == ["a.w", "b.w"]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (("a.ww",), "wrt= names no parameter 'a.ww'; did you mean 'a.w'?"),
        (("a.w", "zzz*"), "wrt= names no parameter 'zzz*'; known: a.w, a.b"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused(patterns: tuple[str, ...], message: str) -> None:
    """A pattern without a parameter must be named, with the nearest or all."""
    with pytest.raises(UsageError) as caught:
        select(["a.w", "a.b"], patterns)
    assert str(caught.value) == message


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend whose package does not import must name the exact command."""

    def absent(name: str) -> Any:
        msg = "No module named 'torch'"
        raise ModuleNotFoundError(msg)

    source = type("Module", (), {"__module__": "torch.nn"})()
    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError) as caught:
        objective(source, lambda: 1.0)
    assert str(caught.value) == (
        "torch does not import here (No module named 'torch'); "
        "run: pip install 'pytest-gradcheck[torch]'"
    )
    assert isinstance(caught.value, ImportError)
