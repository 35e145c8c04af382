"""Write operations and expressions of a graph as a modeller would write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from pytensor.graph.basic import Constant
from pytensor.tensor.elemwise import CAReduce, DimShuffle

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from pytensor.graph.basic import Apply, Variable

__all__ = ["DATA", "applied", "expression", "number", "op_name"]

GAP = "..."
"""Stands for what is left out of an expression, or has no name."""

DEEPEST = 5
LONGEST = 60
ASIDE = 3  # the depth to which what is no part of the model's own text is shown, if it is short
SHORT = 32
DATA = "data"

_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "true_div": "/",
    "int_div": "//",
    "pow": "**",
    "gt": ">",
    "lt": "<",
    "ge": ">=",
    "le": "<=",
    "eq": "==",
    "neq": "!=",
    "and": "&",
    "or": "|",
}
_CALLS = {
    "psi": "digamma",
    "tri_gamma": "trigamma",
    "switch": "where",
    "scalar_maximum": "maximum",
    "scalar_minimum": "minimum",
}
_SILENT = {"cast", "identity", "second", "tensor_copy", "convert"}  # move numbers, change none
_PASSING = (
    *("Reshape", "Alloc", "TensorFromScalar", "ScalarFromTensor", "SpecifyShape", "MakeVector"),
    *("Unbroadcast", "CheckParameterValue", "Assert", "CheckAndRaise", "AllocEmpty"),
)


def applied(node: Apply, inputs: Sequence[str], result: str) -> str:
    """Return an operation with its numbers: ``0 / 0 = nan``.

    Args:
        node: of the graph.
        inputs: the numbers that go in, as text.
        result: what comes out.
    """
    return f"{_called(op_name(node), list(inputs), nested=False)} = {result}"


def op_name(node: Apply) -> str:
    """Return what people call the operation of a node: ``true_div``, ``log``, ``cholesky``."""
    op: Any = getattr(node.op, "core_op", node.op)
    scalar = getattr(op, "scalar_op", None)
    if isinstance(op, CAReduce) and type(op) is not CAReduce:
        return type(op).__name__.lower()
    if scalar is not None:
        name = str(getattr(scalar, "name", None) or type(scalar).__name__)
        return "convert" if name.lower().startswith("convert") else _tidy(name)
    return _tidy(type(op).__name__)


def _tidy(name: str) -> str:
    """Return a name in small letters, without what only PyTensor means by it."""
    plain = re.sub(r"\{.*\}", "", name)
    if plain.islower() or plain.isupper():
        return plain.lower()
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", plain).lower()


def expression(
    variable: Variable, known: Container[Variable], named: Callable[[Variable], str]
) -> str:
    """Return what a variable is computed from, in names.

    Args:
        variable: of the graph.
        known: the variables that belong to the model as written; others are left out.
        named: returns the name of a constant or of data, empty where it has none.

    Returns:
        At most 60 characters; the shallower expression where the whole one is longer.
    """
    for depth in range(DEEPEST, 0, -1):
        text = _written(variable, known, named, depth, top=True)
        if len(text) <= LONGEST or depth == 1:
            break
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + GAP


def _written(
    variable: Variable,
    known: Container[Variable],
    named: Callable[[Variable], str],
    depth: int,
    *,
    top: bool = False,
) -> str:
    """Return an expression to a depth."""
    node = variable.owner
    if node is None or (variable.name and not top and not variable.name.startswith(("d(", "(d"))):
        return _leaf(variable, named)
    name = op_name(node)
    if name in _SILENT or isinstance(node.op, DimShuffle) or type(node.op).__name__ in _PASSING:
        source = node.inputs[-1 if name == "second" else 0]
        return _written(source, known, named, depth, top=top)
    if depth == 0:
        return GAP
    if variable not in known and not top:
        text = _written(variable, _Everything(), named, min(depth, ASIDE))
        return GAP if len(text) > SHORT or GAP in text else text
    parts = [_written(v, known, named, depth - 1) for v in node.inputs]
    return f"{parts[0]}[{GAP}]" if "subtensor" in name else _called(name, parts, nested=not top)


def _leaf(variable: Variable, named: Callable[[Variable], str]) -> str:
    """Return the name of a variable; of a constant without one its value, if it has one."""
    if isinstance(variable, Constant):
        return _constant(variable, named)
    return str(variable.name or named(variable) or DATA).partition("{")[0]


def _called(name: str, parts: list[str], *, nested: bool) -> str:
    """Return an operation on texts."""
    if name == "sqr":
        return f"{_safe(parts[0])} ** 2"
    if name == "neg":
        return f"-{_safe(parts[0])}"
    if name in {"reciprocal", "inv"}:
        name, parts = "true_div", ["1", parts[0]]
    if name in _INFIX and len(parts) > 1:
        text = f" {_INFIX[name]} ".join(map(_safe, parts))
        return f"({text})" if nested else text
    if all(part == GAP for part in parts):
        parts = [GAP]
    return f"{_CALLS.get(name, name)}({', '.join(map(_bare, parts))})"


def _bare(text: str) -> str:
    """Return a text without brackets around the whole of it."""
    depths = [text[: i + 1].count("(") - text[: i + 1].count(")") for i in range(len(text) - 1)]
    return text[1:-1] if text[:1] == "(" and text[-1:] == ")" and all(depths) else text


class _Everything:
    """Contain everything."""

    def __contains__(self, _: object) -> bool:
        """Return that it is in here."""
        return True


def _safe(text: str) -> str:
    """Return a negative number in brackets, as an operand needs it."""
    return f"({text})" if text.startswith("-") else text


def _constant(variable: Variable, named: Callable[[Variable], str]) -> str:
    """Return a constant: its name, or its value where it is a single number."""
    name = named(variable)
    if name:
        return name
    values = np.asarray(variable.data)
    if values.size and values.dtype.kind in "fiub" and (values == values.flat[0]).all():
        return number(values.flat[0])
    return DATA


def number(value: object) -> str:
    """Return a number as people write it."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | float | np.number) and not np.iscomplexobj(value):
        return f"{float(value):.6g}" if value else "0"
    return str(value)
